//! Real processes on one store, killed at any moment.
//!
//! The processes are this test binary again, told by the environment what to be. They report on
//! their standard output, in lines that begin with `@`; what they report there is what the test
//! holds the store to.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![expect(clippy::panic, reason = "a test says what it expects by failing")]
#![expect(clippy::indexing_slicing, reason = "a test says what it expects by failing")]

#[path = "../support/mod.rs"]
mod support;

mod models;
mod peer;
mod promises;
mod roles;
mod rounds;

use peer::ROLE;
use promises::*;
use roles::*;

/// Not a test: what a started process does. Without its environment it does nothing.
#[test]
fn role_of_another_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    match role.as_str() {
        "adder" => adder(),
        "collector" => collector(),
        "add-one" => add_one(),
        "hold-lease" => hold_lease(),
        "hold-open" => hold_open(),
        "add-when-told" => add_when_told(),
        "add-and-remove-forever" => add_and_remove_forever(),
        "same-place" => same_place(),
        other => panic!("{other}"),
    }
}
