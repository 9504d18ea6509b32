//! `tonnage why`

use std::fmt::Write as _;

use serde_json::json;
use tonnage::space::{Why, why};

use crate::context::Context;
use crate::fail::{Exit, Failure};
use crate::listing;
use crate::out::Out;
use crate::text::{count, plain, size};

#[derive(clap::Args)]
#[command(after_help = r#"Examples:
  tonnage why 3f9a1c
  tonnage why "sha256:$(sha256sum < model.gguf | cut -c1-64)"

`tonnage show MODEL` lists the blobs of a model."#)]
pub struct Args {
    /// The blob's hash, or at least four digits of it, or sha256: and a SHA-256
    blob: String,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let blob = args.blob.to_ascii_lowercase();
    let digits = blob.strip_prefix("sha256:").unwrap_or(&blob);
    let whole = blob.starts_with("sha256:") || digits.len() > 64;
    let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !hex || digits.len() < 4 || (whole && digits.len() != 64) {
        return Err(Failure::usage(format!("{:?} is not the hash of a blob", args.blob))
            .hint("write 4 to 64 hexadecimal digits, or sha256: and 64 of them"));
    }
    let why = why(&context.read()?, &blob)?;
    let object = json!({
        "blob": why.blob,
        "size": why.size,
        "links": why.links,
        "needed_by": why.needed_by.iter().map(|need| json!({
            "model": need.model,
            "revision": need.revision,
            "paths": need.paths,
            "views": need.views.iter().map(|view| view.to_string_lossy()).collect::<Vec<_>>(),
            "leased": need.leased,
        })).collect::<Vec<_>>(),
        "in_trash": why.in_trash.iter().map(|(model, revision)| {
            json!({ "model": model, "revision": revision })
        }).collect::<Vec<_>>(),
    });
    context.out.result(&object, || describe(&why, &context.out));
    Ok(Exit::Done)
}

fn describe(why: &Why, out: &Out) -> String {
    let mut text = format!("blob {}\n", out.bold(&why.blob.to_string()));
    let _ = writeln!(text, "{}, {}", size(why.size), count(why.links, "hardlink"));
    for (model, revision) in &why.in_trash {
        let name = listing::name(model, revision);
        let _ =
            writeln!(text, "\n{}\n  in the trash; `tonnage restore` brings it back", plain(&name));
    }
    if why.needed_by.is_empty() && why.in_trash.is_empty() {
        text.push_str("\nno revision needs it: the next `tonnage gc` takes it\n");
        return text;
    }
    for need in &why.needed_by {
        let _ = writeln!(text, "\n{}", out.bold(&listing::name(&need.model, &need.revision)));
        for path in &need.paths {
            let _ = writeln!(text, "  file  {path}");
        }
        for view in &need.views {
            let _ = writeln!(text, "  view  {}", plain(&view.to_string_lossy()));
        }
        if need.leased {
            text.push_str("  in use by a running process\n");
        }
    }
    text
}
