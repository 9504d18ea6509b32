//! Who may ask, and in what form answers come.

use super::*;

#[test]
fn another_sites_page_is_refused() {
    let (_bench, _store, mirror, [a, _]) = two();
    let path = format!("{BASE}/models/{}", segment(&a));
    let empty = ("content-length", "0");
    let own = format!("http://{}", mirror.host());
    let refused = |method: &str, headers: &[(&str, &str)]| {
        is_problem(&mirror.ask(method, &path, headers), 403, "forbidden");
    };
    refused("DELETE", &[empty]);
    refused("DELETE", &[empty, PROOF, ("origin", "http://evil.test")]);
    refused("DELETE", &[empty, PROOF, ("sec-fetch-site", "cross-site")]);
    refused("GET", &[("sec-fetch-site", "same-site")]);
    refused("GET", &[("origin", "null")]);
    refused(
        "OPTIONS",
        &[("origin", "http://evil.test"), ("access-control-request-method", "DELETE")],
    );
    assert_eq!(mirror.models().len(), 2);
    let mut evil = mirror.client();
    evil.write(&format!("GET {path} HTTP/1.1\r\nHost: evil.test\r\n\r\n"));
    is_problem(&evil.reply("GET"), 421, "forbidden");
    let same = [empty, PROOF, ("origin", own.as_str()), ("sec-fetch-site", "same-origin")];
    assert_eq!(mirror.ask("DELETE", &path, &same).status, 200);
}

#[test]
fn a_token_is_asked_for_where_there_are_tokens() {
    let bench = Bench::new();
    let tokens = Tokens::parse("a-long-token", "tokens").unwrap();
    for public_read in [false, true] {
        let options = Options { tokens: tokens.clone(), public_read, ..bench.options() };
        let mirror = Mirror::start(bench.store(), options);
        for path in ["/status", "/events", "/nowhere"] {
            is_problem(&mirror.call("GET", path, None), 401, "unauthorized");
        }
        is_problem(&mirror.call("POST", "/downloads", model()), 401, "unauthorized");
        let bearer = ("authorization", "Bearer a-long-token");
        assert_eq!(mirror.ask("GET", &format!("{BASE}/status"), &[bearer]).status, 200);
        // The page asks for it, so it needs none.
        assert_eq!(mirror.get("/").status, 200);
    }
}

#[test]
fn the_page_is_given_by_this_servers_name_only() {
    let bench = Bench::new();
    let mirror = bench.serve();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/app.js", "text/javascript; charset=utf-8"),
        ("/page/style.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ] {
        let reply = mirror.get(path);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(kind)), "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self'; frame-ancestors 'none'"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(reply.header("cache-control"), Some("no-cache"));
    }
    for path in ["/page/none.js", "/page/..%2Fapp.rs", "/page/"] {
        assert_eq!(mirror.get(path).status, 404, "{path}");
    }
    let mut evil = mirror.client();
    evil.write("GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n");
    assert_eq!(evil.reply("GET").status, 421);
}

#[test]
fn the_document_lists_the_routes_that_exist() {
    let bench = Bench::new();
    let mirror = bench.serve();
    let document = mirror.ask("GET", "/api/tonnage/openapi.json", &[]).json();
    let mut listed = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let is_listed = methods.get(method.to_lowercase()).is_some();
            if is_listed {
                listed.insert(format!("{method} {path}"));
            }
            if path.ends_with("/events") && is_listed {
                continue;
            }
            let real = path.replace("{spec}", "org%2Fnone%40main").replace("{id}", "7");
            let reply = mirror.call_text(method, &real, "");
            assert_eq!(reply.status == 405, !is_listed, "{method} {path}: {}", reply.head);
            if !matches!(reply.status, 200 | 204) {
                assert!(reply.json()["error"]["kind"].is_string(), "{method} {path}");
            }
        }
    }
    assert_eq!(listed.len(), 27);
    let change = &document["paths"]["/api/tonnage/v1/space/evict"]["post"];
    assert_eq!(change["parameters"][0]["name"], "X-Tonnage");
    let schema = &document["components"]["schemas"];
    for name in ["Download", "Plan", "Space", "Verify", "Problem", "Trouble"] {
        assert!(schema[name]["properties"].is_object(), "{name}");
    }
}

#[test]
fn what_makes_no_sense_is_told_in_the_same_form() {
    let bench = Bench::new();
    let mirror = bench.serve();
    for (body, status) in [
        ("{", 400),
        ("[]", 400),
        ("{\"model\":7}", 400),
        ("{\"model\":\"org/name\",\"inclde\":[]}", 400),
        ("{\"model\":\"../..\"}", 400),
        ("{}", 400),
        ("", 415),
    ] {
        is_problem(&mirror.call_text("POST", &format!("{BASE}/plan"), body), status, "usage");
    }
    let long = format!("{{\"model\":\"{}\"}}", "a".repeat(MIB));
    is_problem(&mirror.call_text("POST", &format!("{BASE}/plan"), &long), 413, "usage");
    is_problem(
        &mirror.call("DELETE", "/models/org%2Fa%40main?dry_run=perhaps", None),
        400,
        "usage",
    );
    is_problem(&mirror.call("DELETE", "/downloads/seven", None), 400, "usage");
    is_problem(&mirror.call("GET", "/models/%ff", None), 400, "usage");
    is_problem(&mirror.call("PATCH", "/models", None), 405, "usage");
    for path in ["", "/", "/v1", "/v1/", "/v1/nowhere", "/v2/models", "/v1/models/a/b"] {
        let reply = mirror.call_text("GET", &format!("/api/tonnage{path}"), "");
        is_problem(&reply, 404, "not_found");
    }
}
