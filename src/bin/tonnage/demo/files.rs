//! What the demonstration stores, and the accident that it shows.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Six quantizations of one small model, written by llama.cpp.
pub const QUANTIZATIONS: [(&str, &[u8]); 6] = [
    ("Q4_K_S", include_bytes!("../../../../fixtures/tiny-llama-GGUF/tiny-llama-Q4_K_S.gguf")),
    ("Q4_K_M", include_bytes!("../../../../fixtures/tiny-llama-GGUF/tiny-llama-Q4_K_M.gguf")),
    ("Q4_K_L", include_bytes!("../../../../fixtures/tiny-llama-GGUF/tiny-llama-Q4_K_L.gguf")),
    ("Q5_K_M", include_bytes!("../../../../fixtures/tiny-llama-GGUF/tiny-llama-Q5_K_M.gguf")),
    ("Q6_K", include_bytes!("../../../../fixtures/tiny-llama-GGUF/tiny-llama-Q6_K.gguf")),
    ("Q8_0", include_bytes!("../../../../fixtures/tiny-llama-GGUF/tiny-llama-Q8_0.gguf")),
];

const CONFIG: &[u8] = include_bytes!("../../../../fixtures/tiny-llama-GGUF/config.json");

/// Writes the quantizations of these names, and their configuration, below `dir`.
pub fn write(dir: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join("config.json"), CONFIG)?;
    for (name, bytes) in QUANTIZATIONS.iter().filter(|(name, _)| wanted(name)) {
        fs::write(dir.join(format!("tiny-llama-{name}.gguf")), bytes)?;
    }
    Ok(())
}

/// A bit that a disk got wrong: the file's size, time, mode and inode are as they were.
pub struct FlippedBit {
    path: PathBuf,
    at: u64,
}

impl FlippedBit {
    pub fn new(path: PathBuf, at: u64) -> io::Result<Self> {
        flip(&path, at)?;
        Ok(Self { path, at })
    }

    pub fn put_back(self) -> io::Result<()> {
        flip(&self.path, self.at)
    }
}

fn flip(path: &Path, at: u64) -> io::Result<()> {
    let before = fs::metadata(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o644))?;
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ 1], at)?;
    File::set_modified(&file, before.modified()?)?;
    fs::set_permissions(path, before.permissions())
}
