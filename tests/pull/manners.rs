//! What a pull says, and what it leaves where.

use std::fs;

use serde_json::Value;

use crate::hub::{At, Entry, Fault, Gate, Kind, On, What};
use crate::support::{MODEL, Ran, WEIGHTS, World, noise};

#[test]
fn a_pull_leaves_a_view_that_path_knows_and_says_what_it_fetched() {
    let world = World::new(3_000_000);
    let pulled = world.ok(&["pull", MODEL, "--json"]).json();
    assert_eq!(pulled["model"], MODEL);
    assert_eq!(pulled["revision"], world.commit);
    assert_eq!(pulled["ref"], "main");
    assert_eq!(pulled["files"], 4);
    assert_eq!(pulled["fetched_bytes"], 3_000_000 + 12 + 2);
    assert_eq!(pulled["reused_bytes"], 0);
    let asked = world.hub.log().len();
    let path = world.ok(&["path", MODEL]).stdout;
    assert_eq!(path.trim_end(), pulled["path"].as_str().unwrap());
    assert_eq!(world.hub.log().len(), asked, "path asks no hub");
    world.assert_whole(path.trim_end().as_ref());

    let again = world.ok(&["pull", MODEL, "--json"]).json();
    assert_eq!(again["fetched_bytes"], 0, "{again}");
    let text = world.ok(&["pull", MODEL]).stdout;
    assert!(text.contains("nothing to fetch") && text.lines().count() == 2, "{text}");
}

#[test]
fn a_dry_run_names_every_file_and_fetches_none() {
    let world = World::new(2_000_000);
    let plan = world.ok(&["pull", MODEL, "--dry-run", "--json"]).json();
    assert_eq!(plan["new_bytes"], 2_000_014, "{plan}");
    assert_eq!(plan["files"].as_array().unwrap().len(), 4);
    // But for where a header of tensors would be.
    assert_eq!(world.hub.body_bytes_sent("**"), world.hub.body_bytes_sent(WEIGHTS));
    assert!(world.hub.body_bytes_sent(WEIGHTS) <= 64 << 10);
    world.ok(&["pull", MODEL, "--include", "*.json"]);
    let plan = world.ok(&["pull", MODEL, "--dry-run", "--json"]).json();
    assert_eq!((&plan["new_bytes"], &plan["have_bytes"]), (&2_000_000.into(), &14.into()));
    let text = world.ok(&["pull", MODEL, "--dry-run"]).stdout;
    assert!(text.contains("2.0 MB of 2.0 MB to fetch"), "{text}");
}

#[test]
fn offline_the_store_answers_or_says_what_to_do() {
    let world = World::new(100_000);
    world.ok(&["pull", MODEL]);
    let asked = world.hub.log().len();
    let pulled = world.ok(&["pull", MODEL, "--offline", "--json"]).json();
    assert_eq!(pulled["revision"], world.commit);
    let missing = Ran::of(world.command(&["pull", "org/other"]).env("HF_HUB_OFFLINE", "1"));
    assert_eq!(missing.code, Some(3), "{missing:?}");
    assert!(missing.stderr.contains("HF_HUB_OFFLINE"), "{missing:?}");
    assert_eq!(world.hub.log().len(), asked);
}

#[test]
fn a_ref_that_moved_brings_what_is_new_and_keeps_the_old_revision() {
    let world = World::new(4_000_000);
    world.ok(&["pull", MODEL]);
    let next = world.repo.commit(&[
        Entry::git("config.json", "{\"layers\":3}"),
        Entry::lfs(WEIGHTS, world.weights.clone()),
    ]);
    let pulled = world.ok(&["pull", MODEL, "--json"]).json();
    assert_eq!(pulled["revision"], next);
    assert_eq!(pulled["fetched_bytes"], 12, "{pulled}");
    assert_eq!(pulled["reused_bytes"], 4_000_000);
    let listed = world.ok(&["ls", "--json"]).json();
    assert_eq!(listed["models"].as_array().unwrap().len(), 2, "{listed}");
    let config = fs::read(world.path("store/models/org--name/config.json")).unwrap();
    assert_eq!(config, b"{\"layers\":3}");
    let old = format!("{MODEL}@{}", world.commit);
    world.ok(&["checkout", &old, "old"]);
    world.assert_whole(&world.path("old"));
}

#[test]
fn what_was_added_from_a_directory_is_not_fetched() {
    let world = World::new(3_000_000);
    fs::create_dir(world.path("local")).unwrap();
    fs::write(world.path("local/weights"), &world.weights).unwrap();
    world.ok(&["add", "local", "--name", "my/copy"]);
    let pulled = world.ok(&["pull", MODEL, "--json"]).json();
    assert_eq!(pulled["fetched_bytes"], 14, "{pulled}");
    assert_eq!(world.hub.body_bytes_sent(WEIGHTS), 0);
}

#[test]
fn a_directory_of_ones_choice_gets_the_files_too() {
    let world = World::new(200_000);
    let pulled = world.ok(&["pull", MODEL, "--to", "here", "--json"]).json();
    assert!(pulled["path"].as_str().unwrap().ends_with("/here"), "{pulled}");
    world.assert_whole(&world.path("here"));
}

