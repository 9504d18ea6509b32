//! Models and the trash.

use super::*;

#[test]
fn what_is_deleted_can_be_brought_back() {
    let (_bench, store, mirror, [a, _]) = two();
    let path = format!("/models/{}", segment(&a));
    let plan = mirror.told("DELETE", &format!("{path}?dry_run=true"), None);
    assert_eq!((&plan["removed"], &plan["kept"]), (&json!([a]), &json!([])));
    assert!(plan["later_bytes"].as_u64().unwrap() >= MIB as u64 && plan["until"].is_i64());
    assert_eq!(mirror.models(), ["org/a", "org/b"]);
    let done = mirror.told("DELETE", &path, None);
    assert_eq!((&done["removed"], &done["later_bytes"]), (&json!([a]), &plan["later_bytes"]));
    assert_eq!(mirror.models(), ["org/b"]);
    let trash = mirror.look("/trash");
    assert_eq!(names(&trash["trashed"], "model"), ["org/a"]);
    assert_eq!(
        (&trash["trashed"][0]["refs"], &trash["trashed"][0]["until"]),
        (&json!(["main"]), &done["until"])
    );
    is_problem(&mirror.call("DELETE", &path, None), 404, "not_found");
    let restore = format!("/trash/{}/restore", segment(&a));
    assert_eq!(mirror.told("POST", &restore, None), json!({ "refs": ["main"] }));
    assert_eq!((mirror.models().len(), store.trashed().unwrap().len()), (2, 0));
    is_problem(&mirror.call("POST", &restore, None), 404, "not_found");
    // One revision is named, never all of a model.
    is_problem(&mirror.call("DELETE", "/models/org%2Fa", None), 400, "usage");
}

#[test]
fn what_is_held_stays_and_says_by_what() {
    let (bench, store, mirror, [a, b]) = two();
    let why = |spec: &str| {
        let told = mirror.told("DELETE", &format!("/models/{}?dry_run=false", segment(spec)), None);
        assert_eq!((&told["removed"], &told["until"]), (&json!([]), &Value::Null));
        told["kept"][0]["why"].as_str().unwrap().to_owned()
    };
    let pin = format!("/models/{}/pin", segment(&a));
    assert_eq!(
        mirror.told("POST", &pin, Some(json!({ "pinned": true }))),
        json!({ "pinned": true })
    );
    assert_eq!(mirror.look("/models")["models"][0]["pinned"], true);
    assert!(why(&a).contains("pinned"));
    mirror.told("POST", &pin, Some(json!({ "pinned": false })));
    let lease = store.lease(&resolve(&store, &a)).unwrap();
    assert!(why(&a).contains("process"));
    drop(lease);
    view(&store, &b, &bench.dir("view"), in_mode(tonnage::views::Mode::Auto));
    assert!(why(&b).contains("view"));
}

#[test]
fn variants_of_a_model_are_a_family() {
    let (bench, store, mirror, [_, b]) = two();
    assert_eq!(mirror.look("/sharing"), json!({ "families": [] }));
    let weights = bytes(2, MIB);
    let base = put(&bench, &store, "org/Tiny-1B", &bytes(3, MIB));
    let quant = put(&bench, &store, "other/tiny-1b-Q4_K_M-GGUF", &weights);
    let short = |spec: &str| spec[..spec.find('@').unwrap() + 13].to_owned();
    let families = mirror.look("/sharing")["families"].clone();
    let (b, base, quant) = (short(&b), short(&base), short(&quant));
    // By their names, and `org/b` for the weights that it has, too.
    assert_eq!(families, json!([{ "name": "org/b", "members": [base, b, quant] }]));
    let of = json!({ "models": [b, quant, base] });
    let matrix = mirror.told("POST", "/sharing/matrix", Some(of));
    assert_eq!(names(&matrix["members"], "name"), [b.clone(), quant.clone(), base]);
    assert_eq!(matrix["equal"][0][1], MIB);
    assert_eq!(matrix["equal"][0][2], 0);
    assert_eq!(matrix["equal"][0][0], matrix["members"][0]["bytes"]);
    assert_eq!(matrix["bytes"].as_u64().unwrap() - matrix["unique"].as_u64().unwrap(), MIB as u64);
    is_problem(
        &mirror.call("POST", "/sharing/matrix", Some(json!({ "models": [] }))),
        400,
        "usage",
    );
    let details = mirror.look(&format!("/models/{}", segment(&quant)));
    assert_eq!(details["file_list"][1]["shared_with"], json!([b]));
    assert_eq!((&details["files"], &details["shared"]), (&json!(2), &json!(MIB)));
}

#[test]
fn names_with_markup_in_them_are_text() {
    let bench = Bench::new();
    let store = bench.store();
    let name = "<img src=x onerror=alert(1)>\"&.json";
    write_tree(&bench.dir("evil"), &[(name, b"{}")]);
    let added = add(&store, &bench.dir("evil"), "org/evil");
    let mirror = Mirror::start(store, bench.options());
    let path = format!("/models/{}", segment(&format!("org/evil@{}", added.revision)));
    let reply = mirror.call("GET", &path, None);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.json()["file_list"][0]["path"], name);
    let reply = mirror.call("GET", "/models/%3Cscript%3E%40x", None);
    is_problem(&reply, 400, "usage");
}
