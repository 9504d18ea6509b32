//! What the library tells while it works, as lines on stderr, for commands that run for long.

use std::time::SystemTime;

use jiff::Timestamp;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::out::Out;
use crate::text::plain;

struct Lines {
    out: Out,
    /// Where lines go to a system's journal, it notes the time by itself.
    timed: bool,
}

/// Has lines written from now on: of what fails, and where nobody wants quiet of more.
pub fn begin(out: Out) {
    let timed = std::env::var_os("JOURNAL_STREAM").is_none();
    if log::set_boxed_logger(Box::new(Lines { out, timed })).is_ok() {
        log::set_max_level(if out.quiet { LevelFilter::Error } else { LevelFilter::Info });
    }
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Other libraries have other readers in mind.
        metadata.target().starts_with("tonnage") && metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let label = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            _ => "",
        };
        let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        let time = if self.timed { format!("{now:.0} ") } else { String::new() };
        self.out.log(&format!("{time}{label}{}", plain(&record.args().to_string())));
    }

    fn flush(&self) {}
}
