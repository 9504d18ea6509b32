//! What a test learns from the hub.

use std::thread;

use crate::client::{CONFIG, Client, WEIGHTS, ask, bytes, get, large, link, model};
use crate::hub::{At, Entry, Fault, Hub, Kind, On, Origin, What};

#[test]
fn the_log_says_what_was_asked_and_what_was_sent() {
    let hub = Hub::start();
    hub.token("hf_x", "someone");
    model(&hub);
    let url = format!("{}{}?download=true", hub.url(), WEIGHTS.replace("weights/", "weights%2F"));
    let link = ask("GET", &url, &[("Authorization", "Bearer hf_x"), ("User-Agent", "u/1")]);
    ask("GET", link.location(), &[("Range", "bytes=10-19")]);
    let log = hub.log();
    let (first, second) = (&log[0], &log[1]);
    assert_eq!((first.origin, second.origin), (Origin::Hub, Origin::Cdn));
    assert_eq!((first.method.as_str(), first.path.as_str()), ("GET", WEIGHTS));
    assert_eq!(first.query, "download=true");
    assert_eq!(first.authorization.as_deref(), Some("Bearer hf_x"));
    assert_eq!(first.header("user-agent"), Some("u/1"));
    assert_eq!((first.status, first.content, first.done), (302, false, true));
    assert_eq!(second.authorization, None);
    assert_eq!((second.range, second.status), (Some((10, Some(19))), 206));
    assert_eq!((second.body_sent, second.content, second.done), (10, true, true));
    for request in &log {
        assert_eq!(request.file.as_deref(), Some("weights/model.safetensors"));
    }
    assert_eq!(hub.requests(|request| request.origin == Origin::Cdn).len(), 1);
    assert_eq!(hub.body_bytes_sent("weights/model.safetensors"), 10);
    assert_eq!(hub.body_bytes_sent("*.safetensors"), 10);
    hub.forget_log();
    assert_eq!((hub.log().len(), hub.body_bytes_sent("*")), (0, 0));
    get(&hub, CONFIG);
    assert_eq!(hub.log()[0].status, 307);
}

#[test]
fn whoever_waits_is_woken_by_what_happens() {
    let hub = Hub::start();
    model(&hub);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            hub.wait_for(|log| log.iter().any(|request| request.status == 307));
            hub.wait_for_bytes("config.json", 1);
        });
        get(&hub, get(&hub, CONFIG).location());
        waiting.join().unwrap();
    });
    hub.wait_for_connections(0);
    assert_eq!(hub.connections(), 0);
}

#[test]
fn many_connections_are_served_at_once() {
    let hub = Hub::start();
    let repo = hub.repo(Kind::Model, "org/name");
    let entries: Vec<_> =
        (0..32).map(|n| Entry::lfs(&format!("part-{n:02}"), bytes(n, 100_000))).collect();
    repo.commit(&entries);
    let stall = hub.fault(Fault::new(On::Cdn, What::Stall(At::Body(50_000))).forever());
    thread::scope(|scope| {
        for n in 0..32 {
            let (hub, repo) = (&hub, &repo);
            scope.spawn(move || {
                let url = link(hub, &repo.resolve_path("main", &format!("part-{n:02}")));
                let mut client = Client::new(&url);
                for _ in 0..3 {
                    let reply = client.get(&url[hub.cdn_url().len()..]);
                    assert!(reply.body == bytes(n, 100_000));
                }
            });
        }
        hub.wait_for_bytes("part-*", 32 * 50_000);
        stall.release();
    });
    assert_eq!((stall.hits(), hub.most_bodies_at_once()), (32, 32));
    assert_eq!(hub.body_bytes_sent("part-*"), 32 * 3 * 100_000);
}

#[test]
fn bodies_one_after_the_other_are_never_two_at_once() {
    let hub = Hub::start();
    model(&hub);
    let url = link(&hub, WEIGHTS);
    for _ in 0..20 {
        assert!(ask("GET", &url, &[]).body == large());
    }
    assert_eq!(hub.most_bodies_at_once(), 1);
}

#[test]
fn bytes_that_a_client_went_away_from_are_not_counted_as_sent() {
    let hub = Hub::start();
    hub.repo(Kind::Model, "org/name").commit(&[Entry::lfs("big", bytes(5, 50_000_000))]);
    let url = link(&hub, "/org/name/resolve/main/big");
    let mut client = Client::new(&url);
    client.send("GET", &url[hub.cdn_url().len()..], &[]);
    client.read(1_000_000);
    drop(client);
    hub.wait_for(|log| log.iter().all(|request| request.done));
    let sent = hub.body_bytes_sent("big");
    assert!((900_000..50_000_000).contains(&sent), "{sent}");
}
