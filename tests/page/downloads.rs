//! What is downloaded.

use std::sync::Arc;

use tonnage::store::{Access, Store};

use crate::bench::{Bench, MIB};
use crate::browser::Browser;
use crate::desk::{Desk, card, put, row};
use crate::hub::{At, Entry, Fault, On, What};
use crate::support::mounts::{self, Mounted};
use crate::support::{assert_whole, bytes};

const SLOW: u64 = 40 * MIB as u64;

impl Desk {
    /// Has the plan for a model shown.
    fn plan(&self, model: &str) {
        self.browser.write("#model-name", model);
        self.browser.click("#plan-button");
        self.browser.see("#plan");
    }

    /// Waits for the download of `org/name` to be in a state.
    fn is(&self, state: &str) {
        self.browser.see(&format!("{}[data-state={state}]", card("org/name")));
    }

    /// Presses a button of the download of `org/name`.
    fn order(&self, action: &str) {
        self.browser.click(&format!("{} [data-action={action}]", card("org/name")));
    }

    /// Waits until the bar of `org/name` is somewhere.
    fn bar(&self, is: &str) {
        let bar = format!("{} [role=progressbar]", card("org/name"));
        self.browser.until(&format!(
            "((part) => {is})(Number(document.querySelector('{bar}').getAttribute('aria-valuenow')))"
        ));
    }
}

#[test]
fn a_download_is_planned_paused_resumed_and_done() {
    let Some(desk) = Desk::new(|bench, _| {
        bench.model(SLOW as usize);
    }) else {
        return;
    };
    let browser = &desk.browser;
    // Half of it comes, and slowly.
    let stall =
        desk.bench.hub.fault(Fault::new(On::Cdn, What::Stall(At::File(SLOW / 2))).forever());
    desk.plan("org/name");
    assert_eq!(browser.text("#plan-verdict"), "It fits.");
    assert_eq!(browser.count("#plan-files [data-file='config.json'][data-state=missing]"), 1);
    assert_eq!(
        browser.texts("#plan-files [data-file='weights.bin'] :is(th, td)"),
        ["weights.bin", "41.9 MB", "–"]
    );
    assert!(browser.text("#plan-figures [data-figure=total]").contains("2 files"));
    assert!(browser.text("#plan-figures [data-figure=have]").contains("0 B"));
    browser.click("#download-button");
    desk.is("running");
    assert_eq!(browser.text("#active-downloads"), "1");
    desk.bar("part > 0");
    desk.bar("part > 30 && part < 100");
    desk.order("pause");
    desk.is("paused");
    browser.gone(&format!("{} [data-action=pause]", card("org/name")));
    stall.release();
    desk.order("resume");
    desk.is("done");
    desk.bar("part === 100");
    assert_eq!(browser.text(&format!("{} .chip", card("org/name"))), "Done");
    browser.until("document.querySelector('#active-downloads').textContent === ''");
    browser.view("models");
    browser.see(&row("org/name"));
    browser.view("download");
    desk.plan("org/name");
    assert_eq!(browser.text("#plan-verdict"), "Everything is here already.");
    assert_eq!(browser.attr("#download-button", "aria-disabled").as_deref(), Some("true"));
    desk.order("dismiss");
    browser.gone(&card("org/name"));
    desk.is_content();
}

#[test]
fn a_download_that_fails_says_why_and_is_tried_again() {
    let Some(desk) = Desk::new(|bench, _| {
        bench.model(MIB);
    }) else {
        return;
    };
    let browser = &desk.browser;
    let hub = &desk.bench.hub;
    let silent = hub.fault(Fault::new(On::Info, What::status(500)).forever());
    browser.write("#model-name", "org/name");
    browser.click("#plan-button");
    browser.see("#plan-error .problem");
    browser.reads("#plan-error", "500");
    silent.release();
    desk.plan("org/name");
    browser.gone("#plan-error");
    let broken = hub.fault(Fault::new(On::Cdn, What::status(500)).forever());
    browser.click("#download-button");
    desk.is("failed");
    let told = |inner: &str| browser.text(&format!("{} {inner}", card("org/name")));
    assert!(told(".problem").contains("500"), "{}", told(".problem"));
    assert!(told(".hint").len() > 10, "{}", told(".hint"));
    assert_eq!(told(".chip"), "Failed");
    desk.order("retry");
    desk.is("failed");
    broken.release();
    desk.order("retry");
    desk.is("done");
    browser.gone(&format!("{} .problem", card("org/name")));
    browser.view("models");
    browser.see(&row("org/name"));
    desk.is_content();
}

