//! Files that come from the hub while clients read them.

use std::sync::Arc;

use tonnage::store::{Access, Limits, Store};

use crate::bench::{Bench, CONFIG, MIB, Mirror, WEIGHTS};
use crate::client::{Client, Ended, SMALL};
use crate::hub::{At, Entry, Fault, On, What};
use crate::support::mounts::{self, Mounted};

#[test]
fn many_clients_at_once_cross_the_network_once() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(20 * MIB + 1);
    let mirror = bench.serve();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                assert!(mirror.get(WEIGHTS).body == weights);
                assert_eq!(mirror.get(CONFIG).body, SMALL);
            });
        }
    });
    assert_eq!(bench.sent(), weights.len() as u64);
    assert_eq!(bench.hub.body_bytes_sent("config.json"), SMALL.len() as u64);
}

#[test]
fn bytes_are_given_on_as_they_come() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(40 * MIB);
    let fault = bench.hub.fault(Fault::new(On::Cdn, What::Stall(At::File(30 * MIB as u64))));
    let mirror = bench.serve();
    let mut client = mirror.client();
    mirror.send(&mut client, "GET", WEIGHTS, &[]);
    fault.wait_hits(1);
    // The hub says no more until this is read.
    let head = client.read(16);
    assert!(head.starts_with(b"HTTP/1.1 200"));
    client.read(10 * MIB);
    fault.release();
    let mut rest = Client::new(&mirror.url);
    mirror.send(&mut rest, "GET", WEIGHTS, &[]);
    assert!(rest.reply("GET").body == weights);
    assert_eq!(bench.sent(), weights.len() as u64);
}

#[test]
fn a_client_that_leaves_stops_nobody() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(20 * MIB);
    let fault = bench.hub.fault(Fault::new(On::Cdn, What::Stall(At::File(18 * MIB as u64))));
    let mirror = bench.serve();
    let (mut first, mut second) = (mirror.client(), mirror.client());
    mirror.send(&mut first, "GET", WEIGHTS, &[]);
    mirror.send(&mut second, "GET", WEIGHTS, &[]);
    fault.wait_hits(1);
    first.read(MIB);
    drop(first);
    fault.release();
    assert!(second.reply("GET").body == weights);
    assert_eq!(bench.sent(), weights.len() as u64);
}

#[test]
fn nobody_has_a_whole_file_that_is_wrong() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(10 * MIB);
    bench.hub.fault(Fault::new(On::Cdn, What::FlipBit(8 * MIB as u64 / 2)).times(1));
    let mirror = bench.serve();
    let reply = mirror.get(WEIGHTS);
    assert_eq!((reply.status, reply.ended), (200, Ended::Cut));
    assert!(reply.body.len() < weights.len());
    // A client goes on behind what it has, and part of that is wrong: it is given all of it.
    let (from, last) = (reply.body.len(), weights.len() - 1);
    let rest = format!("bytes={from}-");
    let chunk = format!("bytes={from}-{last}");
    let python = ("user-agent", "unknown/None; hf_hub/2.4.0; python/3.11");
    for _ in ["coming", "here"] {
        let again = mirror.ask("GET", WEIGHTS, &[("range", &rest), python]);
        assert_eq!((again.status, again.ended), (200, Ended::Whole));
        assert!(again.body == weights);
        // Others would append it to what they have.
        assert_eq!(mirror.ask("GET", WEIGHTS, &[("range", &rest)]).status, 416);
        assert_eq!(mirror.ask("GET", WEIGHTS, &[("range", &chunk)]).status, 416);
    }
    mirror.stop();
    // Clients live longer than servers.
    let mirror = bench.serve();
    assert_eq!(mirror.ask("GET", WEIGHTS, &[("range", &rest)]).status, 416);
    assert!(mirror.ask("GET", WEIGHTS, &[("range", &rest), python]).body == weights);
    mirror.stop();
    crate::support::assert_whole(&bench.store());
}

#[test]
fn what_is_wrong_twice_is_given_to_nobody() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(3 * MIB);
    bench
        .hub
        .fault(Fault::new(On::Content, What::FlipBit(MIB as u64)).path("weights.bin").forever());
    let mirror = bench.serve();
    for _ in 0..2 {
        let reply = mirror.get(WEIGHTS);
        assert!(reply.ended != Ended::Whole && reply.body.len() < weights.len());
    }
    assert_eq!(mirror.get(CONFIG).body, SMALL);
}

