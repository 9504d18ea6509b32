//! What is so in every view: how it looks, that windows agree, and who may use it.

use std::path::PathBuf;

use serde_json::json;
use tonnage::serve::{Options, Tokens};
use tonnage::store::Store;

use crate::bench::{Bench, MIB, Mirror};
use crate::browser::Browser;
use crate::desk::{Desk, age, card, put, row};
use crate::hub::{At, Entry, Fault, Kind, On, What};
use crate::support::{bytes, family};

const VIEWS: [&str; 4] = ["download", "models", "storage", "sharing"];

/// Some models, of which some are a family, and one whose names are as long as names get.
fn many(bench: &Bench, store: &Store) {
    let dir = bench.dir("family");
    for name in family::write(&dir, 256) {
        let (variant, _) = name.split_once('.').unwrap();
        let weights = std::fs::read(dir.join(&name)).unwrap();
        let model = format!("quantizers/Tiny-Instruct-{variant}-GGUF");
        put(bench, store, &model, &[(name.as_str(), &weights), ("README.md", b"# Tiny")]);
    }
    age(store.path());
    let long =
        format!("{}/{}", "organization".repeat(3), "model-of-a-very-long-name-".repeat(2) + "v1");
    let file = format!("{}.safetensors", "weights_without_any_place_to_break".repeat(5));
    put(bench, store, &long, &[(file.as_str(), &bytes(1, MIB))]);
    put(bench, store, "org/removed", &[("model.bin", &bytes(2, MIB))]);
    let large = vec![Entry::git("config.json", "{}"), Entry::lfs("weights.bin", bytes(3, 8 * MIB))];
    bench.hub.repo(Kind::Model, "org/on-its-way").commit(&large);
    let broken = vec![Entry::lfs("broken.bin", bytes(4, MIB))];
    bench.hub.repo(Kind::Model, "org/broken").commit(&broken);
}

/// Opens, in each view, whatever there is to open.
fn fill(desk: &Desk) {
    let browser = &desk.browser;
    for model in ["org/broken", "org/on-its-way"] {
        browser.write("#model-name", model);
        browser.click("#plan-button");
        browser.click("#download-button");
        browser.see(&card(model));
    }
    browser.see(&format!("{}[data-state=failed]", card("org/broken")));
    browser.write("#model-name", "org/on-its-way");
    browser.click("#plan-button");
    browser.see("#plan");
    browser.view("models");
    browser.click(&format!("{} [data-action=delete]", row("org/removed")));
    browser.click("#confirm-yes");
    browser.see("#trash [data-model='org/removed']");
    browser.click("[data-action=dismiss-toast]");
    browser.click("#models tbody:first-of-type [data-action=details]");
    browser.see(".files");
    browser.view("storage");
    browser.click("#verify-button");
    browser.reads("#verify-result", "No damage");
    browser.click("#limit-none");
    browser.keys("#limit-slider", thirtyfour::Key::Home + "");
    browser.see("#limit-plan .going");
    browser.view("sharing");
    browser.see("#matrix");
}

#[test]
fn it_fits_a_telephone_and_a_wide_screen_by_day_and_by_night() {
    let Some(desk) = Desk::new(many) else { return };
    let shots = std::env::var_os("TONNAGE_SCREENSHOTS").map(PathBuf::from);
    let hub = &desk.bench.hub;
    hub.fault(Fault::new(On::Cdn, What::status(403)).path("broken.bin").forever());
    let half = What::Stall(At::File(4 * MIB as u64));
    hub.fault(Fault::new(On::Cdn, half).path("weights.bin").forever());
    let browser = &desk.browser;
    fill(&desk);
    for (width, is_dark) in [(360, false), (360, true), (1600, false), (1600, true)] {
        for view in VIEWS {
            browser.shape(width, 900, is_dark);
            browser.view(view);
            let sizes = browser.eval(
                "[document.documentElement.scrollWidth, document.documentElement.clientWidth]",
            );
            let wide: Vec<u64> = serde_json::from_value(sizes).unwrap();
            assert!(wide[0] <= wide[1], "{view} at {width}: {wide:?}");
            if let Some(dir) = &shots {
                let all = browser.eval("document.documentElement.scrollHeight").as_u64().unwrap();
                browser.shape(width, u32::try_from(all.clamp(900, 3000)).unwrap(), is_dark);
                std::fs::create_dir_all(dir).unwrap();
                let colours = if is_dark { "dark" } else { "light" };
                browser.screenshot(&dir.join(format!("{view}-{width}-{colours}.png")));
            }
        }
    }
    desk.is_content();
}

