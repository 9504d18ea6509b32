//! What the store takes, what it may take, and whether it is whole.

use tonnage::store::Store;

use crate::bench::{Bench, MIB};
use crate::desk::{Desk, age, put, row};
use crate::support::{bytes, manifest};

/// `org/old`, which nobody has used for long, and `org/new`.
fn two(bench: &Bench, store: &Store) {
    put(bench, store, "org/old", &[("model.bin", &bytes(1, 2 * MIB))]);
    age(store.path());
    put(bench, store, "org/new", &[("model.bin", &bytes(2, MIB))]);
}

#[test]
fn the_limit_shows_its_plan_before_it_evicts() {
    let Some(desk) = Desk::new(two) else { return };
    let browser = &desk.browser;
    browser.view("storage");
    assert_eq!(browser.text("#limit-plan"), "There is no limit.");
    assert_eq!(browser.attr("#limit-apply", "aria-disabled").as_deref(), Some("true"));
    browser.click("#limit-none");
    browser.until("!document.querySelector('#limit-slider').disabled");
    browser.reads("#limit-plan", "Nothing would be removed.");
    browser.keys("#limit-slider", thirtyfour::Key::Home + "");
    browser.see("#limit-plan .going [data-model='org/new']");
    browser.see("#limit-plan .going [data-model='org/old']");
    browser.reads("#limit-apply", "Apply and remove 2 models");
    // A byte less than there is: one of them has to go.
    let physical = desk.look("/space")["physical"].as_u64().unwrap();
    browser.write("#limit-number", &format!("{}", (physical - 1) as f64 / 1e9));
    browser.reads("#limit-apply", "Apply and remove 1 model");
    assert_eq!(browser.texts("#limit-plan .going .name"), ["org/old"]);
    browser.until("!document.querySelector('#limit-mark').hidden");
    assert_eq!((desk.store.limits().max_bytes, desk.store.list().unwrap().len()), (None, 2));
    browser.click("#limit-apply");
    browser.reads("#toast", "1 model went");
    assert_eq!(desk.store.limits().max_bytes, Some(physical - 1));
    browser.reads("#limit-plan", "The limit is");
    browser.until("document.querySelectorAll('#limit-plan .going').length === 0");
    browser.view("models");
    browser.gone(&row("org/old"));
    browser.see(&row("org/new"));
    desk.is_content();
}

#[test]
fn a_limit_that_was_not_applied_is_taken_back() {
    let Some(desk) = Desk::new(two) else { return };
    let browser = &desk.browser;
    browser.view("storage");
    browser.click("#limit-none");
    browser.write("#limit-number", "0.001");
    browser.see("#limit-plan .going");
    browser.click("#limit-reset");
    browser.reads("#limit-plan", "There is no limit.");
    browser.until("document.querySelector('#limit-none').checked");
    assert_eq!(desk.store.limits().max_bytes, None);
    desk.is_content();
}

#[test]
fn verifying_finds_what_is_damaged() {
    let Some(desk) = Desk::new(two) else { return };
    let browser = &desk.browser;
    browser.view("storage");
    browser.click("#verify-button");
    browser.reads("#verify-result", "No damage in 2 files");
    let blob = manifest(&desk.store, "org/old").files()[0].blob.to_string();
    let blob = desk.store.path().join("blobs").join(blob);
    let mut wrong = std::fs::read(&blob).unwrap();
    wrong[1000] ^= 1;
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, wrong).unwrap();
    browser.click("#verify-button");
    browser.see("#verify-result[data-damaged='1'] [data-damaged='model.bin']");
    browser.reads("#verify-result", "1 file is damaged.");
    browser.reads("#verify-result", "org/old");
    browser.reads("#announcer", "1 file is damaged.");
    browser.view("models");
    browser.see(&format!("{} .chip.bad", row("org/old")));
    browser.gone(&format!("{} .chip.bad", row("org/new")));
    browser.view("storage");
    browser.reads("#verify-result .hint", "Mending takes what is wrong from other copies");
    // There is no other copy.
    browser.click("#mend-button");
    browser.reads("#verify-result .hint", "It could not be mended, so nobody is given it.");
    browser.gone("#mend-button");
    assert!(!blob.exists(), "it is in quarantine");
    desk.is_content();
}

#[test]
fn clearing_asks_and_can_be_undone() {
    let Some(desk) = Desk::new(two) else { return };
    let browser = &desk.browser;
    browser.view("storage");
    let models = || desk.store.list().unwrap().len();
    browser.click("#clear-button");
    browser.reads("#confirm-title", "Clear the store?");
    assert_eq!(browser.count("#confirm-body .going li"), 2);
    browser.click("#confirm-no");
    browser.gone("#confirm");
    assert_eq!(models(), 2);
    browser.click("#clear-button");
    browser.click("#confirm-yes");
    browser.reads("#toast", "2 models went to the trash.");
    assert_eq!(models(), 0);
    browser.click("#toast-action");
    browser.reads("#toast", "2 models are back.");
    assert_eq!(models(), 2);
    desk.is_content();
}