#[test]
fn what_does_not_fit_is_told_before_and_when_it_is_met() {
    let Some(desk) = Desk::new(|bench, _| {
        bench.model(3 * MIB);
    }) else {
        return;
    };
    let browser = &desk.browser;
    let limit = |more: u64| {
        let physical = desk.look("/space")["physical"].as_u64().unwrap();
        desk.limit(physical + more);
    };
    limit(MIB as u64);
    desk.plan("org/name");
    browser.see("#plan-verdict[data-fits=no]");
    assert!(browser.text("#plan-verdict").starts_with("It does not fit: it needs "));
    assert_eq!(browser.attr("#download-button", "aria-disabled").as_deref(), Some("true"));
    limit(16 * MIB as u64);
    browser.click("#plan-button");
    browser.see("#plan-verdict[data-fits=yes]");
    // Somebody takes the room after the plan was made.
    limit(MIB as u64);
    browser.click("#download-button");
    desk.is("failed");
    let told = |inner: &str| browser.text(&format!("{} {inner}", card("org/name")));
    let problem = told(".problem");
    assert!(
        problem.contains(" MB are needed, and ") && problem.contains(" free within the limit"),
        "{problem}"
    );
    assert!(told(".hint").len() > 10, "{}", told(".hint"));
    browser.view("models");
    browser.gone(&row("org/name"));
    desk.is_content();
}

#[test]
fn a_disk_that_is_full_is_told_and_the_download_goes_on_when_it_is_not() {
    let Some(browser) = Browser::new() else { return };
    let Some(disk) = Mounted::new(mounts::Kind::Tmpfs, 64 << 20) else { return };
    let bench = Bench::new();
    // More files than are fetched at a time, so some have no place on the disk yet.
    let file = |number| Entry::lfs(&format!("{number:02}.bin"), bytes(number, 3 * MIB));
    bench.repo().commit(&(0..16).map(file).collect::<Vec<_>>());
    let store = Arc::new(Store::open(disk.at("store"), Access::Write).unwrap());
    let desk = Desk::with(browser, bench, store, |bench, store| {
        put(bench, store, "org/old", &[("model.bin", &bytes(99, MIB))]);
    });
    let browser = &desk.browser;
    let stall = Fault::new(On::Cdn, What::Stall(At::File(MIB as u64)));
    let stall = desk.bench.hub.fault(stall.forever());
    desk.plan("org/name");
    assert_eq!(browser.text("#plan-verdict"), "It fits.");
    browser.click("#download-button");
    desk.is("running");
    stall.wait_hits(1);
    // Somebody else takes what is free, but for less than the next file needs.
    disk.fill(MIB as u64);
    stall.release();
    desk.is("failed");
    let told = |inner: &str| browser.text(&format!("{} {inner}", card("org/name")));
    assert!(told(".problem").contains(" are free on the disk"), "{}", told(".problem"));
    desk.plan("org/name");
    browser.see("#plan-verdict[data-fits=no]");
    desk.order("retry");
    desk.is("failed");
    // With nothing at all, what cannot be written down is not done, and said.
    disk.fill(0);
    browser.view("models");
    browser.click(&format!("{} [data-action=pin]", row("org/old")));
    browser.reads("#toast", "pace");
    assert_eq!(
        browser.attr(&format!("{} [data-action=pin]", row("org/old")), "aria-checked").as_deref(),
        Some("false")
    );
    disk.unfill();
    browser.click("[data-action=dismiss-toast]");
    browser.click(&format!("{} [data-action=pin]", row("org/old")));
    browser.see(&format!("{} [data-action=pin][aria-checked=true]", row("org/old")));
    browser.view("download");
    desk.order("retry");
    desk.is("done");
    browser.view("models");
    browser.see(&row("org/name"));
    desk.is_content();
    assert_whole(&desk.store);
    // The disk goes last.
    drop(desk);
}

#[test]
fn a_download_that_is_cancelled_is_over() {
    let Some(desk) = Desk::new(|bench, _| {
        bench.model(SLOW as usize);
    }) else {
        return;
    };
    let browser = &desk.browser;
    let slow = desk.bench.hub.fault(Fault::new(On::Cdn, What::SlowBytes(MIB as u64)).forever());
    desk.plan("org/name");
    browser.click("#download-button");
    desk.bar("part > 0");
    desk.order("cancel");
    desk.is("cancelled");
    for action in ["pause", "resume", "cancel"] {
        browser.gone(&format!("{} [data-action={action}]", card("org/name")));
    }
    slow.release();
    browser.until("document.querySelector('#active-downloads').textContent === ''");
    desk.order("dismiss");
    browser.gone(&card("org/name"));
    browser.see("#no-downloads");
    browser.view("models");
    browser.reads("#no-models", "There are no models yet.");
    desk.is_content();
}
