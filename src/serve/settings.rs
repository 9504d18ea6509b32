//! What other processes set in the store's `config.toml` while it is served.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::app::App;
use crate::config::{FILE_NAME, Settings};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What every change of the file changes.
type Mark = Option<(u64, u64, i64, i64)>;

/// Has limits hold here that are set elsewhere, for as long as it is run. What the store's owner gave
/// this process in another way holds until the file changes.
pub(super) async fn follow(app: Arc<App>) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    loop {
        ticks.tick().await;
        let app = app.clone();
        let looking = move || look(&app, seen);
        // A look that panicked saw nothing.
        seen = tokio::task::spawn_blocking(looking).await.ok().or(seen);
    }
}

fn look(app: &App, seen: Option<Mark>) -> Mark {
    let now = mark(app);
    if seen.is_none_or(|seen| seen == now) {
        return now;
    }
    match Settings::read(app.store.path()) {
        Ok(settings) if settings.limits == app.store.limits() => {}
        Ok(settings) => {
            app.store.set_limits(settings.limits);
            app.news.store();
            log::info!("{FILE_NAME} has other limits, and they hold now");
        }
        Err(e) => log::warn!("the limits stay as they were: {e}"),
    }
    now
}

fn mark(app: &App) -> Mark {
    let metadata = app.store.path().join(FILE_NAME).symlink_metadata().ok()?;
    Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}
