//! `tonnage config`

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tonnage::store::Limits;
use tonnage::{config, hub};

use crate::context::{Context, Origin};
use crate::fail::{Exit, Failure};
use crate::hub_args;
use crate::rm;
use crate::table::Table;
use crate::text::{plain, size};

#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Examples:
  tonnage config
  tonnage config set hub.endpoint https://hub.example
  tonnage config set names.my-llama org/name@v1.0
  tonnage config unset names.my-llama

All that may stand in config.toml, in the store's directory:
  [hub]
  endpoint = \"https://hub.example\"  # --endpoint and HF_ENDPOINT come first
  [names]
  my-llama = \"org/name@v1.0\"        # comes before a built-in short name
  squad = \"datasets/org/name\"
  [space]
  max = \"500GB\"                     # what the store may take on the disk
  low_mark = \"90%\"                  # how far it is emptied when it is full
  min_free = \"20GB\"                 # what stays free on the disk
  trash = \"24h\"                     # how long what was removed can come back

With anything else in it, commands that use it end with an error: pull, add,
outdated, names and config, and others when a name may be a short one."
)]
pub struct Args {
    #[command(subcommand)]
    edit: Option<Edit>,
}

#[derive(clap::Subcommand)]
enum Edit {
    /// Set one setting; comments and all else in the file stay
    #[command(after_help = "Example:
  tonnage config set names.my-llama org/name@v1.0")]
    Set {
        /// hub.endpoint, names.NAME, or space. and max, low_mark, min_free or trash
        key: String,
        /// What it is from now on
        value: String,
    },
    /// Take one setting out
    #[command(after_help = "Example:
  tonnage config unset names.my-llama")]
    Unset {
        /// A key as for set, or what does not belong there
        key: String,
    },
}

#[derive(Serialize)]
struct Setting {
    key: String,
    value: String,
    from: Origin,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    match args.edit {
        None => show(context),
        Some(Edit::Set { key, value }) => {
            config::set(&context.make()?, &key, &value)?;
            context.out.summary(&json!({ "key": key, "value": value }), String::new);
            Ok(Exit::Done)
        }
        Some(Edit::Unset { key }) => {
            config::unset(&context.change()?, &key)?;
            context.out.summary(&json!({ "key": key, "value": null }), String::new);
            Ok(Exit::Done)
        }
    }
}

fn show(context: &Context) -> Result<Exit, Failure> {
    let (store, origin) = context.store_and_origin()?;
    let store = std::path::absolute(&store).unwrap_or(store);
    let path = store.join(config::FILE_NAME);
    let settings = context.settings()?;
    let (endpoint, says) = hub_args::endpoint(None, &hub_args::discover(true)?, settings);
    // What no command could use is no setting in effect.
    hub::check_endpoint(&endpoint)?;
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let setting = |key: &str, value, from| Setting { key: key.to_owned(), value, from };
    let mut all =
        vec![setting("store", text(&store), origin), setting("hub.endpoint", endpoint, says)];
    all.extend(
        settings
            .names
            .iter()
            .map(|(name, spec)| setting(&format!("names.{name}"), spec.to_string(), Origin::File)),
    );
    all.extend(space_settings(settings));
    let exists = path.symlink_metadata().is_ok();
    let object = json!({ "path": text(&path), "exists": exists, "settings": all });
    context.out.result(&object, || {
        let mut table = Table::new(&["KEY", "FROM", "VALUE"]);
        for one in &all {
            let from = match one.from {
                Origin::Flag => "flag",
                Origin::Env => "env",
                Origin::File => "file",
                Origin::Default => "default",
            };
            table.row([one.key.clone(), from.to_owned(), one.value.clone()]);
        }
        let none = if exists { "" } else { " (not there)" };
        format!("{}{none}\n\n{}", plain(&text(&path)), table.render(&context.out))
    });
    Ok(Exit::Done)
}

/// What holds for space; a value that is the default's counts as that.
fn space_settings(settings: &config::Settings) -> Vec<Setting> {
    let (limits, default) = (settings.limits, Limits::default());
    let setting = |key: &str, value: String, is_set| Setting {
        key: format!("space.{key}"),
        value,
        from: if is_set { Origin::File } else { Origin::Default },
    };
    let trash = rm::keep_of(settings);
    vec![
        setting(
            "max",
            limits.max_bytes.map_or_else(|| "none".to_owned(), size),
            limits.max_bytes.is_some(),
        ),
        setting(
            "low_mark",
            format!("{}%", limits.low_percent),
            limits.low_percent != default.low_percent,
        ),
        setting("min_free", size(limits.min_free_bytes), limits.min_free_bytes > 0),
        setting("trash", age(trash), settings.trash.is_some()),
    ]
}

/// As it is written in the file.
fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds if seconds > 0 && seconds.is_multiple_of(86_400 * 2) => {
            format!("{}d", seconds / 86_400)
        }
        seconds if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        seconds if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}
