//! Names for commits.

use tonnage::error::HubError;
use tonnage::hub::RepoKind;

use crate::hub::{Entry, Fault, Hub, Kind, On, What};
use crate::support::{World, client};

#[tokio::test]
async fn every_name_of_a_commit_leads_to_it() {
    let world = World::new(10).await;
    let (main, repo) = (world.commit.as_str(), &world.repo);
    let other = repo.commit_to("dev/x", &[Entry::git("a", "b")]);
    repo.tag("v1.0", main).pr(7, &other);
    for (name, commit) in [
        ("main", main),
        ("refs/heads/main", main),
        ("dev/x", &other),
        ("v1.0", main),
        ("refs/tags/v1.0", main),
        ("refs/pr/7", &other),
        (main, main),
        (&main[..7], main),
    ] {
        let found = world.client.commit(&world.model, name).await.unwrap();
        assert_eq!(found.sha.as_str(), commit, "{name}");
    }
    let mut refs: Vec<_> = world
        .client
        .refs(&world.model)
        .await
        .unwrap()
        .into_iter()
        .map(|(name, commit)| (name.to_string(), commit.to_string()))
        .collect();
    refs.sort();
    let expected = [("dev/x", &*other), ("main", main), ("refs/pr/7", &other), ("v1.0", main)];
    assert_eq!(refs, expected.map(|(name, commit)| (name.to_owned(), commit.to_owned())));
}

#[tokio::test]
async fn names_that_would_change_the_url_are_not_asked_for() {
    let world = World::new(10).await;
    for name in ["..", "../../../whoami-v2", "", "main?x=1 ", "a\nb", "."] {
        let error = world.client.commit(&world.model, name).await.unwrap_err();
        assert!(matches!(error, HubError::RevisionNotFound { .. }), "{name:?}: {error}");
    }
    assert!(world.hub.log().is_empty());
}

#[tokio::test]
async fn datasets_and_spaces_have_their_own_names() {
    let hub = Hub::start();
    for (kind, of) in [
        (Kind::Model, RepoKind::Model),
        (Kind::Dataset, RepoKind::Dataset),
        (Kind::Space, RepoKind::Space),
    ] {
        for name in ["org/name", "name"] {
            let repo = hub.repo(kind, name);
            let commit = repo.commit(&[Entry::git("f", format!("{kind:?} {name}"))]);
            let model = of.apply(&name.parse().unwrap()).unwrap();
            let found = client(&hub).commit(&model, "main").await.unwrap();
            assert_eq!(found.sha.as_str(), commit, "{model}");
            let files = client(&hub).tree(&model, &found.sha).await.unwrap();
            let mut body = client(&hub).open(&model, &found.sha, &files[0], None).await.unwrap();
            let bytes = body.next().await.unwrap().unwrap();
            assert_eq!(bytes, format!("{kind:?} {name}").as_bytes());
        }
    }
}

#[tokio::test]
async fn a_hub_that_moved_is_followed_without_the_token() {
    let world = World::new(10).await;
    let old = "old/name".parse().unwrap();
    world.repo.moved_from("old/name");
    let found = world.client.commit(&old, "main").await.unwrap();
    assert_eq!(found.sha, world.commit);
    assert_eq!(world.client.tree(&old, &found.sha).await.unwrap(), world.files);

    let elsewhere = World::new(10).await;
    let there = format!("{}/api/models/org/name/revision/main", world.hub.url());
    elsewhere.hub.fault(Fault::new(On::Info, What::RedirectTo(there)).forever());
    elsewhere.hub.token("hf_secret", "user");
    let client = crate::support::client_with(&elsewhere.hub, "hf_secret");
    world.hub.forget_log();
    client.commit(&world.model, "main").await.unwrap();
    assert_eq!(elsewhere.hub.log()[0].authorization.as_deref(), Some("Bearer hf_secret"));
    assert_eq!(world.hub.log().len(), 1);
    assert_eq!(world.hub.log()[0].authorization, None);

    world.repo.private();
    let error = client.commit(&world.model, "main").await.unwrap_err();
    assert!(
        matches!(error, HubError::NotFound { with_token: false, .. }),
        "a token that was not sent is not to blame: {error}"
    );
}

#[tokio::test]
async fn who_may_have_a_repository_is_asked_in_words_that_the_hub_knows() {
    let hub = Hub::start();
    let client = client(&hub);
    for (kind, name, asks) in [
        (Kind::Model, "org/name", true),
        (Kind::Dataset, "datasets/org/name", true),
        (Kind::Space, "spaces/org/name", false),
    ] {
        hub.repo(kind, "org/name").commit(&[Entry::git("a", "b")]);
        let commit = client.commit(&name.parse().unwrap(), "main").await.unwrap();
        assert_eq!(commit.is_public, Some(true), "{name}");
        // A space's description has no such field, and the hub refuses a request for it.
        let last = hub.log().pop().unwrap();
        assert_eq!(last.query.contains("expand=gated"), asks, "{name}");
    }
}
