//! Two processes: before every operation of one, the other comes and does all of its work.
//!
//! The visitor comes at the first moment at which the visited process locks nothing that it would
//! wait for; a visit in the middle of a write transaction would only wait for its end.

use std::sync::{Arc, Mutex, PoisonError};

use super::check::{Expect, Kind, Look, check};
use super::world::{self, Model, world};
use crate::fs::sim::{Fault, Plan, SimDisk};
use crate::store::{Removing, Store, Take};
use crate::views::ViewOptions;

type Outcome = Result<(), String>;
type Work = Arc<dyn Fn(&Store) -> Outcome + Send + Sync>;

/// Runs `host` with a visit of `guest` before its every operation. `judge` gets what became of
/// both, and tells what must hold then.
fn interleave(
    name: &str,
    disk: &SimDisk,
    host: &Work,
    guest: &Work,
    judge: impl Fn(&Outcome, &Outcome) -> Result<Expect, String>,
) {
    let mut violations = Vec::new();
    let mut visits = 0;
    for at in 0.. {
        let disk = disk.fork();
        fastrand::seed(7);
        disk.arm(Plan::any(u64::MAX, Fault::Kill));
        let visited: Arc<Mutex<Option<Outcome>>> = Arc::default();
        disk.others_wait_for("/store/views");
        let (result, visitor, work) = (visited.clone(), disk.clone(), guest.clone());
        disk.visit_at(at, move || {
            let outcome = world::open(&visitor.process()).and_then(|store| work(&store));
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        });
        let hosted = world::open(&disk.process()).and_then(|store| host(&store));
        let Some(visit) = visited.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            assert!(disk.awaits_visit());
            break;
        };
        visits += 1;
        let checked = judge(&hosted, &visit).and_then(|expect| {
            check(&disk.fork(), &expect, Kind::default())?;
            // What both were told is done also survives a power loss.
            disk.cut_power();
            disk.reboot(crate::fs::sim::Keep::None);
            let views = Vec::new();
            let lost = Kind { power: true, acknowledged: true, ..Kind::default() };
            check(&disk, &Expect { views, ..expect }, lost)
        });
        if let Err(e) = checked {
            violations.push(format!("operation {at}: host {hosted:?}, guest {visit:?}: {e}"));
        }
    }
    println!("{name}: {visits} visits, {} violations", violations.len());
    assert!(visits > 20, "the guest came {visits} times only");
    assert!(
        violations.is_empty(),
        "{name}: {} violations, such as\n{}",
        violations.len(),
        violations[..violations.len().min(8)].join("\n")
    );
}

fn adds(model: &Model) -> Work {
    let model = model.clone();
    Arc::new(move |store| model.add(store, Take::Auto))
}

fn removes(model: &Model) -> Work {
    let model = model.clone();
    Arc::new(move |store| model.remove(store))
}

fn collects() -> Work {
    Arc::new(world::collect)
}

fn both(host: &Outcome, guest: &Outcome) -> Outcome {
    host.clone()?;
    guest.clone()
}

#[test]
fn a_collector_takes_nothing_from_an_import() {
    let (a, b) = (world::a(), world::b());
    // a's blobs are in blobs/ in every way: shared and Present, Dying, and without a row.
    let disk = world(&[&a, &b], |store| {
        a.add(store, Take::Auto).unwrap();
        b.add(store, Take::Auto).unwrap();
        store.remove_revisions(&[a.resolve(store).unwrap()], Removing::default()).unwrap();
    });
    interleave("import, visited by gc", &disk, &adds(&a), &collects(), |host, guest| {
        both(host, guest)?;
        Ok(Expect { must: vec![a.clone(), b.clone()], main: vec![a.clone()], ..Expect::default() })
    });
}

#[test]
fn a_collector_takes_nothing_from_a_first_import() {
    let a = world::a();
    let disk = world(&[&a], |_| {});
    interleave(
        "import of new bytes, visited by gc",
        &disk,
        &adds(&a),
        &collects(),
        |host, guest| {
            both(host, guest)?;
            Ok(Expect { must: vec![a.clone()], main: vec![a.clone()], ..Expect::default() })
        },
    );
}

