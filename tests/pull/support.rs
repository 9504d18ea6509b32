//! A hub with a model, and a store that pulls from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::hub::{Entry, Hub, Kind, RepoHandle};
pub use crate::process::{Ran, noise};

pub const MODEL: &str = "org/name";
pub const WEIGHTS: &str = "model.safetensors";

pub struct World {
    pub hub: Hub,
    pub repo: RepoHandle,
    pub commit: String,
    pub weights: Vec<u8>,
    dir: TempDir,
}

impl World {
    /// A hub with [`MODEL`], whose weights are so many bytes, and no store yet.
    pub fn new(size: usize) -> Self {
        let hub = Hub::start();
        let repo = hub.repo(Kind::Model, MODEL);
        let weights = noise(7, size);
        let commit = repo.commit(&[
            Entry::git("config.json", "{\"layers\":2}"),
            Entry::git("sub/tokenizer #1.json", "[]"),
            Entry::git("empty", ""),
            Entry::lfs(WEIGHTS, weights.clone()),
        ]);
        Self { hub, repo, commit, weights, dir: TempDir::with_prefix("tonnage-pull-").unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program on the store `store`, which asks this hub and knows no token.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tonnage"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("HF_") || name.to_ascii_lowercase().ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        command.env("HF_HOME", self.path("hf")).env("HF_ENDPOINT", self.hub.url());
        command.env("TONNAGE_HOME", self.path("store")).env_remove("HUGGING_FACE_HUB_TOKEN");
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(args))
    }

    pub fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        ran
    }

    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The model's files are at `dir` byte for byte, and the store's books are right.
    pub fn assert_whole(&self, dir: &Path) {
        assert!(fs::read(dir.join(WEIGHTS)).unwrap() == self.weights, "the weights differ");
        assert_eq!(fs::read(dir.join("config.json")).unwrap(), b"{\"layers\":2}");
        assert_eq!(fs::read(dir.join("sub/tokenizer #1.json")).unwrap(), b"[]");
        assert_eq!(fs::read(dir.join("empty")).unwrap(), b"");
        self.ok(&["fsck"]);
        self.ok(&["verify", "--full"]);
    }
}
