//! Links to the content network: asked for once, and again when they expire.

use tonnage::error::HubError;

use crate::hub::{Fault, On, Origin, What};
use crate::support::{WEIGHTS, World};

fn resolved(world: &World) -> usize {
    world.hub.requests(|request| request.path.contains("/resolve/")).len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_that_are_asked_for_at_once_resolve_the_file_once() {
    let world = std::sync::Arc::new(World::new(800_000).await);
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move { world.succeeds(n * 100_000..(n + 1) * 100_000).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(resolved(&world), 1);
    assert_eq!(world.hub.body_bytes_sent(WEIGHTS), 800_000);
}

#[tokio::test]
async fn an_expired_link_is_renewed_without_an_error() {
    let world = World::new(1000).await;
    world.succeeds(0..500).await;
    world.hub.expire_links();
    world.succeeds(500..1000).await;
    world.succeeds(0..1000).await;
    assert_eq!(resolved(&world), 2);
}

#[tokio::test]
async fn the_content_networks_refusals_are_not_the_hubs() {
    let world = World::new(1000).await;
    for status in [401, 403, 404, 410] {
        let fault = world.hub.fault(Fault::new(On::Cdn, What::status(status)).forever());
        let error = world.fails(0..1000).await;
        assert!(
            matches!(error, HubError::LinkRefused { status: found, .. } if found == status),
            "{error}"
        );
        assert!(error.is_retryable());
        assert!(error.to_string().contains(&world.hub.cdn_url()), "{error}");
        assert!(!format!("{error:?}").contains("Signature"), "{error:?}");
        fault.release();
    }
    for (status, what) in [(429, What::rate_limited(7)), (503, What::status(503))] {
        world.hub.fault(Fault::new(On::Cdn, what));
        let before = resolved(&world);
        let error = world.fails(0..1000).await;
        assert!(error.is_retryable(), "{error}");
        assert_eq!(error.retry_after().map(|after| after.as_secs()), (status == 429).then_some(7));
        world.succeeds(0..1000).await;
        assert!(resolved(&world) <= before + 1, "a link outlives trouble that is not about it");
    }
}

#[tokio::test]
async fn a_mirror_that_serves_by_itself_needs_no_link() {
    let world = World::new(1000).await;
    world.hub.serve_directly(true);
    world.succeeds(0..500).await;
    world.succeeds(500..1000).await;
    assert!(world.hub.log().iter().all(|request| request.origin == Origin::Hub));
    world.hub.serve_directly(false);
    world.succeeds(0..1000).await;
    world.succeeds(0..1000).await;
    assert_eq!(resolved(&world), 3);
}
