//! `tonnage demo`
use crate::context::Context;
use crate::fail::{Exit, Failure};

#[derive(clap::Args)]
pub struct Args {}

pub fn run(_: Args, _: &Context) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
