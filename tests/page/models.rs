//! What is in the store, and what is done with it.

use tonnage::store::Store;

use crate::bench::{Bench, MIB};
use crate::desk::{Desk, put, row};
use crate::hub::Entry;
use crate::support::{bytes, manifest};

/// A name that would be two elements if it were not text.
const MARKUP: &str = "<img src=x onerror=alert(1)><b>&amp.json";

fn three(bench: &Bench, store: &Store) {
    put(bench, store, "org/middle", &[("model.bin", &bytes(1, 2 * MIB))]);
    put(bench, store, "org/large", &[("model.bin", &bytes(2, 3 * MIB)), (MARKUP, b"{}")]);
    put(bench, store, "else/small", &[("model.bin", &bytes(3, MIB))]);
}

impl Desk {
    /// The models in the order in which they are shown.
    fn shown(&self) -> Vec<String> {
        self.browser.texts("#models tbody .name")
    }

    /// Presses something in the row of a model.
    fn press(&self, model: &str, action: &str) {
        self.browser.click(&format!("{} [data-action={action}]", row(model)));
    }

    fn pinned(&self, model: &str, is: bool) {
        self.browser.see(&format!("{} [data-action=pin][aria-checked={is}]", row(model)));
    }
}

#[test]
fn models_are_filtered_and_sorted() {
    let Some(desk) = Desk::new(three) else { return };
    let browser = &desk.browser;
    browser.view("models");
    assert_eq!(desk.shown(), ["else/small", "org/large", "org/middle"]);
    let order = |column: &str| browser.attr(&format!("[data-sort={column}]"), "aria-sort");
    assert_eq!(order("model").as_deref(), Some("ascending"));
    browser.click("[data-sort=size] button");
    assert_eq!(desk.shown(), ["org/large", "org/middle", "else/small"]);
    assert_eq!((order("size").as_deref(), order("model")), (Some("descending"), None));
    browser.click("[data-sort=size] button");
    assert_eq!(desk.shown(), ["else/small", "org/middle", "org/large"]);
    assert_eq!(order("size").as_deref(), Some("ascending"));
    browser.write("#model-filter", "ORG mid");
    assert_eq!(desk.shown(), ["org/middle"]);
    assert_eq!(browser.text("#filter-count"), "1 of 3 models");
    browser.write("#model-filter", "nobody");
    assert_eq!(browser.text("#no-models"), "No model has that in its name.");
    desk.is_content();
}

#[test]
fn the_details_of_a_model_are_its_files_and_their_hashes() {
    let Some(desk) = Desk::new(|bench, store| {
        three(bench, store);
        let files: [(&str, &[u8]); 2] = [("copy.bin", &bytes(2, 3 * MIB)), ("own.bin", b"own")];
        put(bench, store, "org/copy", &files);
    }) else {
        return;
    };
    let browser = &desk.browser;
    browser.view("models");
    desk.press("org/large", "details");
    let model = format!("{} [data-file='model.bin']", row("org/large"));
    browser.see(&model);
    let open = format!("{} [data-action=details]", row("org/large"));
    assert_eq!(browser.attr(&open, "aria-expanded").as_deref(), Some("true"));
    let manifest = manifest(&desk.store, "org/large");
    let blob = manifest.files().iter().find(|file| file.path.as_str() == "model.bin").unwrap().blob;
    assert_eq!(browser.texts(&format!("{model} .hash code"))[0], blob.to_string());
    assert!(browser.text(&model).contains("3.1 MB"));
    browser.click(&format!("{model} .sharers summary"));
    browser.reads(&format!("{model} .sharers"), "org/copy@");
    desk.press("org/large", "details");
    browser.gone(&model);
    desk.is_content();
}

#[test]
fn a_model_that_is_pinned_cannot_be_deleted() {
    let Some(desk) = Desk::new(three) else { return };
    let browser = &desk.browser;
    browser.view("models");
    desk.pinned("org/large", false);
    desk.press("org/large", "pin");
    desk.pinned("org/large", true);
    assert!(desk.store.list().unwrap().iter().any(|one| one.pinned));
    desk.press("org/large", "delete");
    browser.reads("#confirm-title", "org/large cannot be deleted now");
    browser.reads("#confirm-body .kept", "pinned");
    browser.gone("#confirm-yes");
    browser.click("#confirm-no");
    browser.gone("#confirm");
    desk.press("org/large", "pin");
    desk.pinned("org/large", false);
    desk.is_content();
}

#[test]
fn what_is_deleted_is_brought_back_by_undo_and_from_the_trash() {
    let Some(desk) = Desk::new(three) else { return };
    let browser = &desk.browser;
    browser.view("models");
    let delete = |answer: &str| {
        desk.press("org/large", "delete");
        browser.reads("#confirm-title", "Delete org/large?");
        browser.reads("#confirm-body", "Then 3.2 MB come back.");
        browser.click(answer);
        browser.gone("#confirm");
    };
    delete("#confirm-no");
    browser.see(&row("org/large"));
    delete("#confirm-yes");
    browser.gone(&row("org/large"));
    browser.see("#trash [data-model='org/large']");
    browser.click("#toast-action");
    browser.reads("#toast", "org/large is back.");
    browser.see(&row("org/large"));
    browser.gone("#trash-section");
    delete("#confirm-yes");
    browser.click("#trash [data-model='org/large'] [data-action=restore]");
    browser.reads("#toast", "org/large is back as main.");
    browser.see(&row("org/large"));
    desk.is_content();
}

#[test]
fn names_are_text_whatever_is_in_them() {
    let Some(desk) = Desk::new(|bench, store| {
        three(bench, store);
        bench.repo().commit(&[Entry::git(MARKUP, "{}")]);
    }) else {
        return;
    };
    let browser = &desk.browser;
    let is_text = |css: &str| {
        browser.reads(css, MARKUP);
        assert_eq!(browser.count("main img, main b, main script"), 0);
    };
    browser.write("#model-name", MARKUP);
    browser.click("#plan-button");
    browser.see("#plan-error");
    is_text("#plan-error");
    browser.write("#model-name", "org/name");
    browser.click("#plan-button");
    is_text("#plan-files");
    browser.view("models");
    desk.press("org/large", "details");
    browser.see(".files");
    is_text(".files");
    desk.is_content();
}
