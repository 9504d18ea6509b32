//! Real file systems, in images mounted by loop.
//!
//! Mounting takes root; without it, or without a file system's tools or kernel support, it is said
//! what is skipped.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{is_root, skipped};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
    Btrfs,
    Tmpfs,
    Minix,
    /// Ext4 whose directories can ignore case.
    Casefold,
    /// XFS that ignores the case of ASCII letters.
    XfsCi,
}

impl Kind {
    pub fn make(self) -> Option<&'static [&'static str]> {
        Some(match self {
            Self::Ext4 => &["mkfs.ext4", "-q", "-F", "-m", "0"],
            Self::Xfs => &["mkfs.xfs", "-q", "-m", "reflink=1"],
            Self::Btrfs => &["mkfs.btrfs", "-q", "--mixed"],
            Self::Minix => &["mkfs.minix", "-3"],
            Self::Casefold => &["mkfs.ext4", "-q", "-F", "-O", "casefold"],
            Self::XfsCi => &["mkfs.xfs", "-q", "-n", "version=ci"],
            Self::Tmpfs => return None,
        })
    }

    pub fn reflinks(self) -> bool {
        matches!(self, Self::Xfs | Self::Btrfs)
    }
}

const MIB: u64 = 1 << 20;

/// A mounted file system, unmounted when it is dropped.
pub struct Mounted {
    pub at: PathBuf,
    _dir: tempfile::TempDir,
}

pub fn run(command: &[&str], more: &[&Path]) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let out = Command::new(program)
        .args(arguments)
        .args(more)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{program}: {e}"))?;
    if out.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&out.stderr).lines().next().unwrap_or("")))
}

impl Mounted {
    pub fn try_new(kind: Kind, size: u64) -> Result<Self, String> {
        if !is_root() {
            return Err("mounting takes root".to_owned());
        }
        let dir = tempfile::Builder::new().prefix("tonnage-fs-").tempdir().unwrap();
        let (at, image) = (dir.path().canonicalize().unwrap().join("mnt"), dir.path().join("img"));
        fs::create_dir(&at).unwrap();
        match kind.make() {
            Some(make) => {
                fs::File::create(&image).unwrap().set_len(size).unwrap();
                run(make, &[&image])?;
                run(&["mount", "-o", "loop"], &[&image, &at])?;
            }
            None => {
                let options = format!("size={size}");
                run(&["mount", "-t", "tmpfs", "-o", &options, "tonnage"], &[&at])?;
            }
        }
        Ok(Self { at, _dir: dir })
    }

    /// `None`, and a word about it, where that cannot be had.
    pub fn new(kind: Kind, size: u64) -> Option<Self> {
        Self::try_new(kind, size).map_err(|why| skipped(&format!("{kind:?}: {why}"))).ok()
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.at.join(name)
    }

    pub fn remount(&self, how: &str) {
        run(&["mount", "-o", &format!("remount,{how}")], &[&self.at]).unwrap();
    }

    /// Bytes that an unprivileged writer can use, after what is on its way has arrived.
    pub fn free(&self) -> u64 {
        rustix::fs::syncfs(fs::File::open(&self.at).unwrap()).unwrap();
        let stat = rustix::fs::statvfs(&self.at).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    /// Bytes in use, after what is on its way has arrived. Of btrfs, those of files: what it keeps for
    /// itself goes up and down.
    pub fn used(&self) -> u64 {
        // What btrfs frees in one commit is free behind the next.
        for _ in 0..2 {
            rustix::fs::syncfs(fs::File::open(&self.at).unwrap()).unwrap();
        }
        let btrfs = Command::new("btrfs").args(["filesystem", "df", "-b"]).arg(&self.at).output();
        let text = btrfs.map(|out| String::from_utf8(out.stdout).unwrap()).unwrap_or_default();
        if let Some(line) = text.lines().find(|line| line.starts_with("Data")) {
            return line.rsplit('=').next().unwrap().parse().unwrap();
        }
        let stat = rustix::fs::statvfs(&self.at).unwrap();
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    }

    /// Fills it until about `left` bytes are free, with files in `fill/`.
    pub fn fill(&self, left: u64) {
        fs::create_dir_all(self.at("fill")).unwrap();
        for (index, piece) in [MIB, 64 << 10, 4 << 10].into_iter().enumerate() {
            let at = self.at(&format!("fill/{index}-{}", fastrand::u64(..)));
            let Ok(mut file) = fs::File::create(at) else { return };
            let zeros = vec![0xa5; usize::try_from(piece).unwrap()];
            loop {
                let free = self.free();
                if free < left + piece {
                    break;
                }
                for _ in 0..((free - left) / piece / 2).max(1) {
                    if file.write_all(&zeros).is_err() {
                        break;
                    }
                }
                if file.sync_all().is_err() || self.free() >= free {
                    break;
                }
            }
        }
    }

    pub fn unfill(&self) {
        fs::remove_dir_all(self.at("fill")).unwrap();
        self.free();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily when a failed test still has something open.
        if run(&["umount"], &[&self.at]).is_err() {
            let _ = run(&["umount", "-l"], &[&self.at]);
        }
    }
}
