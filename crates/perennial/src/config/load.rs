//! The files behind a configuration: itself, and the secrets that it names.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base::Redacted;

use super::node::Source;
use super::{Config, Draft, Errors, LibraryPlace, Loaded, PREFIX, Place, Problem, Secret};

/// What is read from the working directory when no file is named.
const FILE: &str = "perennial.toml";
/// A thousand times what a household needs.
const FILE_BYTES_MAX: u64 = 4 << 20;
const SECRET_BYTES_MAX: u64 = 64 << 10;
/// Shorter keys can be guessed.
const API_KEY_LENGTH_WISE: usize = 16;
/// RFC 7518 §3.2: as many bytes as the hash has.
const JWT_SECRET_LENGTH_WISE: usize = 32;

/// The variables that [`Config::load`] reads from this process's environment.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .filter(|(name, _)| name.starts_with(PREFIX))
}

impl Config {
    /// Reads the file at `path`, or else `perennial.toml` of the working directory if it exists, or
    /// else nothing but `env`; then the secrets that the configuration names.
    pub fn load(
        path: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, Errors> {
        let here = Path::new(FILE);
        let Some(path) = path.or_else(|| here.exists().then_some(here)) else {
            let mut draft = Draft::without_file(env);
            draft.read_secrets();
            return draft.finish();
        };
        let name = path.to_string_lossy();
        let bytes = read(path, FILE_BYTES_MAX).map_err(|error| {
            let message = format!("cannot be read: {error}");
            Problem {
                place: Place::File(name.as_ref().into()),
                message,
                hint: None,
            }
        })?;
        let mut draft = Draft::of_file(&name, utf8(&name, &bytes)?, env);
        draft.read_secrets();
        Ok(Loaded {
            file: Some(path.to_owned()),
            ..draft.finish()?
        })
    }
}

impl Draft<'_> {
    fn read_secrets(&mut self) {
        if let Some(tls) = self.config.server.tls.clone() {
            // Read again when the listener starts, and when they change; here only to name the line.
            self.read_secret("server.tls.cert_file", &tls.cert_file);
            if self
                .read_secret("server.tls.key_file", &tls.key_file)
                .is_some()
            {
                self.warn_if_exposed("server.tls.key_file", &tls.key_file);
            }
        }
        if let Some(path) = self.config.auth.api_key_file.clone() {
            let key = self.read_secret("auth.api_key_file", &path);
            self.config.auth.api_key = key.and_then(|key| self.api_key(&path, &key));
        }
        self.read_secrets_of_libraries();
        self.read_secrets_of_grants();
        self.read_secrets_of_usenet();
    }

    fn read_secrets_of_libraries(&mut self) {
        let mut libraries = std::mem::take(&mut self.config.libraries);
        for (index, library) in libraries.iter_mut().enumerate() {
            let LibraryPlace::S3(bucket) = &mut library.place else {
                continue;
            };
            let named = [
                ("access_key_id_file", Some(&mut bucket.access_key_id)),
                (
                    "secret_access_key_file",
                    Some(&mut bucket.secret_access_key),
                ),
                ("session_token_file", bucket.session_token.as_mut()),
            ];
            for (key, secret) in named {
                if let Some(secret) = secret {
                    self.fill(&format!("library[{index}].{key}"), secret);
                }
            }
        }
        self.config.libraries = libraries;
    }

    fn read_secrets_of_grants(&mut self) {
        let mut grants = self.config.grants.clone();
        if let Some(secret) = &mut grants.jwt_secret {
            const SETTING: &str = "grants.jwt_secret_file";
            self.fill(SETTING, secret);
            if (1..JWT_SECRET_LENGTH_WISE).contains(&secret.value.expose().len()) {
                let message = format!(
                    "the secret in {} is shorter than 32 bytes: tokens of it can be forged by guessing",
                    secret.file.display()
                );
                self.warning(SETTING, message, "openssl rand -hex 32 makes a good one");
            }
        }
        for (index, issuer) in grants.issuers.iter_mut().enumerate() {
            let setting = format!("grants.issuer[{index}].key_file");
            self.fill(&setting, &mut issuer.key);
            let bytes = issuer.key.value.expose().as_bytes();
            let (kid, audience) = (issuer.kid.clone(), issuer.audience.clone());
            let key = grant::issuer::Issuer::new(kid, issuer.algorithm, bytes, audience);
            if let Err(error) = key.map(|_| ()) {
                let message = format!("{} {error}", issuer.key.file.display());
                self.problem(&setting, message, "alg says what the file must hold");
            }
        }
        self.config.grants = grants;
    }

