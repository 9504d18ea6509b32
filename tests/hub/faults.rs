//! Answers that are wrong as a whole, and which request a fault strikes.

use std::time::Duration;

use crate::client::{CONFIG, Client, Ended, WEIGHTS, ask, get, large, link, model};
use crate::hub::{At, Entry, Fault, Hub, On, What, git_sha1};

const INFO: &str = "/api/models/org/name";
const TREE: &str = "/api/models/org/name/tree/main?recursive=true";

#[test]
fn a_status_replaces_as_many_answers_as_it_is_told() {
    let hub = Hub::start();
    model(&hub);
    let headers = vec![("Retry-After".into(), "7".into())];
    let fault = hub.fault(Fault::new(On::Info, What::Status(503, headers)).times(2));
    let limited = hub.fault(Fault::new(On::Info, What::rate_limited(55)));
    assert_eq!(get(&hub, TREE).status, 200);
    for _ in 0..2 {
        let reply = get(&hub, INFO);
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("7")));
    }
    let reply = get(&hub, INFO);
    assert_eq!((reply.status, reply.header("ratelimit")), (429, Some("\"api\";r=0;t=55")));
    assert_eq!(get(&hub, INFO).status, 200);
    assert_eq!((fault.hits(), limited.hits()), (2, 1));
}

#[test]
fn a_fault_strikes_only_what_it_is_told_to() {
    let hub = Hub::start();
    model(&hub);
    let tree = hub.fault(Fault::new(On::Tree, What::status(500)).skip(1));
    assert_eq!([TREE, TREE, TREE].map(|path| get(&hub, path).status), [200, 500, 200]);
    let head = hub.fault(Fault::new(On::Resolve, What::status(500)).method("HEAD").forever());
    assert_eq!(get(&hub, CONFIG).status, 307);
    assert_eq!(ask("HEAD", &format!("{}{CONFIG}", hub.url()), &[]).status, 500);
    head.release();
    assert_eq!(ask("HEAD", &format!("{}{CONFIG}", hub.url()), &[]).status, 307);
    let path = hub.fault(Fault::new(On::Any, What::status(500)).path("weights/*").forever());
    let url = format!("{}/a?Signature=b", hub.cdn_url());
    assert_eq!(ask("GET", &url, &[]).status, 403);
    assert_eq!((get(&hub, CONFIG).status, get(&hub, WEIGHTS).status), (307, 500));
    hub.release_all();
    assert_eq!(get(&hub, WEIGHTS).status, 302);
    let exact =
        hub.fault(Fault::new(On::Refs, What::status(500)).path("/api/models/org/name/refs"));
    assert_eq!(get(&hub, "/api/models/org/name/refs").status, 500);
    assert_eq!([&tree, &head, &path, &exact].map(|fault| fault.hits()), [1, 1, 1, 1]);
}

#[test]
fn a_page_for_humans_comes_instead_of_a_file() {
    let hub = Hub::start();
    model(&hub);
    let url = link(&hub, WEIGHTS);
    hub.fault(Fault::new(On::Cdn, What::Html).forever());
    let reply = ask("GET", &url, &[("Range", "bytes=0-9")]);
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert_eq!(hub.body_bytes_sent("weights/model.safetensors"), 0);
}

#[test]
fn redirects_lead_in_circles_or_away_or_on_for_ever() {
    let hub = Hub::start();
    model(&hub);
    hub.fault(Fault::new(On::Resolve, What::RedirectLoop));
    assert_eq!(get(&hub, CONFIG).location(), CONFIG);
    hub.fault(Fault::new(On::Resolve, What::RedirectTo("http://127.0.0.1:1/x".into())));
    assert_eq!(get(&hub, CONFIG).location(), "http://127.0.0.1:1/x");
    hub.fault(Fault::new(On::Resolve, What::RedirectForever).forever());
    let mut seen = vec![CONFIG.to_owned()];
    for _ in 0..20 {
        let to = get(&hub, seen.last().unwrap()).location().to_owned();
        assert!(!seen.contains(&to), "{to}");
        seen.push(to);
    }
    assert!(seen[20].len() < CONFIG.len() + 10);
}

#[test]
fn a_branch_moves_between_two_requests() {
    let hub = Hub::start();
    let (repo, old) = model(&hub);
    let new = repo.dangling(&[Entry::git("new", "new")]);
    let moves = What::MoveBranch { branch: "main".into(), commit: new.clone() };
    hub.fault(Fault::new(On::Tree, moves));
    assert_eq!(get(&hub, INFO).json()["sha"], old);
    assert_eq!(get(&hub, TREE).header("x-repo-commit"), Some(new.as_str()));
    assert_eq!(get(&hub, INFO).json()["sha"], new);
    let old = get(&hub, &format!("/api/models/org/name/tree/{old}"));
    assert_eq!(old.json()[0]["path"], "config.json");
}