#[test]
fn trouble_is_borne_by_the_mirror() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(20 * MIB);
    bench.hub.fault(Fault::new(On::Any, What::status(503)).times(2));
    bench.hub.fault(Fault::new(On::Cdn, What::Reset(At::Body(MIB as u64))).times(2));
    bench.hub.fault(Fault::new(On::Cdn, What::Close(At::Body(77))).times(2));
    let mirror = bench.serve();
    let reply = mirror.get(WEIGHTS);
    assert_eq!((reply.status, reply.ended), (200, Ended::Whole));
    assert!(reply.body == weights);
}

#[test]
fn trouble_that_stays_is_never_a_word_that_something_is_missing() {
    let bench = Bench::new();
    bench.model(MIB);
    let mirror = bench.serve();
    let fault = bench.hub.fault(Fault::new(On::Any, What::status(500)).forever());
    for (method, status) in [("HEAD", 502), ("GET", 502)] {
        let reply = mirror.ask(method, WEIGHTS, &[]);
        assert_eq!(reply.status, status, "{}", reply.head);
        assert_eq!(reply.header("x-error-code"), None);
    }
    assert_eq!(mirror.get("/api/models/org/name").status, 502);
    fault.release();
    // What the hub says is passed on, and not that it said nothing.
    let limited = bench.hub.fault(Fault::new(On::Info, What::rate_limited(7)).forever());
    let reply = mirror.ask("HEAD", WEIGHTS, &[]);
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("7")), "{}", reply.head);
    limited.release();
    // The names are known by now, and the bytes do not come: what clients try again for.
    assert_eq!(mirror.ask("HEAD", WEIGHTS, &[]).status, 200);
    let limited = bench.hub.fault(Fault::new(On::Resolve, What::rate_limited(600)).forever());
    let reply = mirror.get(WEIGHTS);
    assert!(reply.ended == Ended::Cut || reply.status == 429, "{}", reply.head);
    limited.release();
    assert_eq!(mirror.get(WEIGHTS).status, 200);
}

#[test]
fn a_killed_mirrors_bytes_are_not_fetched_again() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(40 * MIB);
    let fault =
        bench.hub.fault(Fault::new(On::Cdn, What::Stall(At::File(39 * MIB as u64))).times(1));
    let mirror = bench.serve();
    let mut client = mirror.client();
    mirror.send(&mut client, "GET", WEIGHTS, &[]);
    fault.wait_hits(1);
    bench.hub.wait_for_bytes("weights.bin", 36 * MIB as u64);
    client.read(20 * MIB);
    // As good as a kill for what is on the disk: nothing is published.
    drop(client);
    mirror.stop();
    fault.release();
    let mirror = bench.serve();
    assert!(mirror.get(WEIGHTS).body == weights);
    assert!(bench.sent() < weights.len() as u64 + 6 * MIB as u64, "{}", bench.sent());
}

#[test]
fn the_same_bytes_of_another_model_are_here() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(6 * MIB);
    let mirror = bench.serve();
    mirror.get(WEIGHTS);
    mirror.stop();
    let other = bench.hub.repo(crate::hub::Kind::Model, "org/other");
    other.commit(&[Entry::lfs("again.bin", weights.clone())]);
    let mirror = bench.serve();
    assert!(mirror.get("/org/other/resolve/main/again.bin").body == weights);
    mirror.stop();
    assert_eq!(bench.hub.body_bytes_sent("again.bin"), 0);
    let store = bench.store();
    let here = store.resolve(&"org/other".parse().unwrap()).unwrap();
    assert_eq!(store.manifest(&here).unwrap().files().len(), 1);
}

#[test]
fn files_of_one_commit_add_up_whoever_brings_them() {
    let bench = Bench::new();
    bench.model(2 * MIB);
    for path in [WEIGHTS, CONFIG] {
        let mirror = bench.serve();
        assert_eq!(mirror.get(path).status, 200);
        mirror.stop();
    }
    let store = bench.store();
    let here = store.resolve(&"org/name".parse().unwrap()).unwrap();
    assert_eq!(store.manifest(&here).unwrap().files().len(), 2);
    crate::support::assert_whole(&store);
}

#[test]
fn what_the_store_has_no_room_for_is_given_on_and_not_kept() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(4 * MIB);
    let store = bench.store();
    store.set_limits(Limits { max_bytes: Some(3 * MIB as u64), ..Limits::default() });
    let mirror = Mirror::start(store, bench.options());
    for _ in 0..2 {
        assert!(mirror.get(WEIGHTS).body == weights);
    }
    let part = mirror.ask("GET", WEIGHTS, &[("range", "bytes=5-9")]);
    assert!(part.body == weights[5..10]);
    bench.hub.fault(Fault::new(On::Cdn, What::FlipBit(MIB as u64)).times(1));
    bench.hub.fault(Fault::new(On::Cdn, What::Close(At::Body(MIB as u64 * 2))).times(1));
    let wrong = mirror.get(WEIGHTS);
    assert!(wrong.ended == Ended::Cut && wrong.body.len() < weights.len());
    let rest = format!("bytes={}-", wrong.body.len());
    assert_eq!(mirror.ask("GET", WEIGHTS, &[("range", &rest)]).status, 416);
    mirror.stop();
    let here = bench.store().list().unwrap();
    assert!(here.iter().all(|one| one.size < MIB as u64), "{here:?}");
}

