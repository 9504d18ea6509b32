//! tonnage
pub mod digest;
pub mod error;
mod fs;
pub mod model;
pub mod progress;
pub mod space;
pub mod store;
pub mod verify;
pub mod views;
