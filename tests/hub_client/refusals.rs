//! Who may not, and what is not there: the hub's table of errors, asked for real.

use tonnage::error::{ErrorKind, HubError};
use tonnage::hub::{Client, Config};

use crate::hub::{Entry, Fault, Gate, Hub, Kind, On, What};
use crate::support::{CONFIG, WEIGHTS, World, client, client_with, config};

fn private(hub: &Hub) {
    let repo = hub.repo(Kind::Model, "org/private");
    repo.commit(&[Entry::git(CONFIG, "{}")]);
    repo.private().grants("hf_friend");
    hub.token("hf_friend", "friend");
    hub.token("hf_stranger", "stranger");
}

#[tokio::test]
async fn what_is_missing_and_what_is_private_look_alike() {
    let hub = Hub::start();
    private(&hub);
    for name in ["org/private", "org/missing", "missing"] {
        let model = name.parse().unwrap();
        let error = client(&hub).commit(&model, "main").await.unwrap_err();
        assert!(matches!(&error, HubError::NotFound { with_token: false, .. }), "{error}");
        assert!(error.hint().unwrap().contains("export HF_TOKEN"));
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = client_with(&hub, "hf_stranger").refs(&model).await.unwrap_err();
        assert!(matches!(&error, HubError::NotFound { with_token: true, .. }), "{error}");
        assert!(error.hint().unwrap().contains("spelling"));
    }
    let model = "org/private".parse().unwrap();
    client_with(&hub, "hf_friend").commit(&model, "main").await.unwrap();
}

#[tokio::test]
async fn a_token_the_hub_does_not_know_is_told_from_a_missing_model() {
    let hub = Hub::start();
    private(&hub);
    let wrong = client_with(&hub, "hf_wrong");
    let error = wrong.commit(&"org/private".parse().unwrap(), "main").await.unwrap_err();
    assert!(matches!(&error, HubError::BadToken { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Hub);
    assert!(matches!(wrong.whoami().await, Err(HubError::BadToken { .. })));
    assert!(matches!(client(&hub).whoami().await, Err(HubError::Unauthorized { .. })));
    assert_eq!(client_with(&hub, "hf_friend").whoami().await.unwrap().name, "friend");
    assert!(!format!("{error:?} {error} {wrong:?}").contains("hf_wrong"));
}

#[tokio::test]
async fn gated_files_say_what_is_missing_and_their_list_is_public() {
    let world = World::new(1000).await;
    world.repo.gated(Gate::Manual).grants("hf_friend");
    world.hub.token("hf_friend", "friend");
    world.hub.token("hf_stranger", "stranger");
    world.client.tree(&world.model, &world.commit).await.unwrap();
    for path in [CONFIG, WEIGHTS] {
        let (_, _, end) = world.read(path, None).await;
        let error = end.unwrap_err();
        assert!(matches!(&error, HubError::Gated { with_token: false, .. }), "{error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains(&format!("{}/org/name", world.hub.url())), "{hint}");
        assert!(hint.contains("HF_TOKEN"), "{hint}");
        let stranger = client_with(&world.hub, "hf_stranger");
        let open = stranger.open(&world.model, &world.commit, world.file(path), None).await;
        let error = open.unwrap_err();
        assert!(matches!(&error, HubError::Gated { with_token: true, .. }), "{error}");
        assert!(error.hint().unwrap().contains("ask for access"));
        let friend = client_with(&world.hub, "hf_friend");
        friend.open(&world.model, &world.commit, world.file(path), None).await.unwrap();
    }
}

#[tokio::test]
async fn a_disabled_model_a_missing_revision_and_a_missing_file_are_told_apart() {
    let world = World::new(1000).await;
    let error = world.client.commit(&world.model, "v9").await.unwrap_err();
    assert!(matches!(&error, HubError::RevisionNotFound { revision, .. } if revision == "v9"));
    let nowhere = "0".repeat(40).parse().unwrap();
    let error = world.client.tree(&world.model, &nowhere).await.unwrap_err();
    assert!(matches!(&error, HubError::RevisionNotFound { .. }), "{error}");

    let mut gone = world.file(WEIGHTS).clone();
    gone.path = tonnage::model::FilePath::new("gone.bin").unwrap();
    let open = world.client.open(&world.model, &world.commit, &gone, None).await;
    let error = open.unwrap_err();
    assert!(matches!(&error, HubError::FileNotFound { path, .. } if *path == gone.path), "{error}");

    world.repo.disabled();
    let error = world.client.commit(&world.model, "main").await.unwrap_err();
    assert!(matches!(&error, HubError::Disabled { .. }), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_hub_in_trouble_is_asked_again_and_not_for_ever() {
    let world = World::new(1000).await;
    for status in [408, 500, 502, 503] {
        world.hub.fault(Fault::new(On::Info, What::status(status)).times(2));
        world.client.commit(&world.model, "main").await.unwrap();
    }
    let html = world.hub.fault(Fault::new(On::Info, What::Html));
    world.client.commit(&world.model, "main").await.unwrap();
    assert_eq!(html.hits(), 1);
    let fault = world.hub.fault(Fault::new(On::Info, What::status(503)).forever());
    let error = world.client.commit(&world.model, "main").await.unwrap_err();
    assert!(matches!(&error, HubError::Server { status: 503, .. }), "{error}");
    assert_eq!(fault.hits(), 3);
}

#[tokio::test]
async fn a_limit_that_ends_too_late_is_told_at_once() {
    let world = World::new(1000).await;
    let fault = world.hub.fault(Fault::new(On::Info, What::rate_limited(3600)).forever());
    let error = world.client.commit(&world.model, "main").await.unwrap_err();
    assert_eq!(error.retry_after().unwrap().as_secs(), 3600);
    assert!(error.hint().unwrap().contains("3600 s"));
    assert_eq!(fault.hits(), 1);
}

#[tokio::test]
async fn offline_nothing_is_asked() {
    let hub = Hub::start();
    let offline = Client::new(Config { offline: true, ..config(&hub) }).unwrap();
    let error = offline.commit(&"org/name".parse().unwrap(), "main").await.unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error}");
    assert!(hub.log().is_empty());
}