#[test]
fn a_disk_that_others_fill_meanwhile_costs_nobody_a_byte() {
    let Some(disk) = Mounted::new(mounts::Kind::Tmpfs, 64 << 20) else { return };
    let bench = Bench::new();
    // Two files, so that one has no place on the disk yet when it is full.
    let [first, second] = [1, 2].map(|seed| crate::client::bytes(seed, 20 * MIB));
    bench.repo().commit(&[
        Entry::lfs("first.bin", first.clone()),
        Entry::lfs("second.bin", second.clone()),
    ]);
    let paths = ["first", "second"].map(|name| format!("/org/name/resolve/main/{name}.bin"));
    let store = Arc::new(Store::open(disk.at("store"), Access::Write).unwrap());
    let mirror = Mirror::start(store.clone(), bench.options());
    let stall = bench.hub.fault(Fault::new(On::Cdn, What::Stall(At::File(MIB as u64))).forever());
    let mut client = mirror.client();
    mirror.send(&mut client, "GET", &paths[0], &[]);
    stall.wait_hits(1);
    disk.fill(0);
    stall.release();
    // Whoever is cut off comes again, and is given what cannot be kept.
    let reply = client.reply("GET");
    assert!(
        reply.ended == Ended::Whole && reply.body == first || mirror.get(&paths[0]).body == first
    );
    assert!(mirror.get(&paths[1]).body == second);
    let part = mirror.ask("GET", &paths[1], &[("range", "bytes=7-1048590")]);
    assert!(part.body == second[7..1_048_591]);
    disk.unfill();
    assert!(mirror.get(&paths[1]).body == second);
    assert!(mirror.get(&paths[0]).body == first);
    mirror.stop();
    let here: u64 = store.list().unwrap().iter().map(|one| one.size).sum();
    assert_eq!(here, 40 * MIB as u64, "what had room is kept");
    crate::support::assert_whole(&store);
}

#[test]
fn what_was_not_used_for_longest_makes_room() {
    let bench = Bench::new();
    let (_, _, weights) = bench.model(4 * MIB);
    let other = crate::client::bytes(8, 4 * MIB);
    let repo = bench.hub.repo(crate::hub::Kind::Model, "org/other");
    repo.commit(&[Entry::lfs("other.bin", other.clone())]);
    let store = bench.store();
    store.set_limits(Limits { max_bytes: Some(7 * MIB as u64), ..Limits::default() });
    let mirror = Mirror::start(store.clone(), bench.options());
    assert!(mirror.get(WEIGHTS).body == weights);
    mirror.stop();
    let mirror = Mirror::start(store, bench.options());
    assert!(mirror.get("/org/other/resolve/main/other.bin").body == other);
    let metrics = mirror.get("/metrics");
    assert!(metrics.text().contains("tonnage_evicted_revisions_total 1\n"), "{}", metrics.text());
    let freed = metrics.text().lines().find_map(|l| l.strip_prefix("tonnage_freed_bytes_total "));
    assert!(freed.unwrap().parse::<usize>().unwrap() >= weights.len());
    mirror.stop();
    let here: Vec<_> = bench.store().list().unwrap().into_iter().map(|one| one.model).collect();
    assert_eq!(here, ["org/other".parse().unwrap()]);
    let mirror = bench.serve();
    assert!(mirror.get(WEIGHTS).body == weights);
}

#[test]
fn what_is_being_sent_is_not_evicted() {
    let bench = Bench::new();
    bench.model(40 * MIB);
    let mirror = bench.serve();
    mirror.get(WEIGHTS);
    mirror.stop();
    let mirror = bench.serve();
    let mut client = mirror.client();
    mirror.send(&mut client, "GET", WEIGHTS, &[]);
    client.read(MIB);
    let evicted = tonnage::space::evict(
        &bench.store(),
        tonnage::space::EvictGoal::Everything,
        tonnage::space::EvictOptions::default(),
    );
    let evicted = evicted.unwrap();
    assert_eq!((evicted.freed.gone.len(), evicted.freed.kept.len()), (0, 1));
    // The rest is whole.
    client.read(39 * MIB);
}
