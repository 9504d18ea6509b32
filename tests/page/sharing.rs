//! What the members of a family have in common.

use crate::bench::MIB;
use crate::desk::{Desk, put};
use crate::support::bytes;

#[test]
fn the_matrix_has_what_each_has_of_the_other() {
    let Some(desk) = Desk::new(|bench, store| {
        let common = bytes(1, 3 * MIB);
        let (few, many) = (bytes(2, MIB), bytes(3, 3 * MIB));
        let base: [(&str, &[u8]); 2] = [("common.bin", &common), ("own.bin", &few)];
        put(bench, store, "org/Tiny-1B", &base);
        let quant: [(&str, &[u8]); 2] = [("common.bin", &common), ("own.bin", &many)];
        put(bench, store, "other/tiny-1b-Q4_K_M-GGUF", &quant);
        for (name, seed) in [("org/Other-2B", 5), ("org/Other-2B-GGUF", 6)] {
            put(bench, store, name, &[("own.bin", &bytes(seed, MIB))]);
        }
        put(bench, store, "org/stranger", &[("alone.bin", &bytes(4, MIB))]);
    }) else {
        return;
    };
    let browser = &desk.browser;
    browser.view("sharing");
    // The first family is there at once.
    browser.see("#matrix tr[data-member^='org/Other-2B@']");
    browser.choose("#family option:nth-child(2)");
    browser.see("#matrix tr[data-member^='org/Tiny-1B@']");
    let members: Vec<String> = serde_json::from_value(browser.eval(
        "[...document.querySelectorAll('#matrix tr[data-member]')].map(row => row.dataset.member)",
    ))
    .unwrap();
    assert_eq!(members.len(), 2);
    let base = members.iter().position(|name| name.starts_with("org/Tiny-1B@")).unwrap();
    let share = |row: usize, column: usize| {
        let cell = format!("#matrix .heat[data-row='{row}'][data-column='{column}']");
        (browser.attr(&cell, "data-share").unwrap(), browser.text(&cell))
    };
    let label = browser.texts("#matrix tbody th")[base].clone();
    assert_eq!(label, "org/Tiny-1B");
    // 3 of 4, and 3 of 6.
    assert_eq!(share(base, 1 - base), ("75".to_owned(), "75".to_owned()));
    assert_eq!(share(1 - base, base), ("50".to_owned(), "50".to_owned()));
    assert_eq!(share(0, 0), ("100".to_owned(), "–".to_owned()));
    browser.reads("#sharing-figures [data-figure=bytes]", "10.5 MB");
    browser.reads("#sharing-figures [data-figure=unique]", "7.3 MB");
    browser.keys("#matrix .heat[data-row='0'][data-column='0']", thirtyfour::Key::Right + "");
    browser.reads("#cell-detail", "3\u{202f}145\u{202f}728 bytes");
    desk.is_content();
}
