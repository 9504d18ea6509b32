//! Where the token goes, and where requests do not go.

use tonnage::error::HubError;

use crate::hub::{Fault, Hub, On, Origin, What};
use crate::support::{CONFIG, WEIGHTS, World, client_with};

#[tokio::test]
async fn the_token_goes_to_the_hub_and_not_to_where_it_sends_us() {
    let hub = Hub::start();
    hub.token("hf_secret", "user");
    let client = client_with(&hub, "hf_secret");
    let world = World::with(hub, client, 1000).await;
    world.repo.private().grants("hf_secret");
    for path in [CONFIG, WEIGHTS] {
        world.read(path, None).await.2.unwrap();
    }
    let log = world.hub.log();
    assert!(log.iter().any(|request| request.origin == Origin::Cdn));
    for request in log {
        let expected = (request.origin == Origin::Hub).then_some("Bearer hf_secret");
        assert_eq!(request.authorization.as_deref(), expected, "{}", request.path);
        assert!(!request.query.contains("hf_secret") && !request.path.contains("hf_secret"));
        assert_eq!(request.header("accept-encoding"), Some("identity"));
    }
}

#[tokio::test]
async fn a_stranger_who_sends_us_back_to_the_hub_does_not_lend_us_the_token() {
    let hub = Hub::start();
    hub.token("hf_secret", "user");
    let client = client_with(&hub, "hf_secret");
    let world = World::with(hub, client, 1000).await;
    let back = format!("{}/api/whoami-v2", world.hub.url());
    world.hub.fault(Fault::new(On::Cdn, What::RedirectTo(back)));
    world.read(WEIGHTS, None).await.2.unwrap_err();
    let asked = world.hub.requests(|request| request.path == "/api/whoami-v2");
    assert_eq!(asked.iter().map(|r| r.authorization.clone()).collect::<Vec<_>>(), [None]);
}

#[tokio::test]
async fn redirects_that_do_not_end_are_given_up() {
    let world = World::new(1000).await;
    for what in [What::RedirectLoop, What::RedirectForever] {
        for on in [On::Resolve, On::Cdn] {
            let fault = world.hub.fault(Fault::new(on, what.clone()).forever());
            let error = world.read(WEIGHTS, None).await.2.unwrap_err();
            assert!(matches!(error, HubError::RedirectLoop { .. }), "{what:?} {on:?}: {error}");
            assert!(!error.is_retryable());
            assert!(!format!("{error} {error:?}").contains("Signature"), "{error:?}");
            assert!(fault.hits() <= 11);
            fault.release();
        }
    }
}

#[tokio::test]
async fn redirects_to_what_is_not_http_are_not_followed() {
    let world = World::new(1000).await;
    for to in ["file:///etc/passwd", "ftp://hub.test/f", "http://u:p@hub.test/f"] {
        world.hub.fault(Fault::new(On::Resolve, What::RedirectTo(to.into())));
        let error = world.read(WEIGHTS, None).await.2.unwrap_err();
        assert!(matches!(error, HubError::UnsafeRedirect { .. }), "{to}: {error}");
        assert!(!error.to_string().contains("u:p"), "{error}");
    }
}

#[tokio::test]
async fn a_connection_carries_one_request_after_the_other() {
    let world = World::new(100_000).await;
    for start in 0..10 {
        world.succeeds(start * 10_000..(start + 1) * 10_000).await;
        world.read(CONFIG, None).await.2.unwrap();
    }
    let mut connections: Vec<_> =
        world.hub.log().iter().map(|request| (request.origin, request.connection)).collect();
    connections.sort_by_key(|(origin, connection)| (*origin == Origin::Cdn, *connection));
    connections.dedup();
    assert_eq!(connections.len(), 2, "{connections:?}");
}
