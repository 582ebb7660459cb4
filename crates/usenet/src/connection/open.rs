//! From nothing to a connection that is signed in.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nzb::nntp::{Command, Credential, Meaning, Status, StatusReader};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::ProviderSettings;
use crate::pool::Refusal;

/// For TCP, TLS, and each answer of the sign-in.
const STEP: Duration = Duration::from_secs(10);
/// For a goodbye: nobody waits for it.
const GOODBYE: Duration = Duration::from_secs(2);

/// A byte stream, encrypted or not.
pub(crate) type Wire = Box<dyn Stream>;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects, reads the greeting and signs in.
pub(crate) async fn open(settings: &ProviderSettings) -> Result<Wire, Refusal> {
    let mut wire = connect(settings).await?;
    let greeting = answer(&mut wire).await?;
    accept(&greeting)?;
    let Some(username) = &settings.username else {
        return Ok(wire);
    };
    let bad = |bad: nzb::nntp::BadArgument| Refusal::Denied(bad.to_string());
    let user = Credential::new(username).map_err(bad)?;
    let status = ask(&mut wire, &Command::AuthUser(&user)).await?;
    if status.meaning() == Meaning::PasswordWanted {
        let pass = Credential::new(settings.password.expose()).map_err(bad)?;
        accept(&ask(&mut wire, &Command::AuthPass(&pass)).await?)?;
    } else {
        accept(&status)?;
    }
    Ok(wire)
}

/// Asks for the server's time: the cheapest round trip there is.
pub(crate) async fn date(wire: &mut Wire) -> Result<(), Refusal> {
    accept(&ask(wire, &Command::Date).await?)
}

/// Says goodbye.
pub(crate) async fn quit(mut wire: Wire) {
    let mut line = Vec::new();
    Command::Quit.render(&mut line);
    let goodbye = async {
        wire.write_all(&line).await?;
        wire.flush().await?;
        wire.shutdown().await
    };
    // The connection ends either way.
    drop(timeout(GOODBYE, goodbye).await);
}

async fn connect(settings: &ProviderSettings) -> Result<Wire, Refusal> {
    let address = (settings.host.as_str(), settings.port);
    let tcp = step("connecting", TcpStream::connect(address)).await?;
    tcp.set_nodelay(true)
        .map_err(|error| Refusal::Broken(error.to_string()))?;
    let Some(config) = &settings.tls else {
        return Ok(Box::new(tcp));
    };
    let name = ServerName::try_from(settings.host.clone())
        .map_err(|_| Refusal::Denied("no host name that TLS can check".to_owned()))?;
    let connector = TlsConnector::from(Arc::clone(config));
    let tls = step("tls", connector.connect(name, tcp)).await?;
    Ok(Box::new(tls))
}

async fn ask(wire: &mut Wire, command: &Command<'_>) -> Result<Status, Refusal> {
    let mut line = Vec::new();
    command.render(&mut line);
    let send = async {
        wire.write_all(&line).await?;
        wire.flush().await
    };
    step("signing in", send).await?;
    answer(wire).await
}

/// Reads one status line, byte by byte: nothing may follow it yet.
async fn answer(wire: &mut Wire) -> Result<Status, Refusal> {
    let mut reader = StatusReader::default();
    let read = async {
        loop {
            let byte = wire.read_u8().await?;
            match reader.push(&[byte]) {
                Ok((_, Some(status))) => return Ok(status),
                Ok((_, None)) => {}
                Err(bad) => return Err(io::Error::new(io::ErrorKind::InvalidData, bad)),
            }
        }
    };
    step("signing in", read).await
}

fn accept(status: &Status) -> Result<(), Refusal> {
    match status.meaning() {
        Meaning::Done => Ok(()),
        meaning => Err(match super::refusal(meaning, status) {
            // Whatever else refuses a sign-in will refuse the next one too.
            Refusal::Broken(text) => Refusal::Denied(text),
            other => other,
        }),
    }
}

async fn step<T>(doing: &str, work: impl Future<Output = io::Result<T>>) -> Result<T, Refusal> {
    match timeout(STEP, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Refusal::Broken(format!("{doing}: {error}"))),
        Err(_) => Err(Refusal::Broken(format!(
            "{doing}: no answer for {} s",
            STEP.as_secs()
        ))),
    }
}
