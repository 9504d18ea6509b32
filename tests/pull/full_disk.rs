//! A disk that others fill while a pull is under way.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use tonnage::error::ManagerError;
use tonnage::hub::{Config, Proxy, PullRequest};
use tonnage::manager::ModelManager;

use crate::hub::{At, Entry, Fault, FaultHandle, Kind, On, What};
use crate::support::{MODEL, Ran, World, noise};

const MIB: u64 = 1 << 20;

/// A small file system in memory, unmounted when it is dropped.
struct Small<'p>(&'p Path);

impl<'p> Small<'p> {
    /// `None`, and a word about it, where it cannot be had.
    fn mount(at: &'p Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let size = format!("size={}", 64 * MIB);
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tonnage"]).arg(at);
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(at)),
            failed => {
                let _ = writeln!(std::io::stderr().lock(), "SKIPPED: a full disk: {failed:?}");
                None
            }
        }
    }

    fn free(&self) -> u64 {
        let stat = statvfs(self.0).unwrap();
        stat.f_bavail * stat.f_frsize
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

/// A pull of two files of 8 MiB that hangs in the first one until there is not room for the second.
struct Filling<'p> {
    disk: Small<'p>,
    stall: FaultHandle,
}

impl<'p> Filling<'p> {
    fn new(world: &World, at: &'p Path) -> Option<Self> {
        let disk = Small::mount(at)?;
        world.hub.repo(Kind::Model, "org/two").commit(&[
            Entry::lfs("first.bin", noise(1, 8 << 20)),
            Entry::lfs("second.bin", noise(2, 8 << 20)),
        ]);
        let stall = world.hub.fault(Fault::new(On::Cdn, What::Stall(At::File(MIB))).forever());
        Some(Self { disk, stall })
    }

    /// Lets the pull that began go on, on a disk with one MiB left.
    fn fill(&self) {
        self.stall.wait_hits(1);
        let filler = File::create(self.filler()).unwrap();
        fallocate(&filler, FallocateFlags::empty(), 0, self.disk.free() - MIB).unwrap();
        self.stall.release();
    }

    fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.disk.0.join("filler")
    }
}

#[test]
fn a_disk_that_fills_meanwhile_ends_a_pull_with_what_is_missing_and_the_next_goes_on() {
    let world = World::new(10);
    let at = world.path("small");
    let Some(filling) = Filling::new(&world, &at) else { return };
    let pull = |more: &[&str]| {
        let mut command = world.command(&["pull", "org/two", "--jobs", "1"]);
        command.args(more).env("TONNAGE_HOME", at.join("store"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let child = pull(&["--json"]).spawn().unwrap();
    filling.fill();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    let error: serde_json::Value = serde_json::from_str(&said).unwrap();
    let error = &error["error"];
    assert_eq!(error["kind"], "no_space", "{error}");
    let needs = format!("needs {} bytes", 8 * MIB);
    assert!(error["message"].as_str().unwrap().contains(&needs), "{error}");
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.contains("free some space") && hint.contains("kept"), "{error}");

    // And before the first byte, when nothing has changed.
    let again = Ran::of(&mut pull(&[]));
    assert_eq!(again.code, Some(5), "{again:?}");
    assert!(again.stderr.contains(&needs), "{again:?}");

    filling.empty();
    let pulled = Ran::of(&mut pull(&["--json"]));
    assert_eq!(pulled.code, Some(0), "{pulled:?}");
    assert_eq!(pulled.json()["fetched_bytes"], 8 * MIB, "{pulled:?}");
}

#[test]
fn an_app_hears_of_a_disk_that_fills_meanwhile_what_would_help() {
    let world = World::new(10);
    let at = world.path("small");
    let Some(filling) = Filling::new(&world, &at) else { return };
    let hub = Config { endpoint: world.hub.url(), proxy: Proxy::None, ..Config::default() };
    let manager = ModelManager::open(at.join("store"), hub).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let download = |model: &str| {
        let model = model.parse().unwrap();
        manager.download(PullRequest { jobs: 1, ..PullRequest::new(model) })
    };
    let whole = runtime.block_on(download(MODEL).result()).unwrap();
    let task = download("org/two");
    filling.fill();
    let error = runtime.block_on(task.result()).unwrap_err();
    let ManagerError::InsufficientSpace { required, available, evictable } = error else {
        panic!("{error:?}")
    };
    assert_eq!(required, 8 * MIB);
    assert!(available <= MIB && evictable > 0, "{available} {evictable} {whole:?}");
    filling.empty();
    let task = runtime.block_on(download("org/two").result()).unwrap();
    assert_eq!(task.fetched_bytes, 8 * MIB);
}
