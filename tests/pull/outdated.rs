//! `outdated`: what has moved at the hub, and what following it would fetch.

use std::fs;

use serde_json::{Value, json};

use crate::hub::{At, Entry, Fault, Gate, Hub, Kind, On, What};
use crate::support::{MODEL, Ran, WEIGHTS, World, noise};

/// The one entry of a model and a ref.
fn entry(ran: &Ran, model: &str, name: &str) -> Value {
    let object = ran.json();
    let models = object["models"].as_array().unwrap();
    let mut found = models.iter().filter(|one| one["model"] == model && one["ref"] == name);
    match (found.next(), found.next()) {
        (Some(one), None) => one.clone(),
        _ => panic!("{model}@{name}: {object}"),
    }
}

/// Another small model with one file.
fn small(world: &World, id: &str) -> crate::hub::RepoHandle {
    let repo = world.hub.repo(Kind::Model, id);
    repo.commit(&[Entry::git("config.json", format!("{{\"id\":\"{id}\"}}"))]);
    world.ok(&["pull", id]);
    repo
}

/// What a hub says of a repository whose licence was not accepted.
fn gated(path: &str) -> Fault {
    let code = ("X-Error-Code".to_owned(), "GatedRepo".to_owned());
    Fault::new(On::Info, What::Status(403, vec![code])).path(path).forever()
}

