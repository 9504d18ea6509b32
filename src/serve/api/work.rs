//! Work that waits for the disk, where it holds up no other task.

use std::sync::Arc;

use axum::Json;

use super::problem::Problem;
use crate::serve::app::App;

/// The answer to a request.
pub type Answer<T> = Result<Json<T>, Problem>;

/// Looks at the store.
pub async fn look<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let app = app.clone();
    match tokio::task::spawn_blocking(move || work(&app)).await {
        Ok(done) => done,
        Err(e) => Err(Problem::failure(e.to_string())),
    }
}

/// Changes the store, and tells all who listen, even when who asked for it has left.
pub async fn change<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let changing = move |app: &App| {
        let done = work(app);
        // Also what failed may have done a part.
        app.news.store();
        done
    };
    look(app, changing).await
}
