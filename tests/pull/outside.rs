//! The way out as the environment of a process says it is: certificates and proxies.

use std::fs;
use std::process::Command;

use crate::hub::{Fault, On, Origin, What};
use crate::proxy::Proxy;
use crate::support::{MODEL, Ran, World};
use crate::tls::Tls;

fn host(url: &str) -> &str {
    url.split_once("://").unwrap().1
}

/// A pull over an encrypted connection to the world's hub, which trusts whom `trusted` names.
fn encrypted(world: &World, door: &Tls, trusted: &str) -> Command {
    let roots = world.path("roots.pem");
    fs::write(&roots, trusted).unwrap();
    let mut command = world.command(&["pull", MODEL, "--json"]);
    command.env("HF_ENDPOINT", door.url()).env("SSL_CERT_FILE", roots).env_remove("SSL_CERT_DIR");
    command
}

fn hint(ran: &Ran) -> String {
    ran.json()["error"]["hint"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_certificate_is_trusted_when_the_environment_names_who_signed_it() {
    let world = World::new(3 << 20);
    world.hub.serve_directly(true);
    let door = Tls::to(host(&world.hub.url()), "127.0.0.1");
    let pulled = Ran::of(&mut encrypted(&world, &door, &door.authority));
    assert_eq!(pulled.code, Some(0), "{pulled:?}");
    world.assert_whole(pulled.json()["path"].as_str().unwrap().as_ref());
    assert!(door.knocks() > 0);
}

#[test]
fn a_certificate_that_nobody_trusted_signed_is_refused_at_once() {
    let world = World::new(1000);
    let door = Tls::to(host(&world.hub.url()), "127.0.0.1");
    let stranger = Tls::to(host(&world.hub.url()), "127.0.0.1");
    let other_name = Tls::to(host(&world.hub.url()), "another.test");
    for (door, trusted) in [(&door, &stranger.authority), (&other_name, &other_name.authority)] {
        let refused = Ran::of(&mut encrypted(&world, door, trusted));
        assert_eq!(refused.code, Some(6), "{refused:?}");
        assert!(refused.stdout.contains("cannot be trusted"), "{refused:?}");
        assert!(hint(&refused).contains("certificates"), "{refused:?}");
        assert_eq!(door.knocks(), 1, "it is not asked again");
    }
    assert!(world.hub.log().is_empty(), "no request was made");
}

#[test]
fn an_encrypted_connection_is_not_left_for_an_open_one() {
    let world = World::new(3 << 20);
    let door = Tls::to(host(&world.hub.url()), "127.0.0.1");
    // The content network is at an open address.
    let refused = Ran::of(&mut encrypted(&world, &door, &door.authority));
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(refused.stdout.contains("not safe"), "{refused:?}");
    assert!(world.hub.requests(|r| r.origin == Origin::Cdn).is_empty());
    // So is the place where this hub claims to have moved.
    let to = format!("{}/api/models/{MODEL}", world.hub.url());
    world.hub.fault(Fault::new(On::Info, What::RedirectTo(to)).forever());
    let asked = world.hub.log().len();
    let refused = Ran::of(&mut encrypted(&world, &door, &door.authority));
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(refused.stdout.contains("not safe"), "{refused:?}");
    assert_eq!(world.hub.log().len(), asked + 1);
}

#[test]
fn every_request_goes_through_the_proxy_that_the_environment_names() {
    let world = World::new(3 << 20);
    let proxy = Proxy::start();
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        world.hub.forget_log();
        let before = proxy.log().len();
        fs::remove_dir_all(world.path("store")).ok();
        let way = if name == "HTTP_PROXY" {
            proxy.address()
        } else {
            format!("http://{}/", proxy.address())
        };
        let pulled = Ran::of(world.command(&["pull", MODEL, "--json"]).env(name, way));
        assert_eq!(pulled.code, Some(0), "{name}: {pulled:?}");
        world.assert_whole(pulled.json()["path"].as_str().unwrap().as_ref());
        let passed = &proxy.log()[before..];
        assert_eq!(passed.len(), world.hub.log().len(), "{name}");
        assert!(passed.iter().all(|p| p.method == "GET" && p.target.starts_with("http://127.")));
        let to = |url: String| passed.iter().any(|p| p.target.starts_with(&url));
        assert!(to(world.hub.url()) && to(world.hub.cdn_url()), "{passed:?}");
    }
}

#[test]
fn what_the_environment_excepts_goes_past_the_proxy() {
    let world = World::new(3 << 20);
    let proxy = Proxy::start();
    for except in ["127.0.0.1", "10.0.0.0/8, 127.0.0.0/8", "*"] {
        fs::remove_dir_all(world.path("store")).ok();
        let mut pull = world.command(&["pull", MODEL]);
        pull.env("HTTP_PROXY", proxy.address()).env("NO_PROXY", except);
        let pulled = Ran::of(&mut pull);
        assert_eq!(pulled.code, Some(0), "{except}: {pulled:?}");
        assert!(proxy.log().is_empty(), "{except}: {:?}", proxy.log());
    }
}

#[test]
fn an_encrypted_connection_passes_a_proxy_in_a_tunnel() {
    let world = World::new(3 << 20);
    world.hub.serve_directly(true);
    let door = Tls::to(host(&world.hub.url()), "127.0.0.1");
    let proxy = Proxy::start();
    let mut pull = encrypted(&world, &door, &door.authority);
    let pulled = Ran::of(pull.env("HTTPS_PROXY", proxy.address()).env("HTTP_PROXY", "127.0.0.1:9"));
    assert_eq!(pulled.code, Some(0), "{pulled:?}");
    world.assert_whole(pulled.json()["path"].as_str().unwrap().as_ref());
    let log = proxy.log();
    assert!(log.iter().all(|p| p.method == "CONNECT" && p.target == door.address()), "{log:?}");
    assert_eq!(log.len(), door.knocks());
}

#[test]
fn a_proxy_that_is_down_is_named_and_its_password_is_not() {
    let world = World::new(1000);
    let door = Tls::to(host(&world.hub.url()), "127.0.0.1");
    let mut open = world.command(&["pull", MODEL, "--json"]);
    open.env("HTTP_PROXY", "http://me:Pa55word@127.0.0.1:9");
    let mut tunnel = encrypted(&world, &door, &door.authority);
    tunnel.env("HTTPS_PROXY", "http://me:Pa55word@127.0.0.1:9");
    // Both wait for it to come back, so they wait together.
    let children = [open, tunnel].map(|mut command| {
        use std::process::Stdio;
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains("the proxy http://127.0.0.1:9:"), "{said}");
        assert!(said.contains("HTTPS_PROXY"), "{said}");
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("Pa55") && !log.contains("Pa55"), "{said}{log}");
    }
    assert!(world.hub.log().is_empty());
}

