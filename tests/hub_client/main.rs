//! The hub's client against a hub of our own: each refusal, each list, each way in which bytes come
//! wrongly.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![expect(clippy::indexing_slicing, reason = "a test says what it expects by failing")]

#[path = "../support/hub.rs"]
mod hub;

mod bodies;
mod broken;
mod links;
mod redirects;
mod refs;
mod refusals;
mod support;
mod tree;