#[test]
fn an_empty_store_has_views_too() {
    let Some(desk) = Desk::new(|_, _| ()) else { return };
    let browser = &desk.browser;
    browser.see("#no-downloads");
    browser.view("models");
    browser.reads("#no-models", "There are no models yet.");
    browser.view("storage");
    browser.reads("#disk-words", "The store takes");
    browser.view("sharing");
    browser.reads("#no-matrix", "There are no two models here that are worth comparing.");
    desk.is_content();
}

#[test]
fn two_windows_agree() {
    let Some(desk) = Desk::new(|bench, store| {
        put(bench, store, "org/a", &[("model.bin", &bytes(1, MIB))]);
        bench.model(MIB);
    }) else {
        return;
    };
    let browser = &desk.browser;
    let one = browser.tab();
    browser.view("models");
    let other = browser.new_tab();
    browser.open(&desk.mirror.url);
    browser.view("models");
    browser.click(&format!("{} [data-action=pin]", row("org/a")));
    let pinned = |is: bool| browser.see(&format!("{} [aria-checked={is}]", row("org/a")));
    pinned(true);
    browser.turn_to(&one);
    pinned(true);
    browser.click(&format!("{} [data-action=pin]", row("org/a")));
    pinned(false);
    browser.click(&format!("{} [data-action=delete]", row("org/a")));
    browser.click("#confirm-yes");
    browser.turn_to(&other);
    browser.gone(&row("org/a"));
    browser.click("#trash [data-model='org/a'] [data-action=restore]");
    browser.turn_to(&one);
    browser.see(&row("org/a"));
    browser.view("download");
    browser.write("#model-name", "org/name");
    browser.click("#plan-button");
    browser.click("#download-button");
    browser.turn_to(&other);
    browser.see(&row("org/name"));
    browser.view("download");
    browser.see(&format!("{}[data-state=done]", card("org/name")));
    browser.click(&format!("{} [data-action=dismiss]", card("org/name")));
    browser.view("storage");
    browser.turn_to(&one);
    browser.gone(&card("org/name"));
    browser.view("storage");
    browser.click("#limit-none");
    browser.write("#limit-number", "2");
    browser.click("#limit-apply");
    browser.turn_to(&other);
    browser.until("document.querySelector('#limit-number').value === '2'");
    browser.reads("#limit-plan", "The limit is 2.0 GB.");
    desk.is_content();
}

#[test]
fn a_server_with_tokens_is_used_with_one() {
    let Some(browser) = Browser::new() else { return };
    let bench = Bench::new();
    let store = bench.store();
    put(&bench, &store, "org/a", &[("model.bin", &bytes(1, MIB))]);
    let tokens = Tokens::parse("a-long-token", "tokens").unwrap();
    let mirror = Mirror::start(store, Options { tokens, ..bench.options() });
    browser.go(&mirror.url);
    browser.see("#token-dialog");
    browser.gone("#token-refused");
    assert_eq!(browser.count("#models tbody"), 0);
    browser.write("#token", "another-token");
    browser.click("#token-submit");
    browser.see("#token-refused");
    browser.write("#token", "a-long-token");
    browser.click("#token-submit");
    browser.gone("#token-dialog");
    browser.until("document.querySelector('#connection').dataset.state === 'live'");
    browser.view("models");
    browser.click(&format!("{} [data-action=pin]", row("org/a")));
    browser.see(&format!("{} [aria-checked=true]", row("org/a")));
    // It is kept for as long as the window is open, and nowhere else.
    browser.open(&mirror.url);
    browser.gone("#token-dialog");
    assert_eq!(browser.eval("Object.keys(localStorage).length + document.cookie.length"), json!(0));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
