//! Long work: a progress bar on a terminal, and Ctrl-C.

use std::cell::OnceCell;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use signal_hook::consts::TERM_SIGNALS;
use signal_hook::flag;
use tonnage::progress::Progress;

use crate::context::Context;
use crate::screen::Screen;
use crate::text::{duration, meter, size};

/// Work that is over before needs no bar.
const PATIENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(50);
/// Characters of a full bar.
const BAR: usize = 16;

/// Whether the user asked to stop. Nothing is caught before the first long work begins: all other
/// work may be killed at any time.
#[derive(Default)]
pub struct Interrupt(OnceCell<Arc<AtomicBool>>);

impl Interrupt {
    /// From here on the first signal is noted, not obeyed.
    pub fn catch(&self) {
        self.caught();
    }

    pub fn asked(&self) -> bool {
        self.0.get().is_some_and(|asked| asked.load(Ordering::Relaxed))
    }

    fn caught(&self) -> &Arc<AtomicBool> {
        self.0.get_or_init(|| {
            let asked = Arc::new(AtomicBool::new(false));
            for &signal in TERM_SIGNALS {
                // In this order the second signal ends the process at once. Where a handler
                // cannot be had, the first does.
                let _ = flag::register_conditional_default(signal, Arc::clone(&asked));
                let _ = flag::register(signal, Arc::clone(&asked));
            }
            asked
        })
    }
}

/// What can be watched: how far it is, and the word to stop.
pub trait Watched: Sync {
    /// Lines for a terminal that has so many columns and rows.
    fn lines(&self, took: Duration, room: (usize, usize)) -> Vec<String>;
    fn cancel(&self);
    /// Called again and again: for those who tell elsewhere.
    fn tick(&self) {}
}

/// Does long work that can be watched and interrupted. An interrupted one ends with the library's
/// own word for it.
pub fn watch<T>(context: &Context, what: &'static str, work: impl FnOnce(&Progress) -> T) -> T {
    let local = Local { what, progress: Progress::new() };
    watch_as(context, &local, || work(&local.progress))
}

/// The same for work with a progress of its own.
pub fn watch_as<T>(context: &Context, watched: &dyn Watched, work: impl FnOnce() -> T) -> T {
    let asked = context.interrupt.caught();
    let draws = context.out.draws();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher =
            thread::Builder::new().spawn_scoped(scope, || look(watched, asked, &over, draws));
        // Without the thread there is no bar, and the first signal waits for the work's end.
        let _over = Over { over: &over, watcher: watcher.ok().map(|w| w.thread().clone()) };
        work()
    })
}

/// Work on this machine.
struct Local {
    what: &'static str,
    progress: Progress,
}

impl Watched for Local {
    fn lines(&self, took: Duration, _room: (usize, usize)) -> Vec<String> {
        let (bytes, total) = self.progress.bytes();
        let speed = bytes as f64 / took.as_secs_f64();
        vec![bar(self.what, (bytes, total), self.progress.files(), speed)]
    }

    fn cancel(&self) {
        self.progress.cancel();
    }
}

/// Ends the watcher, also when the work panics.
struct Over<'w> {
    over: &'w AtomicBool,
    watcher: Option<Thread>,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(watcher) = &self.watcher {
            watcher.unpark();
        }
    }
}

fn look(watched: &dyn Watched, asked: &AtomicBool, over: &AtomicBool, draws: bool) {
    let began = Instant::now();
    let mut screen = Screen::default();
    while !over.load(Ordering::Acquire) {
        if asked.load(Ordering::Relaxed) {
            watched.cancel();
        }
        watched.tick();
        if draws && began.elapsed() >= PATIENCE {
            screen.show(&watched.lines(began.elapsed(), Screen::room()));
        }
        thread::park_timeout(TICK);
    }
    screen.show(&[]);
}

/// `what [====    ] 1.2 GB of 2.4 GB, 600 MB/s, 3 of 20 files, 2.0 s left`; `speed` is in bytes a
/// second.
fn bar(what: &str, (bytes, total): (u64, u64), (files, all): (u64, u64), speed: f64) -> String {
    let (meter, done, of) = (meter((bytes, total), BAR), size(bytes.min(total)), size(total));
    let mut text = format!("{what} {meter} {done} of {of}, {}/s", size(speed as u64));
    if all > 1 {
        let _ = write!(text, ", {files} of {all} files");
    }
    if bytes < total && speed >= 1.0 {
        let left = Duration::from_secs_f64(((total - bytes) as f64 / speed).min(1e6));
        let _ = write!(text, ", {} left", duration(left));
    }
    text
}