#[test]
fn a_remover_takes_nothing_from_an_import() {
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |store| b.add(store, Take::Auto).unwrap());
    interleave("import, visited by rm of a sharing model", &disk, &adds(&a), &removes(&b), {
        |host, guest| {
            both(host, guest)?;
            Ok(Expect { must: vec![a.clone()], main: vec![a.clone()], ..Expect::default() })
        }
    });
}

#[test]
fn an_import_and_the_removal_of_the_same_model_leave_all_or_nothing() {
    let a = world::a();
    let disk = world(&[&a], |store| a.add(store, Take::Auto).unwrap());
    interleave("import, visited by rm of itself", &disk, &adds(&a), &removes(&a), {
        |host, guest| {
            both(host, guest)?;
            Ok(Expect { may: vec![a.clone()], ..Expect::default() })
        }
    });
}

#[test]
fn two_imports_of_the_same_bytes_agree() {
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |_| {});
    interleave("import, visited by the same import", &disk, &adds(&a), &adds(&a), {
        |host, guest| {
            both(host, guest)?;
            Ok(Expect { must: vec![a.clone()], main: vec![a.clone()], ..Expect::default() })
        }
    });
    interleave("import, visited by a sharing import", &disk, &adds(&a), &adds(&b), {
        |host, guest| {
            both(host, guest)?;
            let must = vec![a.clone(), b.clone()];
            Ok(Expect { must: must.clone(), main: must, ..Expect::default() })
        }
    });
}

#[test]
fn an_import_loses_nothing_to_a_collector_it_visits() {
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |store| {
        a.add(store, Take::Auto).unwrap();
        b.add(store, Take::Auto).unwrap();
        store.remove_revisions(&[a.resolve(store).unwrap()], Removing::default()).unwrap();
    });
    interleave("gc, visited by an import", &disk, &collects(), &adds(&a), |host, guest| {
        both(host, guest)?;
        Ok(Expect { must: vec![a.clone(), b.clone()], main: vec![a.clone()], ..Expect::default() })
    });
}

#[test]
fn a_collector_sees_that_an_import_took_what_it_had_listed() {
    let a = world::a();
    let disk = world(&[&a], |_| {});
    for bytes in a.files.values() {
        disk.write_file(format!("/store/blobs/{}", blake3::hash(bytes).to_hex()), bytes);
    }
    interleave("gc of orphans, visited by an import", &disk, &collects(), &adds(&a), {
        |host, guest| {
            both(host, guest)?;
            Ok(Expect { must: vec![a.clone()], main: vec![a.clone()], ..Expect::default() })
        }
    });
}

#[test]
fn an_import_loses_nothing_to_a_removal_it_visits() {
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |store| b.add(store, Take::Auto).unwrap());
    interleave("rm, visited by a sharing import", &disk, &removes(&b), &adds(&a), |host, guest| {
        both(host, guest)?;
        Ok(Expect { must: vec![a.clone()], main: vec![a.clone()], ..Expect::default() })
    });
}

#[test]
fn a_view_is_whole_whoever_removes_its_model() {
    const PATH: &str = "/home/view";
    let (a, b) = (world::a(), world::b());
    let disk = world(&[&a, &b], |store| {
        a.add(store, Take::Auto).unwrap();
        b.add(store, Take::Auto).unwrap();
    });
    let model = a.clone();
    let checks_out: Work =
        Arc::new(move |store| model.checkout(store, PATH, ViewOptions::default()));
    for (name, guest) in [("rm", removes(&a)), ("gc", collects())] {
        let name = format!("checkout, visited by {name}");
        interleave(&name, &disk, &checks_out, &guest, |host, guest| {
            guest.clone()?;
            let look = match host {
                Ok(()) => Look::Of(a.clone()),
                // Its model was gone before it had a lease.
                Err(e) if e.ends_with("is not in the store") => Look::Nothing,
                Err(e) => return Err(e.clone()),
            };
            let views = vec![(PATH, vec![look])];
            let may = vec![a.clone()];
            Ok(Expect { must: vec![b.clone()], may, views, ..Expect::default() })
        });
    }
}
