//! Segments in memory files: the kernel sends them to a thousand sockets from the same pages, where
//! bytes of the heap would be copied into each socket's buffer (`sendfile(2)`, `memfd_create(2)`).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use bytes::Bytes;
use memmap2::{Mmap, MmapOptions};

/// Bytes that nobody can change any more, as a file without a name and as memory.
#[derive(Clone, Debug)]
pub struct Sealed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    map: Mmap,
    file: File,
}

/// Below this, a copy costs less than another system call.
const WORTHWHILE_BYTES: usize = 16 << 10;

impl Sealed {
    /// Copies `bytes` into a file of their own. `None` for few bytes; the error is the system's: no
    /// memory, or too many open files.
    pub fn copy(bytes: &[u8]) -> io::Result<Option<Self>> {
        if bytes.len() < WORTHWHILE_BYTES {
            return Ok(None);
        }
        let Some(file) = sealed_file(bytes)? else {
            return Ok(None);
        };
        // Private, since older kernels refuse a shared map of a file sealed against writing.
        #[expect(unsafe_code, reason = "a map of a file that might change is unsound")]
        // SAFETY: the seals keep everybody, this process too, from changing or cutting the file.
        let map = unsafe { MmapOptions::new().map_copy_read_only(&file)? };
        Ok(Some(Self(Arc::new(Inner { map, file }))))
    }

    /// The bytes, for those who need them as memory.
    pub fn bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// Where `part` lies in the file, if it is a part of [`Sealed::bytes`].
    pub fn offset_of(&self, part: &[u8]) -> Option<u64> {
        let offset = (part.as_ptr().addr()).checked_sub(self.0.map.as_ptr().addr())?;
        let end = offset.checked_add(part.len())?;
        (end <= self.0.map.len()).then_some(offset as u64)
    }
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        &self.0.map
    }
}

impl AsFd for Sealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.file.as_fd()
    }
}

#[cfg(target_os = "linux")]
fn sealed_file(bytes: &[u8]) -> io::Result<Option<File>> {
    use std::io::Write;

    use rustix::fs::{MemfdFlags, SealFlags};

    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("segment", flags)?);
    file.write_all(bytes)?;
    let seals = SealFlags::SEAL | SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(Some(file))
}

/// Other systems have no files that are sealed against everybody.
#[cfg(not(target_os = "linux"))]
fn sealed_file(_: &[u8]) -> io::Result<Option<File>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn sealed(len: usize) -> (Vec<u8>, Sealed) {
        let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let sealed = Sealed::copy(&bytes).expect("memory").expect("long enough");
        (bytes, sealed)
    }

    #[test]
    fn bytes_are_the_same_and_cannot_be_changed() {
        let (bytes, sealed) = sealed(100_000);
        assert_eq!(sealed.bytes(), bytes);
        let mut file = sealed.0.file.try_clone().unwrap();
        assert!(file.write(&[0]).is_err() && file.set_len(5).is_err());
        let kept = sealed.bytes();
        drop((sealed, file));
        assert_eq!(kept, bytes, "a reader keeps them");
    }

    #[test]
    fn parts_know_their_place() {
        let (bytes, sealed) = sealed(50_000);
        let whole = sealed.bytes();
        assert_eq!(sealed.offset_of(&whole), Some(0));
        assert_eq!(sealed.offset_of(&whole[700..900]), Some(700));
        assert_eq!(sealed.offset_of(&bytes), None);
    }

    #[test]
    fn few_bytes_stay_where_they_are() {
        assert!(Sealed::copy(&[1; 1000]).unwrap().is_none());
    }
}