#[test]
fn what_did_not_move_is_said_in_one_line() {
    let world = World::new(1000);
    world.ok(&["pull", MODEL]);
    let ran = world.ok(&["outdated"]);
    assert_eq!(ran.stdout, "nothing is outdated: 1 ref asked for\n", "{ran:?}");
    let one = entry(&world.ok(&["outdated", "--json"]), MODEL, "main");
    assert_eq!((&one["state"], &one["upstream"]), (&json!("current"), &json!(world.commit)));
    assert_eq!((&one["fetch_bytes"], &one["error"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_ref_that_moved_is_shown_with_what_a_pull_would_fetch() {
    let world = World::new(2_000_000);
    world.ok(&["pull", MODEL]);
    let next = world.repo.commit(&[
        Entry::git("config.json", "{\"layers\":3}"),
        Entry::lfs(WEIGHTS, world.weights.clone()),
        Entry::lfs("more.safetensors", noise(9, 500_000)),
    ]);
    let sent = world.hub.body_bytes_sent("**");
    let ran = world.ok(&["outdated"]);
    let [title, row] = ran.stdout.lines().collect::<Vec<_>>()[..] else { panic!("{ran:?}") };
    let words: Vec<_> = title.split_whitespace().collect();
    assert_eq!(words, ["MODEL", "REF", "HERE", "UPSTREAM", "FETCH"]);
    let words: Vec<_> = row.split_whitespace().collect();
    let expected = [MODEL, "main", &world.commit[..12], &next[..12], "500", "kB"];
    assert_eq!(words, expected, "{ran:?}");
    assert_eq!(ran.stderr, "", "{ran:?}");

    let one = entry(&world.ok(&["outdated", "--json"]), MODEL, "main");
    let plan = world.ok(&["pull", MODEL, "--dry-run", "--json"]).json();
    assert_eq!(one["state"], "moved");
    assert_eq!((&one["here"], &one["upstream"]), (&json!(world.commit), &json!(next)));
    assert_eq!(one["fetch_bytes"], 500_012);
    assert_eq!(
        (&one["fetch_bytes"], &one["reuse_bytes"]),
        (&plan["new_bytes"], &plan["have_bytes"])
    );
    assert_eq!(one["partial"], false, "{one}");
    // But for where the plan looked for a header of tensors.
    assert_eq!(world.hub.body_bytes_sent("**"), sent + (64 << 10), "nothing was fetched");

    world.ok(&["pull", MODEL]);
    let ran = world.ok(&["outdated"]);
    assert_eq!(ran.stdout, "nothing is outdated: 1 ref asked for\n", "{ran:?}");
}

#[test]
fn each_ref_is_asked_for_and_a_commit_is_not() {
    let world = World::new(1000);
    world.repo.tag("v1", &world.commit).branch("dev", &world.commit);
    for spec in [MODEL, "org/name@v1", "org/name@dev"] {
        world.ok(&["pull", spec]);
    }
    let other = small(&world, "org/fixed");
    let at = other.commit(&[Entry::git("config.json", "{\"fixed\":1}")]);
    world.ok(&["pull", &format!("org/fixed@{at}")]);
    world.repo.commit_to("dev", &[Entry::git("config.json", "{}")]);
    world.hub.forget_log();
    let ran = world.ok(&["outdated", "--json"]);
    assert_eq!(entry(&ran, MODEL, "main")["state"], "current");
    assert_eq!(entry(&ran, MODEL, "v1")["state"], "current");
    assert_eq!(entry(&ran, MODEL, "dev")["state"], "moved");
    assert_eq!(entry(&ran, "org/fixed", "main")["state"], "moved");
    let object = ran.json();
    let fixed = object["models"].as_array().unwrap().iter().find(|one| one["state"] == "fixed");
    let fixed = fixed.unwrap();
    assert_eq!((&fixed["here"], &fixed["ref"]), (&json!(at), &Value::Null));
    let asked = world.hub.requests(|request| request.path.ends_with(&format!("/revision/{at}")));
    assert!(asked.is_empty(), "a commit never moves: {asked:?}");

    let ran = world.ok(&["outdated", "org/name@v1", "--json"]);
    assert_eq!(ran.json()["models"].as_array().unwrap().len(), 1, "{ran:?}");
    assert_eq!(entry(&ran, MODEL, "v1")["state"], "current");
}

#[test]
fn of_a_model_that_is_here_in_part_only_its_own_files_count() {
    let world = World::new(1000);
    let repo = world.hub.repo(Kind::Model, "org/m-GGUF");
    let files = |seed| {
        [
            Entry::git("config.json", format!("{{\"seed\":{seed}}}")),
            Entry::lfs("m-Q4_K_M.gguf", noise(seed, 40_000)),
            Entry::lfs("m-Q8_0.gguf", noise(seed + 1, 80_000)),
        ]
    };
    repo.commit(&files(20));
    world.ok(&["pull", "org/m-GGUF", "--quant", "q4_k_m"]);
    repo.commit(&files(30));
    let one = entry(&world.ok(&["outdated", "--json"]), "org/m-GGUF", "main");
    assert_eq!((&one["state"], &one["partial"]), (&json!("moved"), &json!(true)), "{one}");
    assert_eq!(one["fetch_bytes"], 40_000 + 11, "{one}");
    let ran = world.ok(&["outdated"]);
    assert!(ran.stderr.contains("some of its files") && ran.stderr.contains("2 files"), "{ran:?}");

    repo.commit(&[Entry::git("other.json", "{}")]);
    let one = entry(&world.ok(&["outdated", "--json"]), "org/m-GGUF", "main");
    assert_eq!((&one["state"], &one["fetch_bytes"]), (&json!("moved"), &json!(0)), "{one}");
}

#[test]
fn when_the_hub_forgot_the_old_commit_all_of_the_new_one_counts() {
    let world = World::new(1000);
    world.ok(&["pull", MODEL, "--include", "*.json"]);
    world.repo.commit(&[Entry::lfs("new.safetensors", noise(5, 7000))]);
    let code = ("X-Error-Code".to_owned(), "RevisionNotFound".to_owned());
    let gone = format!("*/tree/{}", world.commit);
    world.hub.fault(Fault::new(On::Tree, What::Status(404, vec![code])).path(&gone).forever());
    let one = entry(&world.ok(&["outdated", "--json"]), MODEL, "main");
    assert_eq!((&one["partial"], &one["fetch_bytes"]), (&json!(false), &json!(7000)), "{one}");
}

#[test]
fn what_was_added_here_is_mentioned_when_it_is_named() {
    let world = World::new(1000);
    fs::write(world.path("file"), "mine").unwrap();
    world.ok(&["add", "file", "--name", "my/own"]);
    let ran = world.ok(&["outdated"]);
    assert_eq!(ran.stdout, "nothing here follows a branch or tag of a hub\n");
    let ran = world.ok(&["outdated", "my/own"]);
    assert!(ran.stdout.contains("my/own") && ran.stdout.contains("local"), "{ran:?}");
    assert_eq!(entry(&world.ok(&["outdated", "--json"]), "my/own", "main")["state"], "local");
    assert!(world.hub.log().is_empty(), "no hub has it");
}

#[test]
fn one_models_failure_does_not_keep_the_others_from_being_answered() {
    let world = World::new(1000);
    world.ok(&["pull", MODEL]);
    world.repo.commit(&[Entry::git("config.json", "{}")]);
    let gone = small(&world, "org/gone");
    gone.private();
    small(&world, "org/gated");
    world.hub.fault(gated("*org/gated*"));
    small(&world, "org/broken");
    let broken = Fault::new(On::Info, What::Close(At::Head(0))).path("*org/broken*").forever();
    let broken = world.hub.fault(broken);
    let strange = small(&world, "org/strange");
    let names = vec!["../x".to_owned()];
    world.hub.fault(Fault::new(On::Tree, What::HostileTree(names)).path("*org/strange*").forever());
    strange.commit(&[Entry::git("config.json", "{}")]);

    let ran = world.run(&["outdated", "--json"]);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    let of = |model| entry(&ran, model, "main");
    assert_eq!((&of(MODEL)["state"], &of(MODEL)["error"]), (&json!("moved"), &Value::Null));
    for (model, state, kind) in [
        ("org/gone", "gone", "not_found"),
        ("org/gated", "gated", "hub"),
        ("org/broken", "unreachable", "hub"),
        ("org/strange", "moved", "hub"),
    ] {
        let one = of(model);
        assert_eq!((&one["state"], &one["error"]["kind"]), (&json!(state), &json!(kind)), "{one}");
        assert_eq!(one["fetch_bytes"], Value::Null, "{one}");
    }
    assert_eq!(broken.hits(), 3, "it asks again, and not for long");

    let ran = world.run(&["outdated"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(6), 6), "{ran:?}");
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{ran:?}");
    for model in ["org/gone", "org/gated", "org/broken", "org/strange"] {
        let notes = ran.stderr.lines().filter(|line| line.contains(model)).count();
        assert!(notes == 1 && ran.stdout.contains(model), "{model}: {ran:?}");
    }
}

#[test]
fn that_a_model_or_a_ref_is_gone_is_an_answer() {
    let world = World::new(1000);
    small(&world, "org/gone").private();
    world.repo.tag("v1", &world.commit);
    world.ok(&["pull", "org/name@v1"]);
    let hub = Hub::start();
    hub.repo(Kind::Model, MODEL).commit(&[Entry::git("config.json", "{}")]);
    let ran = world.ok(&["outdated", "--json", "--endpoint", &hub.url()]);
    assert_eq!(entry(&ran, "org/gone", "main")["state"], "gone");
    assert_eq!(entry(&ran, MODEL, "v1")["state"], "gone");
}

#[test]
fn four_questions_are_asked_at_once_and_not_five() {
    let world = World::new(1000);
    for number in 0..6 {
        small(&world, &format!("org/m{number}"));
    }
    world.hub.forget_log();
    let stall = world.hub.fault(Fault::new(On::Info, What::Stall(At::Head(0))).forever());
    let child = world.start(&["outdated"]);
    stall.wait_hits(4);
    assert_eq!(world.hub.log().len(), 4);
    world.hub.release_all();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"nothing is outdated: 6 refs asked for\n");
}

#[test]
fn ctrl_c_ends_it_while_the_hub_hangs() {
    let world = World::new(1000);
    world.ok(&["pull", MODEL]);
    let stall = world.hub.fault(Fault::new(On::Info, What::Stall(At::Head(0))).forever());
    let child = world.start(&["outdated"]);
    stall.wait_hits(1);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}

#[test]
fn offline_and_without_a_store_and_for_unknown_models_it_refuses() {
    let world = World::new(1000);
    assert_eq!(world.run(&["outdated"]).code, Some(3));
    assert!(!world.path("store").exists(), "a question makes no store");
    world.ok(&["pull", MODEL]);
    world.hub.forget_log();
    for mut command in [world.command(&["outdated", "--offline"]), {
        let mut command = world.command(&["outdated"]);
        command.env("HF_HUB_OFFLINE", "1");
        command
    }] {
        let ran = Ran::of(&mut command);
        assert!(ran.code == Some(6) && ran.stderr.contains("HF_HUB_OFFLINE"), "{ran:?}");
        assert_eq!(ran.stdout, "", "a refusal, not an answer for each ref");
    }
    let ran = world.run(&["outdated", "org/none"]);
    assert!(ran.code == Some(3) && ran.stderr.contains("org/none"), "{ran:?}");
    assert!(world.hub.log().is_empty());
}

#[test]
fn short_names_and_tokens_are_as_those_of_pull() {
    const TOKEN: &str = "hf_SecretSecretSecret";
    let world = World::new(1000);
    world.hub.token(TOKEN, "me");
    let repo = world.hub.repo(Kind::Model, "mlx-community/phi-4-4bit");
    repo.commit(&[Entry::git("config.json", "{}")]);
    repo.private().gated(Gate::Manual).grants(TOKEN);
    world.ok(&["pull", "phi-4", "--token", TOKEN]);
    repo.commit(&[Entry::git("config.json", "{\"a\":1}")]);
    let ran = world.ok(&["outdated", "phi-4", "--token", TOKEN, "--json"]);
    assert_eq!(entry(&ran, "mlx-community/phi-4-4bit", "main")["state"], "moved");
    let ran = world.ok(&["outdated", "phi-4", "--json"]);
    assert_eq!(entry(&ran, "mlx-community/phi-4-4bit", "main")["state"], "gone");
    assert!(!format!("{ran:?}").contains("Secret"));
}
