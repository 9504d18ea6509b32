//! A store of its own for each test, and what a run of the program said.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub use crate::process::{Ran, noise};

/// A temporary directory with a store in `store`, made by the first `add`.
pub struct Home {
    dir: TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self { dir: TempDir::with_prefix("tonnage-cli-").unwrap() }
    }

    /// With `org/a` of three files, two of which `org/b` has too.
    pub fn with_models() -> Self {
        let home = Self::new();
        home.write("a/weights.bin", &noise(1, 2_500_000));
        home.write("a/sub/shared.bin", &noise(2, 100_000));
        home.write("a/config.json", b"{}");
        home.write("b/weights.bin", &noise(3, 300_000));
        home.write("b/sub/shared.bin", &noise(2, 100_000));
        home.write("b/config.json", b"{}");
        home.ok(["add", "a", "--name", "org/a"]);
        home.ok(["add", "b", "--name", "org/b"]);
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The program, in the temporary directory, with its store.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tonnage"));
        command.args(args).current_dir(self.dir.path());
        command.env("TONNAGE_HOME", self.path("store")).env_remove("NO_COLOR");
        command.stdin(Stdio::null());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// Runs what must work, and returns what it printed.
    pub fn ok<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
        ran.stdout
    }

    /// Runs what must work, with `--json`.
    pub fn json(&self, args: &[&str]) -> Value {
        self.json_exit(args, 0)
    }

    /// Runs what must end with this code, with `--json`: the object on stdout.
    pub fn json_exit(&self, args: &[&str], code: i32) -> Value {
        let ran = self.run(args.iter().chain(&["--json"]));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(code), ""), "{args:?}: {ran:?}");
        ran.json()
    }

    /// Runs what must fail so, for a person and for a program, and returns what a person sees.
    pub fn fails(&self, args: &[&str], code: i32, kind: &str) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{args:?}: {ran:?}");
        assert!(ran.stderr.starts_with("error: "), "{ran:?}");
        let object = self.json_exit(args, code);
        assert_eq!(object["error"]["kind"], kind, "{object}");
        assert!(object["error"]["message"].is_string(), "{object}");
        assert!(object["error"].get("hint").is_some(), "{object}");
        ran.stderr
    }

    /// The names in a directory of the store.
    pub fn names(&self, dir: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("store").join(dir)) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The store's file of a file of a model.
    pub fn blob(&self, model: &str, path: &str) -> PathBuf {
        let shown = self.json(&["show", model]);
        let files = shown["files"].as_array().unwrap();
        let file = files.iter().find(|file| file["path"] == path).unwrap();
        self.path("store/blobs").join(file["blob"].as_str().unwrap())
    }

    /// Bytes that the store takes on the disk.
    pub fn physical(&self) -> u64 {
        self.json(&["du"])["physical"].as_u64().unwrap()
    }

    /// The models that are listed.
    pub fn here(&self) -> Vec<String> {
        let listed = self.json(&["ls"]);
        models(&listed["models"]).into_iter().map(str::to_owned).collect()
    }

    pub fn is_whole(&self) {
        let found = self.json(&["fsck"]);
        assert_eq!(found["ok"], true, "{found}");
    }
}

/// The models of a list of revisions.
pub fn models(of: &Value) -> Vec<&str> {
    of.as_array().unwrap().iter().map(|one| one["model"].as_str().unwrap()).collect()
}

/// The names of an object's fields, sorted.
pub fn fields(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

pub const MODEL_FIELDS: [&str; 11] = [
    "degraded",
    "exclusive",
    "files",
    "last_used",
    "model",
    "path",
    "pinned",
    "refs",
    "revision",
    "shared",
    "size",
];

/// Every file below `dir` with its bytes.
pub fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                files.push((path.strip_prefix(dir).unwrap().to_owned(), bytes));
            }
        }
    }
    files.sort();
    files
}
