//! Bytes that do not come, or come wrongly: never taken for the file, and worth another attempt.

use std::time::Duration;

use tonnage::error::HubError;
use tonnage::hub::{Client, Config};

use crate::hub::{At, Fault, Hub, On, What};
use crate::support::{CONFIG, WEIGHTS, World, client, config};

#[tokio::test]
async fn answers_that_are_not_the_range_are_protocol_errors() {
    let world = World::new(100_000).await;
    for what in [
        What::WrongContentRange { start: 1, total: 0 },
        What::WrongContentRange { start: -1, total: 0 },
        What::WrongContentRange { start: 0, total: 1 },
        What::NoContentRange,
        What::Multipart,
        What::LyingLength(10),
        What::LyingLength(-10),
        What::TruncatedConsistent(100),
        What::Html,
        What::Gzip,
        What::status(204),
    ] {
        let fault = world.hub.fault(Fault::new(On::Cdn, what.clone()));
        let error = world.fails(1000..51_000).await;
        assert!(matches!(error, HubError::Protocol { .. }), "{what:?}: {error}");
        assert!(error.is_retryable());
        assert_eq!(fault.hits(), 1, "{what:?}");
        // Bytes behind a length that was too small may still be taken for the next answer.
        world.recovers(1000..51_000).await;
    }
}

#[tokio::test]
async fn whole_files_are_checked_as_ranges_are() {
    let mut world = World::new(100_000).await;
    for (on, path) in [(On::Cdn, WEIGHTS), (On::Cache, CONFIG)] {
        for what in [
            What::LyingLength(1),
            What::LyingLength(-1),
            What::TruncatedConsistent(1),
            What::Html,
            What::Gzip,
        ] {
            let fault = world.hub.fault(Fault::new(on, what.clone()));
            let error = world.read(path, None).await.2.unwrap_err();
            assert!(matches!(error, HubError::Protocol { .. }), "{what:?}: {error}");
            assert_eq!(fault.hits(), 1, "{what:?}");
            world.client = client(&world.hub);
        }
        world.read(path, None).await.2.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_ends_early_says_where() {
    let world = World::new(100_000).await;
    world.hub.fault(Fault::new(On::Cdn, What::Close(At::File(30_000))));
    let (start, bytes, end) = world.read(WEIGHTS, Some(10_000..60_000)).await;
    assert_eq!((start, bytes.len()), (10_000, 20_000));
    let error = end.unwrap_err();
    assert!(matches!(error, HubError::Cut { at: 30_000, end: 60_000, .. }), "{error:?}");
    assert!(error.is_retryable());

    world.hub.fault(Fault::new(On::Cdn, What::Close(At::Body(0))));
    assert!(matches!(world.fails(10_000..60_000).await, HubError::Cut { at: 10_000, .. }));
    let chunked = Fault::new(On::Cdn, What::Chunked).and(What::Close(At::File(30_000)));
    world.hub.fault(chunked);
    assert!(world.fails(10_000..60_000).await.is_retryable());
}

#[tokio::test]
async fn resets_and_closed_connections_are_worth_another_attempt() {
    let world = World::new(100_000).await;
    for on in [On::Resolve, On::Cdn] {
        for what in [
            What::Close(At::Head(0)),
            What::Close(At::Head(20)),
            What::Reset(At::Head(0)),
            What::Reset(At::Head(20)),
        ] {
            // A link that is known would hide a fault of the hub.
            world.hub.expire_links();
            // One attempt of the library's own is made when a connection had been idle.
            let fault = world.hub.fault(Fault::new(on, what.clone()).times(3));
            let error = world.fails(0..100_000).await;
            assert!(matches!(error, HubError::Network { .. }), "{on:?} {what:?}: {error}");
            assert!(error.is_retryable());
            fault.release();
            world.succeeds(0..100_000).await;
        }
    }
    world.hub.fault(Fault::new(On::Cdn, What::Reset(At::File(30_000))));
    let error = world.fails(10_000..60_000).await;
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn nothing_for_too_long_is_a_stall_wherever_it_is() {
    let hub = Hub::start();
    let short = Duration::from_millis(100);
    let config = Config { stall: short, answer: short, connect: short, ..config(&hub) };
    let client = Client::new(config).unwrap();
    let world = World::with(hub, client, 100_000).await;
    for (on, at) in [
        (On::Resolve, At::Head(0)),
        (On::Resolve, At::Head(30)),
        (On::Cdn, At::Head(0)),
        (On::Cdn, At::Body(0)),
        (On::Cdn, At::File(50_000)),
    ] {
        world.hub.expire_links();
        let fault = world.hub.fault(Fault::new(on, What::Stall(at)));
        let error = world.fails(0..100_000).await;
        assert!(matches!(error, HubError::Stalled { .. }), "{on:?} {at:?}: {error}");
        assert!(error.is_retryable());
        fault.release();
    }
    let fault = world.hub.fault(Fault::new(On::Info, What::Stall(At::Head(0))));
    world.client.commit(&world.model, "main").await.unwrap();
    assert_eq!(fault.hits(), 1);
}

#[tokio::test]
async fn a_hub_that_is_not_there_is_a_network_error() {
    let hub = Hub::start();
    let config = config(&hub);
    drop(hub);
    let client = Client::new(config).unwrap();
    let error = client.commit(&"org/name".parse().unwrap(), "main").await.unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error}");
    assert!(error.hint().unwrap().contains("HTTPS_PROXY"));
}
