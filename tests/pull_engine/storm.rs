//! Hundreds of pulls in bad weather of every kind, by chance: at first one fault in each pull, then
//! several at once. Each pull ends in the right bytes, or in an error that says what it was; never
//! does a wrong byte reach the store, and when the weather is fair again the next pull fetches
//! what is missing and no more.
//!
//! `TONNAGE_PULL_STORMS` says how many pulls there are, `TONNAGE_PULL_SEED` the first one's seed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tonnage::digest::BlobHash;
use tonnage::error::{ErrorKind, HubError, PullError};
use tonnage::hub::{Client, Config, PullProgress, PullRequest, Pulled, Retry, plan, pull};
use tonnage::progress::Progress;
use tonnage::verify::{Level, verify};

use crate::bench::{Bench, MIB};
use crate::hub::{At, Entry, Fault, On, What};

/// How many kinds of faults there are.
const KINDS: u64 = 25;

/// Says which seed it was when a test fails.
struct Seed(u64);

#[expect(clippy::print_stderr, reason = "a test that failed says how to see it again")]
impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the same again: TONNAGE_PULL_SEED={} TONNAGE_PULL_STORMS=1", self.0);
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A fault of some kind.
fn what(rng: &mut Rng, kind: u64, other: &str) -> What {
    let at = |rng: &mut Rng| match rng.u8(0..3) {
        0 => At::Head(rng.u64(0..200)),
        1 => At::Body(rng.u64(0..2_000_000)),
        _ => At::File(rng.u64(0..4_000_000)),
    };
    let off = |rng: &mut Rng| rng.i64(1..1_000_000) * if rng.bool() { 1 } else { -1 };
    match kind {
        0 => {
            let all = [400, 401, 403, 404, 408, 416, 429, 500, 502, 503, 504];
            let status = all[rng.usize(0..all.len())];
            let headers = match rng.u8(0..4) {
                0 => vec![("Retry-After".to_owned(), rng.u8(0..100).to_string())],
                1 => vec![("X-Error-Code".to_owned(), "RepoNotFound".to_owned())],
                _ => Vec::new(),
            };
            What::Status(status, headers)
        }
        1 => What::Html,
        2 => What::RedirectLoop,
        3 => What::RedirectForever,
        4 => What::RedirectTo(
            ["/nowhere", "http://127.0.0.1:9/", "file:///x"][rng.usize(0..3)].into(),
        ),
        5 => What::Close(at(rng)),
        6 => What::Reset(at(rng)),
        7 => What::Stall(at(rng)),
        8 => What::IgnoreRange,
        9 => What::ShortRange(rng.u64(1..MIB as u64)),
        10 => What::WrongContentRange { start: off(rng), total: 0 },
        11 => What::WrongContentRange { start: 0, total: off(rng) },
        12 => What::NoContentRange,
        13 => What::Multipart,
        14 => What::LyingLength(off(rng)),
        15 => What::TruncatedConsistent(rng.u64(0..MIB as u64)),
        16 => What::FlipBit(rng.u64(0..3_000_000)),
        17 => What::Gzip,
        18 => What::Chunked,
        19 => What::EtagChanges,
        20 => What::MoveBranch { branch: "main".to_owned(), commit: other.to_owned() },
        21 => What::ExpireLinks,
        22 if rng.bool() => What::SlowBytes(rng.u64(20_000_000..80_000_000)),
        22 => What::Delay(Duration::from_millis(rng.u64(0..20))),
        23 => {
            let names = ["../x", "/etc/x", ".git/config", "MODEL.BIN", "a.bin/x", "NUL", "new.txt"];
            What::HostileTree(vec![names[rng.usize(0..names.len())].to_owned()])
        }
        _ => What::NextLink(
            ["", "?", "limit=1&cursor=zzz", "http://127.0.0.1:9/?cursor=a"][rng.usize(0..4)].into(),
        ),
    }
}

/// A fault that strikes somewhere, some time, for some times.
fn fault(rng: &mut Rng, what: What) -> Fault {
    let everywhere = [On::Info, On::Tree, On::Resolve, On::Cache, On::Cdn, On::Content, On::Any];
    let on = match what {
        What::HostileTree(_) | What::NextLink(_) => On::Tree,
        What::ExpireLinks => On::Cdn,
        _ if rng.u8(0..3) > 0 => On::Content,
        _ => everywhere[rng.usize(0..everywhere.len())],
    };
    let fault = Fault::new(on, what).skip(rng.u64(0..3));
    if rng.u8(0..4) == 0 { fault.forever() } else { fault.times(rng.u64(1..6)) }
}

