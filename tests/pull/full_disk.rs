//! A disk that others fill while a pull is under way.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::hub::{At, Entry, Fault, Kind, On, What};
use crate::support::{World, noise, ran};

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

#[test]
fn a_disk_that_fills_meanwhile_ends_a_pull_with_what_is_missing_and_the_next_goes_on() {
    let world = World::new(10);
    let at = world.path("small");
    let Some(disk) = Small::mount(&at) else { return };
    world.hub.repo(Kind::Model, "org/two").commit(&[
        Entry::lfs("first.bin", noise(1, 8 << 20)),
        Entry::lfs("second.bin", noise(2, 8 << 20)),
    ]);
    let stall = world.hub.fault(Fault::new(On::Cdn, What::Stall(At::File(MIB))).forever());
    let pull = |more: &[&str]| {
        let mut command = world.command(&["pull", "org/two", "--jobs", "1"]);
        command.args(more).env("TONNAGE_HOME", at.join("store"));
        command
    };
    let child = pull(&["--json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    stall.wait_hits(1);
    let filler = File::create(at.join("filler")).unwrap();
    fallocate(&filler, FallocateFlags::empty(), 0, disk.free() - MIB).unwrap();
    stall.release();
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
    let again = ran(&mut pull(&[]));
    assert_eq!(again.code, Some(5), "{again:?}");
    assert!(again.stderr.contains(&needs), "{again:?}");

    drop(filler);
    fs::remove_file(at.join("filler")).unwrap();
    let pulled = ran(&mut pull(&["--json"]));
    assert_eq!(pulled.code, Some(0), "{pulled:?}");
    assert_eq!(pulled.json()["fetched_bytes"], 8 * MIB, "{pulled:?}");
}
