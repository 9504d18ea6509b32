//! Long work: a progress bar on a terminal, and Ctrl-C.

use std::cell::OnceCell;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::flag;
use tonnage::progress::Progress;

use crate::context::Context;

/// Work that is over before needs no bar.
const PATIENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(50);

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

/// Does long work that can be watched and interrupted. An interrupted one ends with the library's
/// own word for it.
pub fn watch<T>(context: &Context, what: &'static str, work: impl FnOnce(&Progress) -> T) -> T {
    let progress = Progress::new();
    let asked = context.interrupt.caught();
    let draws = !context.out.quiet && !context.out.json && io::stderr().is_terminal();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = thread::Builder::new()
            .spawn_scoped(scope, || look(&progress, asked, &over, draws.then_some(what)));
        // Without the thread there is no bar, and the first signal waits for the work's end.
        let _over = Over { over: &over, watcher: watcher.ok().map(|w| w.thread().clone()) };
        work(&progress)
    })
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

fn look(progress: &Progress, asked: &AtomicBool, over: &AtomicBool, what: Option<&'static str>) {
    let began = Instant::now();
    let mut bar = None;
    while !over.load(Ordering::Acquire) {
        if asked.load(Ordering::Relaxed) {
            progress.cancel();
        }
        if let Some(what) = what.filter(|_| began.elapsed() >= PATIENCE) {
            draw(bar.get_or_insert_with(|| begin(what)), progress);
        }
        thread::park_timeout(TICK);
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn begin(what: &'static str) -> ProgressBar {
    let template = "{msg} {bar:24} {decimal_bytes}/{decimal_total_bytes} \
                    {decimal_bytes_per_sec} {prefix} {eta}";
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.with_message(what)
}

fn draw(bar: &ProgressBar, progress: &Progress) {
    let ((bytes, total), (files, all)) = (progress.bytes(), progress.files());
    bar.set_length(total);
    bar.set_position(bytes.min(total));
    bar.set_prefix(format!("{files}/{all} files"));
}