/// Whether an error says what these faults are.
fn is_sensible(error: &PullError, whats: &[What]) -> bool {
    let any = |of: fn(&What) -> bool| whats.iter().any(of);
    let wrong_bytes = any(|w| matches!(w, What::FlipBit(_)));
    let status = any(|w| matches!(w, What::Status(..)));
    let names = any(|w| matches!(w, What::HostileTree(_)));
    let redirects =
        any(|w| matches!(w, What::RedirectLoop | What::RedirectForever | What::RedirectTo(_)));
    let said = error.hint().is_some() || matches!(error.kind(), ErrorKind::NotFound);
    let PullError::Hub(error) = error else {
        return wrong_bytes && matches!(error, PullError::ChecksumMismatch { .. });
    };
    said && match error {
        HubError::HostileName { .. } | HubError::Twins { .. } => names,
        // A name that is listed and is not there, or the place that a redirect names.
        HubError::FileNotFound { .. } => names || status || redirects,
        HubError::NotFound { .. } | HubError::RevisionNotFound { .. } => status || redirects,
        HubError::Unauthorized { .. }
        | HubError::BadToken { .. }
        | HubError::Gated { .. }
        | HubError::Disabled { .. }
        | HubError::RateLimited { .. }
        | HubError::Server { .. } => status,
        HubError::LinkRefused { .. } => {
            status || redirects || any(|w| matches!(w, What::ExpireLinks))
        }
        HubError::Refused { .. } => status || redirects || any(|w| matches!(w, What::NextLink(_))),
        HubError::RedirectLoop { .. } | HubError::UnsafeRedirect { .. } => redirects,
        HubError::Network { .. } | HubError::Stalled { .. } | HubError::Cut { .. } => any(|w| {
            matches!(
                w,
                What::Close(_)
                    | What::Reset(_)
                    | What::Stall(_)
                    | What::LyingLength(_)
                    | What::RedirectTo(_)
                    | What::TruncatedConsistent(_)
            )
        }),
        HubError::Protocol { .. } => true,
        _ => false,
    }
}

/// A model of which some bytes are the other one's too.
struct Models {
    /// The two commits' files; the second is where a branch may move to.
    commits: [Vec<Entry>; 2],
    bytes: Vec<(String, Vec<u8>)>,
}

fn models(rng: &mut Rng, seed: u64) -> Models {
    let mut bytes = Vec::new();
    for (number, name) in
        ["model.bin", "a.bin", "b.bin", "config.json", "small.bin"].iter().enumerate()
    {
        let len = match number {
            0 => rng.usize(3 * MIB..6 * MIB),
            1..3 => rng.usize(MIB..2 * MIB + 5),
            _ => rng.usize(0..100_000),
        };
        let mut of = vec![0; len];
        Rng::with_seed(seed * 10 + number as u64).fill(&mut of);
        bytes.push(((*name).to_owned(), of));
    }
    let entries: Vec<_> = bytes
        .iter()
        .map(|(name, of)| match name.as_str() {
            "config.json" | "b.bin" => Entry::git(name, of.clone()),
            _ => Entry::lfs(name, of.clone()),
        })
        .collect();
    Models { commits: [entries.clone(), entries[1..].to_vec()], bytes }
}

fn client(bench: &Bench, in_a_storm: bool) -> Client {
    let retry = Retry {
        attempts: if in_a_storm { 4 } else { 20 },
        base: Duration::from_millis(1),
        cap: Duration::from_millis(4),
        patience: Duration::ZERO,
    };
    let stall = if in_a_storm { Duration::from_millis(50) } else { Duration::from_secs(30) };
    Client::new(Config { connect: stall, stall, answer: stall, retry, ..bench.config() }).unwrap()
}

#[test]
fn a_pull_in_a_storm_ends_with_the_right_bytes_or_says_what_it_was() {
    let first = number("TONNAGE_PULL_SEED", 0);
    let (mut ended, mut failed) = (0, 0);
    for seed in first..first + number("TONNAGE_PULL_STORMS", 300) {
        let _seed = Seed(seed);
        match storm(seed) {
            Ok(()) => ended += 1,
            Err(()) => failed += 1,
        }
    }
    println!("{ended} pulls ended well, {failed} with an error");
}

