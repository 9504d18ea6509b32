//! Bytes that come right, whatever the server's ways.

use std::time::Duration;

use tonnage::error::HubError;
use tonnage::hub::{Client, Config};

use crate::hub::{At, Entry, Fault, Hub, Kind, On, What};
use crate::support::{CONFIG, WEIGHTS, World, config};

#[tokio::test]
async fn a_file_comes_whole_or_by_range() {
    let world = World::new(300_000).await;
    for path in [CONFIG, WEIGHTS] {
        let (start, bytes, end) = world.read(path, None).await;
        end.unwrap();
        assert_eq!((start, bytes.len() as u64), (0, world.file(path).size));
    }
    for range in [0..1, 0..300_000, 299_999..300_000, 12_345..250_000] {
        world.succeeds(range).await;
    }
    let (start, bytes, end) = world.read(CONFIG, Some(1..3)).await;
    end.unwrap();
    assert_eq!((start, bytes.as_slice()), (1, &b"}\n"[..]));
}

#[tokio::test]
async fn what_is_behind_the_end_is_not_asked_for() {
    let world = World::new(1000).await;
    let (start, bytes, end) = world.read(WEIGHTS, Some(900..5000)).await;
    end.unwrap();
    assert_eq!((start, bytes.len()), (900, 100));
    let before = world.hub.log().len();
    for range in [1000..2000, 10..10, 5000..6000] {
        let (start, bytes, end) = world.read(WEIGHTS, Some(range.clone())).await;
        end.unwrap();
        assert_eq!((start, bytes.len()), (range.start, 0));
    }
    assert_eq!(world.hub.log().len(), before);
}

#[tokio::test]
async fn an_empty_file_needs_no_request() {
    let hub = Hub::start();
    let commit = hub.repo(Kind::Model, "org/name").commit(&[Entry::git("empty", "")]);
    let (model, commit) = ("org/name".parse().unwrap(), commit.parse().unwrap());
    let client = Client::new(config(&hub)).unwrap();
    let files = client.tree(&model, &commit).await.unwrap();
    hub.forget_log();
    let mut body = client.open(&model, &commit, &files[0], None).await.unwrap();
    assert_eq!((body.next().await.unwrap(), body.end()), (None, 0));
    assert!(hub.log().is_empty());
}

#[tokio::test]
async fn a_server_without_ranges_says_so_and_gives_nothing_behind_what_was_asked() {
    let world = World::new(100_000).await;
    world.hub.fault(Fault::new(On::Cdn, What::IgnoreRange));
    let (start, bytes, end) = world.read(WEIGHTS, Some(50_000..60_000)).await;
    end.unwrap();
    assert_eq!(start, 0);
    assert_eq!(bytes, world.bytes[..60_000]);
    world.succeeds(0..100_000).await;
}

#[tokio::test]
async fn a_short_range_says_where_it_ends() {
    let world = World::new(100_000).await;
    world.hub.fault(Fault::new(On::Cdn, What::ShortRange(1234)));
    let (start, bytes, end) = world.read(WEIGHTS, Some(50_000..60_000)).await;
    end.unwrap();
    assert_eq!(start, 50_000);
    assert_eq!(bytes, world.bytes[50_000..51_234]);
}

#[tokio::test]
async fn chunks_without_a_length_are_read_and_counted() {
    let world = World::new(100_000).await;
    world.hub.fault(Fault::new(On::Cdn, What::Chunked).forever());
    world.succeeds(50_000..60_000).await;
    world.succeeds(0..100_000).await;
}

#[tokio::test]
async fn bytes_that_come_slowly_are_no_stall() {
    let hub = Hub::start();
    let client = Client::new(Config { stall: Duration::from_secs(5), ..config(&hub) }).unwrap();
    let world = World::with(hub, client, 3000).await;
    world.hub.fault(Fault::new(On::Cdn, What::SlowBytes(10_000)));
    world.succeeds(0..3000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_wait_loses_no_byte_and_does_not_begin_to_wait_anew() {
    let hub = Hub::start();
    let stall = Duration::from_millis(300);
    let client = Client::new(Config { stall, ..config(&hub) }).unwrap();
    let world = World::with(hub, client, 10_000).await;
    let fault = world.hub.fault(Fault::new(On::Cdn, What::Stall(At::File(4000))));
    let file = world.file(WEIGHTS);
    let mut body = world.client.open(&world.model, &world.commit, file, None).await.unwrap();
    let mut bytes = Vec::new();
    // Each wait is dropped long before the limit, and the limit is reached all the same.
    let error = loop {
        match tokio::time::timeout(Duration::from_millis(1), body.next()).await {
            Ok(Ok(Some(frame))) => bytes.extend_from_slice(&frame),
            Ok(Ok(None)) => panic!("it stalls"),
            Ok(Err(error)) => break error,
            Err(_) => {}
        }
    };
    assert!(matches!(error, HubError::Stalled { .. }), "{error}");
    assert_eq!(bytes, world.bytes[..4000]);
    fault.release();
}

#[tokio::test]
async fn who_is_slow_to_ask_meets_no_stall() {
    let hub = Hub::start();
    let stall = Duration::from_secs(60);
    let client = Client::new(Config { stall, ..config(&hub) }).unwrap();
    let world = World::with(hub, client, 4000).await;
    let fault = world.hub.fault(Fault::new(On::Cdn, What::Stall(At::File(1000))));
    let file = world.file(WEIGHTS);
    let mut body = world.client.open(&world.model, &world.commit, file, None).await.unwrap();
    let mut left = 4000;
    while left > 3000 {
        left -= body.next().await.unwrap().unwrap().len();
    }
    // As a limit of the rate, or a pause, would: the time is the caller's own.
    tokio::time::pause();
    tokio::time::advance(10 * stall).await;
    tokio::time::resume();
    // Nothing is there when it asks, and then the rest comes.
    let (next, ()) = tokio::join!(body.next(), async { fault.release() });
    left -= next.unwrap().unwrap().len();
    while let Some(frame) = body.next().await.unwrap() {
        left -= frame.len();
    }
    assert_eq!(left, 0);
}