    fn read_secrets_of_usenet(&mut self) {
        let mut usenet = self.config.usenet.clone();
        for (index, provider) in usenet.providers.iter_mut().enumerate() {
            if let Some(password) = &mut provider.password {
                self.fill(&format!("usenet.provider[{index}].password_file"), password);
            }
        }
        for (index, newznab) in usenet.newznab.iter_mut().enumerate() {
            if let Some(key) = &mut newznab.api_key {
                self.fill(&format!("usenet.newznab[{index}].api_key_file"), key);
            }
        }
        self.config.usenet = usenet;
    }

    /// Reads a secret that is text; the newline at its end is none of it.
    fn fill(&mut self, setting: &str, secret: &mut Secret) {
        let Some(bytes) = self.read_secret(setting, &secret.file) else {
            return;
        };
        let text = String::from_utf8(bytes).unwrap_or_default();
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            let message = format!("{} is empty or no text", secret.file.display());
            self.problem(setting, message, "put the secret into it, on one line");
            return;
        }
        self.warn_if_exposed(setting, &secret.file);
        secret.value = Redacted::new(text.to_owned());
    }

    fn api_key(&mut self, path: &Path, bytes: &[u8]) -> Option<Redacted<String>> {
        const SETTING: &str = "auth.api_key_file";
        let key = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let key = key.strip_suffix(b"\r").unwrap_or(key);
        let printable = std::str::from_utf8(key).ok().filter(|key| !key.is_empty());
        let printable = printable.filter(|key| key.bytes().all(|b| b.is_ascii_graphic()));
        let Some(key) = printable else {
            let message = format!("{} must hold one line of printable ASCII", path.display());
            self.problem(SETTING, message, "it is sent in a header");
            return None;
        };
        if key.len() < API_KEY_LENGTH_WISE {
            let message = format!(
                "the key in {} is shorter than 16 characters",
                path.display()
            );
            self.warning(SETTING, message, "openssl rand -hex 32 makes a good one");
        }
        self.warn_if_exposed(SETTING, path);
        Some(Redacted::new(key.to_owned()))
    }

    fn read_secret(&mut self, setting: &str, path: &Path) -> Option<Vec<u8>> {
        read(path, SECRET_BYTES_MAX)
            .map_err(|error| {
                let message = format!("{} cannot be read: {error}", path.display());
                self.problem(
                    setting,
                    message,
                    "a path in the file is relative to the file's directory",
                );
            })
            .ok()
    }

    #[cfg(unix)]
    fn warn_if_exposed(&mut self, setting: &str, path: &Path) {
        use std::os::unix::fs::PermissionsExt;
        const OTHERS_READ: u32 = 0o004;
        let exposed = |file: std::fs::Metadata| file.permissions().mode() & OTHERS_READ != 0;
        if path.metadata().is_ok_and(exposed) {
            let message = format!(
                "{} can be read by every user of this machine",
                path.display()
            );
            self.warning(setting, message, &format!("chmod o-r {}", path.display()));
        }
    }

    #[cfg(not(unix))]
    fn warn_if_exposed(&mut self, _: &str, _: &Path) {}

    fn problem(&mut self, setting: &str, message: String, hint: &str) {
        let place = self.place(setting);
        self.walked.problems.push(Problem {
            place,
            message,
            hint: Some(hint.to_owned()),
        });
    }

    fn warning(&mut self, setting: &str, message: String, hint: &str) {
        let place = self.place(setting);
        self.walked.warnings.push(Problem {
            place,
            message,
            hint: Some(hint.to_owned()),
        });
    }

    fn place(&self, path: &str) -> Place {
        let setting = self
            .walked
            .settings
            .iter()
            .find(|setting| setting.path == path);
        setting
            .expect("the schema has the key")
            .place(self.source.as_ref())
    }
}

/// The bytes of a file that may have `bytes_max` of them.
fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(bytes_max + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {bytes_max} bytes"),
        ));
    }
    Ok(bytes)
}

/// `bytes` as text, or where they stop being any.
fn utf8<'b>(name: &str, bytes: &'b [u8]) -> Result<&'b str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let before = String::from_utf8_lossy(&bytes[..at]);
        let place = Source::new(name, &before).place(at);
        let message = "this byte is not UTF-8, as TOML must be".to_owned();
        Problem {
            place,
            message,
            hint: None,
        }
    })
}