/// One pull in bad weather, and one in fair weather.
fn storm(seed: u64) -> Result<(), ()> {
    let mut rng = Rng::with_seed(seed);
    let bench = Bench::new();
    let models = models(&mut rng, seed);
    let repo = bench.repo();
    repo.commit(&models.commits[0]);
    let other = repo.dangling(&models.commits[1]);
    bench.hub.serve_directly(rng.u8(0..4) == 0);

    // Each kind alone, several times, and then some of them together.
    let kinds: Vec<_> = match seed {
        0..150 => vec![seed % KINDS],
        _ => (0..rng.u64(2..6)).map(|_| rng.u64(0..KINDS)).collect(),
    };
    let whats: Vec<_> = kinds.into_iter().map(|kind| what(&mut rng, kind, &other)).collect();
    let faults: Vec<_> = whats.iter().map(|what| fault(&mut rng, what.clone())).collect();
    for fault in &faults {
        bench.hub.fault(fault.clone());
    }
    let request = PullRequest { jobs: rng.usize(1..5), ..Bench::request() };
    let result = run(&bench, &client(&bench, true), &request);
    match &result {
        Ok(_) => assert_here(&bench, &models),
        Err(error) => assert!(is_sensible(error, &whats), "{error:?} of {faults:?}"),
    }
    assert_nothing_wrong(&bench, &models);

    bench.hub.release_all();
    bench.hub.wait_for_connections(0);
    let (fair, sent) = (client(&bench, false), bench.hub.body_bytes_sent("*"));
    let planned =
        bench.run(plan(bench.store(), &fair, &request, &Arc::new(PullProgress::new()))).unwrap();
    let pulled = run(&bench, &fair, &request).unwrap_or_else(|e| panic!("{e} after {faults:?}"));
    assert_here(&bench, &models);
    assert_nothing_wrong(&bench, &models);
    if whats.iter().any(|what| matches!(what, What::MoveBranch { .. })) {
        // What only the commit before needs is kept for a while.
        bench.store().remove_partials(None).unwrap();
    }
    bench.assert_tidy();
    // A wrong byte that nobody noticed yet costs its file once more.
    let flipped = whats.iter().any(|what| matches!(what, What::FlipBit(_)));
    let again = if flipped { planned.total_bytes() } else { 0 };
    let most = planned.new_bytes() + again;
    assert!(pulled.fetched_bytes <= most, "{pulled:?} after {faults:?}, {most} were missing");
    assert_eq!(bench.hub.body_bytes_sent("*") - sent, pulled.fetched_bytes, "{faults:?}");
    result.map(drop).map_err(drop)
}

fn run(bench: &Bench, client: &Client, request: &PullRequest) -> Result<Pulled, PullError> {
    bench.run(pull(bench.store(), client, request, &Arc::new(PullProgress::new())))
}

/// The store has one of the commits' files, byte for byte.
fn assert_here(bench: &Bench, models: &Models) {
    let stored = bench.stored("main");
    let of_commit = |entries: &Vec<Entry>| {
        let mut paths: Vec<_> = entries.iter().map(|entry| entry.path.as_str()).collect();
        paths.sort_unstable();
        paths == stored.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>()
    };
    assert!(models.commits.iter().any(of_commit), "other files");
    for (path, bytes) in &stored {
        let (_, right) = models.bytes.iter().find(|(name, _)| name == path).unwrap();
        assert!(bytes == right, "{path} has other bytes");
    }
}

/// No blob has other bytes than those of the models, and the store breaks no rule.
fn assert_nothing_wrong(bench: &Bench, models: &Models) {
    let store = bench.store();
    let right: HashSet<_> =
        models.bytes.iter().map(|(_, bytes)| BlobHash::of(bytes).to_string()).collect();
    for entry in std::fs::read_dir(bench.home().join("blobs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(right.contains(&name), "a blob of other bytes: {name}");
    }
    assert_eq!(store.fsck().unwrap().problems, []);
    let listed = store.list().unwrap();
    let all: Vec<_> = listed
        .iter()
        .map(|one| {
            store.resolve(&format!("{}@{}", one.model, one.revision).parse().unwrap()).unwrap()
        })
        .collect();
    let verified = verify(&store, &all, Level::Full, &Progress::new()).unwrap();
    assert!(verified.damaged.is_empty(), "{:?}", verified.damaged);
}
