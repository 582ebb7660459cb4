//! What a process keeps in memory.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

/// Bytes that a process keeps, its memory files (`memfd_create(2)`) included: what was written to one and not
/// read through a map is in no `VmRSS` of proc(5), and what was is in `RssShmem`, which is left out here.
///
/// # Errors
/// There is no such process, or it is somebody else's.
pub fn kept(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.ok_or_else(|| io::Error::other(format!("/proc/{pid}/status has no {name}")))
    };
    let resident = (kib("RssAnon:")? + kib("RssFile:")?) * 1024;
    Ok(resident + memory_files(pid)?)
}

fn memory_files(pid: u32) -> io::Result<u64> {
    let (mut seen, mut bytes) = (HashSet::new(), 0);
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let path = entry?.path();
        // It may be closed by now.
        let Ok(target) = fs::read_link(&path) else {
            continue;
        };
        if target.to_string_lossy().starts_with("/memfd:")
            && let Ok(file) = fs::metadata(&path)
            && seen.insert(file.ino())
        {
            bytes += file.blocks() * 512;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;

    #[test]
    fn a_memory_file_counts_once_and_until_it_is_closed() {
        const BYTES: usize = 64 << 20;
        let kept = || kept(std::process::id()).unwrap();
        let before = kept();
        let mut file = fs::File::from(memfd_create("test", MemfdFlags::CLOEXEC).unwrap());
        let piece = vec![1; 1 << 20];
        for _ in 0..BYTES >> 20 {
            file.write_all(&piece).unwrap();
        }
        let other = file.try_clone().unwrap();
        let grown = kept() - before;
        let about = BYTES as u64..BYTES as u64 + (16 << 20);
        assert!(about.contains(&grown), "{grown}");
        drop((file, other));
        assert!(kept() < before + (16 << 20));
    }
}
