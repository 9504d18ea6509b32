//! Models that were added here, and that no hub knows.

use std::fs;
use std::sync::Arc;

use tonnage::error::PullError;
use tonnage::hub::{Client, Config, PullRequest, Pulled, Retry, pull};
use tonnage::model::RefName;
use tonnage::progress::Progress;
use tonnage::store::{Access, AddOptions, Store, Take};
use tonnage::verify::{Level, verify};

use crate::bench::{Bench, MIB, Mirror};

/// More than what a hub keeps in git.
const LARGE: usize = 11 * MIB;

/// Adds a model with files of every kind; its revision's digits.
fn add(bench: &Bench) -> String {
    let source = bench.dir("source");
    fs::create_dir_all(source.join("sub dir")).unwrap();
    fs::write(source.join("config.json"), crate::client::SMALL).unwrap();
    fs::write(source.join("empty"), "").unwrap();
    fs::write(source.join("sub dir/ü.bin"), crate::client::bytes(3, 2 * MIB)).unwrap();
    fs::write(source.join("weights.bin"), crate::client::bytes(4, LARGE)).unwrap();
    let options = AddOptions {
        model: "me/mine".parse().unwrap(),
        reference: RefName::main(),
        take: Take::Auto,
        follow_links: false,
        sha256: false,
    };
    bench.store().add(&source, &options, &Progress::new()).unwrap().revision.to_string()
}

fn pull_from(mirror: &Mirror, store: &Arc<Store>) -> Result<Pulled, PullError> {
    let retry = Retry { attempts: 1, ..Retry::default() };
    let config = Config { endpoint: mirror.url.clone(), retry, ..Config::default() };
    let client = Client::new(config).unwrap();
    let request = PullRequest::new("me/mine".parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(pull(store.clone(), &client, &request, &Arc::default()))
}

#[test]
fn a_model_that_was_added_here_is_pulled_from_here() {
    let bench = Bench::new();
    let revision = add(&bench);
    let mirror = Mirror::start(bench.store(), bench.offline());
    let second = Arc::new(Store::open(bench.dir("second"), Access::Write).unwrap());
    let pulled = pull_from(&mirror, &second).unwrap();
    assert_eq!(pulled.revision.revision.as_str(), &revision[..40]);
    let here = bench.store();
    let left = here.manifest(&here.resolve(&"me/mine".parse().unwrap()).unwrap()).unwrap();
    let came = second.manifest(&pulled.revision).unwrap();
    let files = |of: &tonnage::model::Manifest| -> Vec<_> {
        of.files().iter().map(|file| (file.path.clone(), file.size, file.blob)).collect()
    };
    assert_eq!(files(&came), files(&left));
    assert_eq!(files(&came).len(), 4);
    let found = verify(&second, &[pulled.revision], Level::Full, &Progress::new()).unwrap();
    assert!(found.damaged.is_empty(), "{found:?}");
    // The same again is nothing to fetch.
    assert_eq!(pull_from(&mirror, &second).unwrap().fetched_bytes, 0);
    assert!(bench.hub.log().is_empty());
}

#[test]
fn a_local_model_with_a_damaged_file_is_not_listed_in_part() {
    let bench = Bench::new();
    add(&bench);
    let here = bench.store();
    let left = here.manifest(&here.resolve(&"me/mine".parse().unwrap()).unwrap()).unwrap();
    let weights = left.files().iter().find(|file| file.size == LARGE as u64).unwrap();
    fs::remove_file(bench.path().join("blobs").join(weights.blob.to_string())).unwrap();
    let mirror = Mirror::start(here, bench.offline());
    let second = Arc::new(Store::open(bench.dir("second"), Access::Write).unwrap());
    assert!(pull_from(&mirror, &second).is_err());
    assert!(second.list().unwrap().is_empty());
    let told = mirror.get("/api/models/me/mine/tree/main?recursive=true");
    assert_eq!(told.status, 500, "{}", told.head);
    assert!(told.text().contains("weights.bin is damaged"), "{}", told.text());
    // What is whole is served.
    assert_eq!(mirror.get("/me/mine/resolve/main/config.json").status, 200);
}