#[test]
fn links_expire_while_they_are_used() {
    let hub = Hub::start();
    model(&hub);
    let old = [link(&hub, WEIGHTS), link(&hub, WEIGHTS)];
    hub.fault(Fault::new(On::Cdn, What::ExpireLinks).skip(1).path("weights/*"));
    let statuses = [&old[0], &old[0], &old[1]].map(|url| ask("HEAD", url, &[]).status);
    assert_eq!(statuses, [200, 403, 403]);
    assert_eq!(ask("HEAD", &link(&hub, WEIGHTS), &[]).status, 200);
}

#[test]
fn a_tree_has_names_that_nobody_should_write_and_links_that_nobody_should_follow() {
    let hub = Hub::start();
    model(&hub);
    let names = ["../up", "/abs", "a\\b", "CON", "nul\u{0}", "Config.json"].map(String::from);
    hub.fault(
        Fault::new(On::Tree, What::HostileTree(names.to_vec()))
            .and(What::NextLink("http://example.com/next".into())),
    );
    let reply = get(&hub, TREE);
    let lines = reply.json();
    let paths: Vec<_> =
        lines.as_array().unwrap()[3..].iter().map(|l| l["path"].as_str().unwrap()).collect();
    assert_eq!(paths, names);
    assert_eq!(lines[3]["oid"], git_sha1(b"?"));
    assert_eq!(reply.header("link"), Some("<http://example.com/next>; rel=\"next\""));
    assert_eq!(get(&hub, TREE).json().as_array().unwrap().len(), 3);
}

#[test]
fn an_answer_ends_before_it_says_anything_or_within_its_head() {
    let hub = Hub::start();
    model(&hub);
    for (what, head, ended) in [
        (What::Close(At::Head(0)), "", Ended::Cut),
        (What::Close(At::Head(12)), "HTTP/1.1 200", Ended::Cut),
        (What::Reset(At::Head(0)), "", Ended::Reset),
        (What::Reset(At::Head(12)), "HTTP/1.1 200", Ended::Reset),
    ] {
        hub.fault(Fault::new(On::Any, what));
        let reply = get(&hub, INFO);
        assert_eq!((reply.status, reply.head.as_str(), reply.ended), (0, head, ended));
    }
    hub.wait_for(|log| log.iter().all(|request| request.done));
    assert!(hub.log().iter().all(|request| request.status == 0));
}

#[test]
fn a_late_answer_is_a_right_one() {
    let hub = Hub::start();
    model(&hub);
    let late = What::Delay(Duration::from_millis(1));
    let fault = hub.fault(Fault::new(On::Any, late).and(What::Close(At::Body(3))));
    let reply = get(&hub, INFO);
    assert_eq!((reply.status, reply.body.len(), reply.ended), (200, 3, Ended::Cut));
    assert_eq!(fault.hits(), 1);
}

#[test]
fn effects_tied_together_strike_at_once_and_others_take_turns() {
    let hub = Hub::start();
    model(&hub);
    let tied = Fault::new(On::Info, What::status(500)).and(What::Close(At::Body(3)));
    let tied = hub.fault(tied);
    let cut = hub.fault(Fault::new(On::Info, What::Close(At::Body(5))));
    let status = hub.fault(Fault::new(On::Info, What::status(503)));
    let struck = [0, 1, 2].map(|_| get(&hub, INFO));
    let struck = struck.map(|reply| (reply.status, reply.body.len(), reply.ended));
    let expected = [(500, 3, Ended::Cut), (200, 5, Ended::Cut), (503, 7, Ended::Whole)];
    assert_eq!(struck, expected);
    let reply = get(&hub, INFO);
    assert_eq!((reply.status, reply.ended), (200, Ended::Whole));
    assert_eq!([&tied, &cut, &status].map(|fault| fault.hits()), [1, 1, 1]);
}

#[test]
fn independent_faults_combine_in_one_answer() {
    let hub = Hub::start();
    model(&hub);
    let url = link(&hub, WEIGHTS);
    let faults = [
        hub.fault(Fault::new(On::Content, What::FlipBit(1_000_010))),
        hub.fault(Fault::new(On::Content, What::FlipBit(1_000_011))),
        hub.fault(Fault::new(On::Cdn, What::EtagChanges)),
        hub.fault(Fault::new(On::Cdn, What::WrongContentRange { start: 1, total: 0 })),
        hub.fault(Fault::new(On::Cdn, What::SlowBytes(1 << 30))),
        hub.fault(Fault::new(On::Any, What::Reset(At::File(1_000_100)))),
    ];
    let mut client = Client::new(&url);
    let path = &url[hub.cdn_url().len()..];
    let reply = client.ask("GET", path, &[("Range", "bytes=1000000-1999999")]);
    assert_eq!((reply.status, reply.ended), (206, Ended::Reset));
    assert_eq!(reply.header("content-range"), Some("bytes 1000001-2000000/3000000"));
    assert!(reply.header("etag").unwrap().starts_with("\"changed-"));
    let mut expected = large()[1_000_000..1_000_100].to_vec();
    expected[10] ^= 1;
    expected[11] ^= 1;
    assert!(reply.body == expected);
    assert!(faults.iter().all(|fault| fault.hits() == 1));
    assert_eq!(hub.body_bytes_sent("weights/model.safetensors"), 100);
}