#[test]
fn a_proxy_is_told_its_user_and_nobody_else_is() {
    let world = World::new(3 << 20);
    // me:Pa55word
    let proxy = Proxy::only_for("Basic bWU6UGE1NXdvcmQ=");
    let mut pull = world.command(&["pull", MODEL]);
    let pulled = Ran::of(pull.env("HTTP_PROXY", format!("http://me:Pa55word@{}", proxy.address())));
    assert_eq!(pulled.code, Some(0), "{pulled:?}");
    assert!(!format!("{pulled:?}").contains("Pa55"), "{pulled:?}");
    // Through a tunnel nothing of it comes to the hub.
    world.hub.serve_directly(true);
    world.hub.forget_log();
    let door = Tls::to(host(&world.hub.url()), "127.0.0.1");
    let mut pull = encrypted(&world, &door, &door.authority);
    let pulled =
        Ran::of(pull.env("HTTPS_PROXY", format!("http://me:Pa55word@{}", proxy.address())));
    assert_eq!(pulled.code, Some(0), "{pulled:?}");
    assert!(proxy.log().iter().any(|p| p.method == "CONNECT"));
    let told = world.hub.requests(|r| r.header("proxy-authorization").is_some());
    assert!(!world.hub.log().is_empty() && told.is_empty(), "{told:?}");

    let mut pull = world.command(&["pull", MODEL, "--json"]);
    let refused = Ran::of(pull.env("HTTP_PROXY", format!("http://me:Wr0ng@{}", proxy.address())));
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(hint(&refused).contains("proxy"), "{refused:?}");
    assert!(!format!("{refused:?}").contains("Wr0ng"), "{refused:?}");

    let mut pull = world.command(&["pull", MODEL, "--json"]);
    let nonsense = Ran::of(pull.env("HTTP_PROXY", "socks5://me:Wr0ng@127.0.0.1:1"));
    assert_eq!(nonsense.code, Some(2), "{nonsense:?}");
    assert!(nonsense.stdout.contains("HTTP_PROXY"), "{nonsense:?}");
    assert!(!format!("{nonsense:?}").contains("Wr0ng"), "{nonsense:?}");
}
