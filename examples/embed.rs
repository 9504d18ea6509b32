//! An app that needs a model: it shows what would come, downloads it with progress, survives being
//! told to stop, and uses the files.
//!
//! ```text
//! cargo run --release --example embed -- /tmp/models org/name
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to people")]

use std::error::Error;

use tonnage::error::ManagerError;
use tonnage::hub::{Config, Proxies, Proxy, Token};
use tonnage::manager::{DownloadTask, ModelManager};
use tonnage::model::ModelId;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    app(std::env::args().skip(1), |name| std::env::var(name).ok()).await
}

/// The app, told its arguments and how to look up a variable.
pub async fn app(
    mut args: impl Iterator<Item = String>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<(), Box<dyn Error>> {
    let (Some(home), Some(model)) = (args.next(), args.next()) else {
        return Err("usage: embed DIRECTORY MODEL...".into());
    };
    let model: ModelId = model.parse()?;

    // The library reads no variable by itself: what the app wants from there, it says.
    let mut hub = Config::default();
    if let Some(endpoint) = env("HF_ENDPOINT") {
        hub.endpoint = endpoint;
    }
    if let Some(token) = env("HF_TOKEN") {
        hub.token = Some(Token::new(&token, "HF_TOKEN")?);
    }
    if let Some(proxies) = Proxies::from_variables(&env)? {
        hub.proxy = Proxy::Given(proxies);
    }
    let manager = ModelManager::open(home, hub)?;

    // Without a network, what is here can be used all the same.
    if manager.is_cached(&model)? {
        println!("{model} is here");
    } else {
        let plan = manager.plan(&model).await?;
        println!("{model}: {} of {} bytes to fetch", plan.new_bytes(), plan.total_bytes());
        if let Err(e) = download(manager.download(&model)).await {
            explain(&e);
            return Err(e.into());
        }
    }

    // More of them at once have one progress.
    let others = args.map(|name| name.parse()).collect::<Result<Vec<ModelId>, _>>()?;
    let mut group = manager.download_all(others);
    while let Some(progress) = group.next_progress().await {
        println!("{} of {} files", progress.files_completed, progress.total_files);
    }
    for (task, result) in group.tasks().iter().zip(group.results().await) {
        if let Err(e) = result {
            eprintln!("{}: {e}", task.model());
        }
    }

    // Ordinary files, which any program can map.
    println!("its files are in {}", manager.path(&model)?.display());
    for cached in manager.cached_models()? {
        println!("{} {} {} bytes", cached.model, cached.revision.short(), cached.size);
    }
    println!("all together take {} bytes", manager.cache_size()?);
    Ok(())
}

/// Shows how far it is. A button would keep `task.control()`, to pause, resume and cancel it.
async fn download(mut task: DownloadTask) -> Result<(), ManagerError> {
    while let Some(progress) = task.next_progress().await {
        let file = progress.current_file.as_ref().map_or("", |path| path.as_str());
        let left = progress.estimated_time_remaining.map_or(0, |left| left.as_secs());
        println!(
            "{} of {} bytes, {} a second, {left} s left  {file}",
            progress.bytes_downloaded, progress.total_bytes, progress.bytes_per_second
        );
    }
    let pulled = task.result().await?;
    println!("{} bytes came, {} were here", pulled.fetched_bytes, pulled.reused_bytes);
    Ok(())
}

/// What an app can do about it.
fn explain(error: &ManagerError) {
    match error {
        ManagerError::Gated { page, .. } => eprintln!("open {page} and accept the licence"),
        ManagerError::InsufficientSpace { required, available, evictable } => {
            eprintln!("{required} bytes are needed, {available} are free, {evictable} could be")
        }
        ManagerError::RateLimited { retry_after: Some(after), .. } => {
            eprintln!("again in {} s", after.as_secs());
        }
        e if e.is_retryable() => eprintln!("what came is kept: try again"),
        e => eprintln!("{}", e.hint().unwrap_or_default()),
    }
}
