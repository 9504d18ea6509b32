//! Lists of files.

use tonnage::digest::Upstream;
use tonnage::error::HubError;

use crate::hub::{Fault, Hub, Kind, On, What, git_sha1, sha256};
use crate::support::{CONFIG, WEIGHTS, World, client, client_with};

#[tokio::test]
async fn a_list_says_sizes_and_the_digests_to_check() {
    let world = World::new(5000).await;
    let found: Vec<_> =
        world.files.iter().map(|file| (file.path.as_str(), file.size, file.upstream)).collect();
    let config = Upstream::Git(git_sha1(b"{}\n").parse().unwrap());
    let weights = Upstream::Sha256(sha256(&world.bytes).parse().unwrap());
    assert_eq!(found, [(CONFIG, 3, config), (WEIGHTS, 5000, weights)]);
}

#[tokio::test]
async fn pages_are_read_to_the_last_whatever_their_links_look_like() {
    let hub = Hub::start();
    let repo = hub.repo(Kind::Model, "org/many");
    let commit = repo.synthetic_tree(2345).parse().unwrap();
    let model = "org/many".parse().unwrap();
    for relative in [false, true] {
        hub.relative_links(relative);
        let files = client(&hub).tree(&model, &commit).await.unwrap();
        assert_eq!(files.len(), 2345);
        assert!(files.is_sorted_by(|a, b| a.path < b.path));
    }
    let broken = hub.fault(Fault::new(On::Tree, What::status(503)).skip(1));
    assert_eq!(client(&hub).tree(&model, &commit).await.unwrap().len(), 2345);
    assert_eq!(broken.hits(), 1);
}

#[tokio::test]
async fn a_list_of_more_than_a_million_files_is_refused() {
    let hub = Hub::start();
    hub.page_size(50_000);
    let repo = hub.repo(Kind::Model, "org/many");
    let commit = repo.synthetic_tree(1_000_001).parse().unwrap();
    let error = client(&hub).tree(&"org/many".parse().unwrap(), &commit).await.unwrap_err();
    assert!(matches!(error, HubError::TooLarge { limit: 1_000_000, unit: "files", .. }), "{error}");
    assert!(error.hint().unwrap().contains("git"), "{error}");
}

#[tokio::test]
async fn a_page_that_comes_twice_is_the_hubs_fault_and_not_the_models() {
    let world = World::new(10).await;
    world.hub.fault(Fault::new(On::Tree, What::NextLink("?".to_owned())));
    let error = world.client.tree(&world.model, &world.commit).await.unwrap_err();
    let HubError::Protocol { what, .. } = &error else { panic!("{error}") };
    assert!(what.contains("twice"), "{what}");
    assert_eq!(world.client.tree(&world.model, &world.commit).await.unwrap(), world.files);
}

#[tokio::test]
async fn a_next_page_elsewhere_is_looked_for_at_home() {
    let world = World::new(10).await;
    let stranger = Hub::start();
    world.hub.token("hf_secret", "user");
    let link = format!("{}/api/models/org/name/tree/x?cursor=bad", stranger.url());
    let fault = world.hub.fault(Fault::new(On::Tree, What::NextLink(link)));
    let client = client_with(&world.hub, "hf_secret");
    // The hub does not know this cursor.
    assert!(client.tree(&world.model, &world.commit).await.is_err());
    assert_eq!(fault.hits(), 1);
    assert!(stranger.log().is_empty());
    assert!(world.hub.log().iter().any(|request| request.query == "cursor=bad"));
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let world = World::new(10).await;
    let fault =
        world.hub.fault(Fault::new(On::Tree, What::NextLink("?recursive=1".into())).forever());
    let error = world.client.tree(&world.model, &world.commit).await.unwrap_err();
    assert!(matches!(error, HubError::Protocol { .. }), "{error}");
    assert_eq!(fault.hits(), 2);
}

#[tokio::test]
async fn hostile_names_are_refused_by_name() {
    let world = World::new(10).await;
    for name in
        ["../x", "/etc/passwd", "a\\b", ".git/hooks/post-checkout", "nul.txt", "a\nb", "a//b"]
    {
        world.hub.fault(Fault::new(On::Tree, What::HostileTree(vec![name.into()])));
        let error = world.client.tree(&world.model, &world.commit).await.unwrap_err();
        assert!(matches!(&error, HubError::HostileName { name: found, .. } if found == name));
        assert!(error.to_string().contains("org/name"), "{error}");
    }
    for (name, twin) in [("Config.json", CONFIG), ("WEIGHTS/model.SAFETENSORS", WEIGHTS)] {
        world.hub.fault(Fault::new(On::Tree, What::HostileTree(vec![name.into()])));
        let error = world.client.tree(&world.model, &world.commit).await.unwrap_err();
        assert!(
            matches!(&error, HubError::Twins { one, other, .. } if one == name && other == twin),
            "{error}"
        );
    }
}

#[tokio::test]
async fn broken_lists_are_asked_for_again() {
    let world = World::new(10).await;
    for what in [
        What::Html,
        What::Gzip,
        What::status(500),
        What::Close(crate::hub::At::Head(10)),
        What::Reset(crate::hub::At::Head(0)),
    ] {
        let fault = world.hub.fault(Fault::new(On::Tree, what.clone()));
        let files = world.client.tree(&world.model, &world.commit).await.unwrap();
        assert_eq!(files, world.files);
        assert_eq!(fault.hits(), 1, "{what:?}");
    }
}

#[tokio::test]
async fn a_long_list_is_read() {
    let hub = Hub::start();
    let commit = hub.repo(Kind::Dataset, "org/many").synthetic_tree(20_000).parse().unwrap();
    let model = "datasets/org/many".parse().unwrap();
    let files = client(&hub).tree(&model, &commit).await.unwrap();
    assert_eq!(files.len(), 20_000);
}
