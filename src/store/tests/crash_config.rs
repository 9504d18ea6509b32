//! An edit of `config.toml` under every fault: the file is the old or the new one.

use super::world::{open, world};
use crate::config::set;
use crate::fs::sim::{Fault, Keep, Plan, SimDisk};

const FILE: &str = "/store/config.toml";
const OLD: &[u8] = b"# mine\n[names]\na = \"org/old\"\n";
const NEW: &[u8] = b"# mine\n[names]\na = \"org/new\"\n";

fn edit(disk: &SimDisk) -> Result<(), String> {
    let store = open(&disk.process())?;
    set(&store, "names.a", "org/new").map_err(|e| e.to_string())
}

#[test]
fn an_edit_of_the_settings_leaves_the_old_or_the_new_file() {
    let disk = world(&[], |_| {});
    disk.write_file(FILE, OLD);
    for fault in [Fault::Kill, Fault::Eio, Fault::Enospc] {
        for at in 0.. {
            let disk = disk.fork();
            disk.arm(Plan::mutation(at, fault));
            let done = edit(&disk);
            if !disk.fired() {
                assert_eq!(done, Ok(()));
                assert!(at > 3, "{at} operations cannot make a file durable");
                break;
            }
            for keep in [Keep::None, Keep::All, Keep::Random(at), Keep::Torn(at)] {
                let after = disk.fork();
                after.cut_power();
                after.reboot(keep);
                let found = after.read_file(FILE).unwrap_or_default();
                let what = format!("{fault:?} at {at}, {keep:?}: {found:?}");
                assert!(found == NEW || (found == OLD && done.is_err()), "{what}");
                edit(&after).unwrap_or_else(|e| panic!("{what}: again: {e}"));
                assert_eq!(after.read_file(FILE).unwrap(), NEW, "{what}");
            }
        }
    }
}
