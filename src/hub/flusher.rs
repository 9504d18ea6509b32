//! A thread that makes bytes durable while others come.
//!
//! A pull ends when all its bytes are on the disk. Left to the end, that takes as long again as the
//! disk needs for them; the kernel by itself begins late.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::mpsc::UnboundedSender;

use super::digester::{Digesting, Event, Found};
use super::part::Part;
use crate::store::import::Import;

/// The thread. It stops when this is dropped.
#[derive(Debug)]
pub(super) struct Flusher(Mutex<Option<Thread>>);

#[derive(Debug)]
struct Thread {
    files: Sender<Arc<Digesting>>,
    handle: JoinHandle<()>,
}

impl Flusher {
    /// Starts the thread. It holds the import until its last sync is over: a file that the disk
    /// failed to keep must be gone before another process can take it for what came.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(import: Arc<Import>, events: UnboundedSender<Event>) -> std::io::Result<Self> {
        let (sender, files) = channel();
        let handle = std::thread::Builder::new()
            .name("flush".to_owned())
            .spawn(move || run(&files, &import, &events))?;
        Ok(Self(Mutex::new(Some(Thread { files: sender, handle }))))
    }

    /// Has what was written of a file made durable, if that is much and is not being done.
    pub fn look(&self, file: &Arc<Digesting>, least: u64) {
        if file.part.begin_flush(least)
            && let Some(thread) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner)
        {
            // The thread ends early only when the pull fails.
            let _ = thread.files.send(file.clone());
        }
    }

    /// Waits until all is done that was asked for. What failed was told by an event.
    pub async fn finish(&self) {
        let thread = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Thread { files, handle }) = thread {
            drop(files);
            let _ = tokio::task::spawn_blocking(move || handle.join()).await;
        }
    }
}

fn run(files: &Receiver<Arc<Digesting>>, import: &Import, events: &UnboundedSender<Event>) {
    while let Ok(file) = files.recv() {
        if let Err(e) = file.part.flush() {
            // No later sync can be believed for it.
            let _ = Part::discard(import.dir(), file.part.upstream());
            let _ = events.send((file.index, Found::NotDurable(e)));
            return;
        }
        file.part.note_idle();
    }
}