#[test]
fn a_quantization_is_picked_by_its_name() {
    let world = World::new(10);
    let repo = world.hub.repo(Kind::Model, "org/m-GGUF");
    repo.commit(&[
        Entry::git("config.json", "{}"),
        Entry::lfs("m-Q4_K_M.gguf", noise(1, 1000)),
        Entry::lfs("m-Q8_0.gguf", noise(2, 2000)),
    ]);
    let pulled = world.ok(&["pull", "org/m-GGUF", "--quant", "q4_k_m", "--json"]).json();
    assert_eq!((&pulled["files"], &pulled["bytes"]), (&2.into(), &1002.into()), "{pulled}");
    let unknown = world.run(&["pull", "org/m-GGUF", "--quant", "Q2_K"]);
    assert_eq!(unknown.code, Some(3), "{unknown:?}");
    assert!(unknown.stderr.contains("Q8_0"), "{unknown:?}");
}

#[test]
fn a_dataset_does_not_meet_a_model_of_its_name() {
    let world = World::new(10);
    let data = world.hub.repo(Kind::Dataset, MODEL);
    data.commit(&[Entry::git("train.csv", "a,b\n")]);
    world.ok(&["pull", MODEL]);
    let pulled = world.ok(&["pull", MODEL, "--type", "dataset", "--json"]).json();
    assert_eq!(pulled["model"], "datasets/org/name");
    assert_eq!(world.ok(&["show", "datasets/org/name", "--json"]).code, Some(0));
    world.ok(&["show", MODEL]);
}

#[test]
fn events_are_objects_line_by_line_and_the_last_is_the_result() {
    let world = World::new(1_000_000);
    let ran = world.ok(&["pull", MODEL, "--json", "--events", "--limit-rate", "600kB"]);
    let lines: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, events) = lines.split_last().unwrap();
    assert_eq!(last["fetched_bytes"], 1_000_014);
    assert!(!events.is_empty() && events.iter().all(|e| e["event"] == "progress"), "{ran:?}");
}

/// Of the program's own threads, only those that digest can keep a processor busy for long.
#[cfg(target_os = "linux")]
#[test]
fn one_job_has_one_thread_that_digests() {
    let world = World::new(3 << 20);
    let stall = world.hub.fault(Fault::new(On::Cdn, What::Stall(At::Body(1))).forever());
    let mut child = world.start(&["pull", MODEL, "--jobs", "1"]);
    stall.wait_hits(1);
    let tasks = format!("/proc/{}/task", child.id());
    let digesting = || {
        let tasks = fs::read_dir(&tasks).unwrap().map(|task| task.unwrap().path().join("comm"));
        tasks.filter(|comm| fs::read_to_string(comm).is_ok_and(|n| n.trim() == "digest")).count()
    };
    // A thread has its name a moment after it is there.
    while digesting() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(digesting(), 1);
    stall.release();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_token_is_used_at_the_hub_only_and_never_shown() {
    const TOKEN: &str = "hf_SecretSecretSecret";
    let world = World::new(2_000_000);
    world.hub.token(TOKEN, "me");
    world.repo.gated(Gate::Manual);
    let refused = world.run(&["pull", MODEL]);
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(refused.stderr.contains("HF_TOKEN"), "{refused:?}");
    let refused = Ran::of(world.command(&["pull", MODEL, "--json"]).env("HF_TOKEN", TOKEN));
    assert_ne!(refused.code, Some(0), "{refused:?}");
    world.repo.grants(TOKEN);
    let pulled = Ran::of(world.command(&["pull", MODEL]).env("HF_TOKEN", TOKEN));
    assert_eq!(pulled.code, Some(0), "{pulled:?}");
    for ran in [refused, pulled] {
        assert!(!format!("{ran:?}").contains("Secret"), "{ran:?}");
    }
    let cdn: Vec<_> = world.hub.requests(|r| r.origin == crate::hub::Origin::Cdn);
    assert!(!cdn.is_empty() && cdn.iter().all(|r| r.authorization.is_none()));
}

#[test]
fn a_short_name_is_its_model_unless_the_store_has_one_of_that_name() {
    let world = World::new(10);
    let repo = world.hub.repo(Kind::Model, "mlx-community/phi-4-4bit");
    repo.commit(&[Entry::git("config.json", "{}")]);
    let pulled = world.ok(&["pull", "phi-4", "--json"]).json();
    assert_eq!(pulled["model"], "mlx-community/phi-4-4bit");
    let path = world.ok(&["path", "phi-4"]).stdout;
    assert!(path.trim_end().ends_with("mlx-community--phi-4-4bit"), "{path}");
    fs::write(world.path("own"), "mine").unwrap();
    world.ok(&["add", "own", "--name", "phi-4"]);
    let path = world.ok(&["path", "phi-4"]).stdout;
    assert!(path.trim_end().ends_with("models/phi-4"), "{path}");
    let names = world.ok(&["names", "--json"]).json();
    assert_eq!(names["names"].as_array().unwrap().len(), 6);
}
