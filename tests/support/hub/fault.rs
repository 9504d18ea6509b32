//! What can go wrong, and how a test says so.

use std::sync::Arc;
use std::time::Duration;

use super::server::Shared;

/// The requests that a fault may strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The repository or a revision of it.
    Info,
    Tree,
    Refs,
    /// `resolve`, whether it redirects or serves by itself.
    Resolve,
    /// The place on the hub that small files are redirected to.
    Cache,
    /// The content network.
    Cdn,
    /// Any answer that would be bytes of a file, wherever it comes from.
    Content,
    Any,
}

/// Where an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// After that many bytes of its head: with 0, before it says anything.
    Head(u64),
    /// After that many bytes of the body, which must have as many. (Redirects and errors have no
    /// body in this sense.)
    Body(u64),
    /// Before the byte at that offset in the file, if that is among the bytes sent.
    File(u64),
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// This status and these headers instead of the answer.
    Status(u16, Vec<(String, String)>),
    /// A page for humans with status 200, as a hotel's network has.
    Html,
    /// A redirect to itself.
    RedirectLoop,
    /// A redirect to a new URL each time.
    RedirectForever,
    /// A 302 to a URL, absolute or relative.
    RedirectTo(String),
    /// The connection is closed in an orderly way.
    Close(At),
    /// The connection is reset; what was sent before does arrive.
    Reset(At),
    /// Nothing comes any more, until the fault is released or the hub dropped.
    Stall(At),
    /// 200 and the whole file to a request for a range.
    IgnoreRange,
    /// 206 with the first so many bytes of the range, said so in all headers.
    ShortRange(u64),
    /// A `Content-Range` with other numbers than those of the bytes that come.
    WrongContentRange { start: i64, total: i64 },
    /// 206 without `Content-Range`.
    NoContentRange,
    /// 206 as `multipart/byteranges`.
    Multipart,
    /// A `Content-Length` so many bytes off; the connection is closed after the body.
    LyingLength(i64),
    /// The first so many bytes of the body, with a `Content-Length` that agrees, and with a
    /// `Content-Range`, if any, that does not.
    TruncatedConsistent(u64),
    /// The lowest bit of the byte at that offset in the file is wrong.
    FlipBit(u64),
    /// The body is compressed although nobody asked.
    Gzip,
    /// The body comes in chunks without `Content-Length`.
    Chunked,
    /// Another `ETag` with each answer.
    EtagChanges,
    /// A branch moves just before the answer is made up.
    MoveBranch { branch: String, commit: String },
    /// Every link given out so far answers 403 from now on, this request too.
    ExpireLinks,
    /// At most so many bytes of the body a second.
    SlowBytes(u64),
    /// The answer is late.
    Delay(Duration),
    /// The page of the tree has files of these names too, of one byte each.
    HostileTree(Vec<String>),
    /// The page of the tree says that this is the next one.
    NextLink(String),
}

impl What {
    /// 429 with the header that says when to come again.
    pub fn rate_limited(seconds: u64) -> Self {
        Self::Status(
            429,
            vec![
                ("RateLimit".into(), format!("\"api\";r=0;t={seconds}")),
                ("RateLimit-Policy".into(), "\"fixed window\";\"api\";q=500;w=300".into()),
            ],
        )
    }

    /// A status without any header of its own.
    pub fn status(status: u16) -> Self {
        Self::Status(status, Vec::new())
    }
}

/// Something that goes wrong, once unless told otherwise.
///
/// A fault strikes a request only where it shows: [`What::ShortRange`] only a longer range,
/// [`What::FlipBit`] only an answer with that byte in it, and faults of bodies no `HEAD`. Several
/// faults combine, in the order of their registration. Of two that exclude each other (two ends,
/// an answer replaced and the same answer cut) the first strikes this request, the other one has
/// its chance with the next. [`Fault::and`] ties effects together: they strike at once or not
/// at all.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) on: On,
    pub(super) whats: Vec<What>,
    pub(super) path: Option<String>,
    pub(super) method: Option<String>,
    pub(super) times: Option<u64>,
    pub(super) skip: u64,
}

impl Fault {
    pub fn new(on: On, what: What) -> Self {
        Self { on, whats: vec![what], path: None, method: None, times: Some(1), skip: 0 }
    }

    /// A further effect on the same request.
    pub fn and(mut self, what: What) -> Self {
        self.whats.push(what);
        self
    }

    /// Only requests for a file, or with a URL's path, that the pattern matches; `*` is anything.
    pub fn path(mut self, pattern: &str) -> Self {
        self.path = Some(pattern.into());
        self
    }

    /// Only requests with this method.
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.into());
        self
    }

    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    pub fn forever(mut self) -> Self {
        self.times = None;
        self
    }

    /// Lets the first `requests` that it could strike pass.
    pub fn skip(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }
}

/// A fault that was registered.
pub(super) struct Live {
    pub fault: Fault,
    pub hits: u64,
    pub released: bool,
}

impl Live {
    pub fn release(&mut self) {
        self.released = true;
    }

    /// Whether it may strike; a request that it lets pass is counted.
    pub fn strikes(&mut self) -> bool {
        if self.fault.skip > 0 {
            self.fault.skip -= 1;
            return false;
        }
        self.fault.times = self.fault.times.map(|times| times - 1);
        self.hits += 1;
        true
    }

    pub fn is_over(&self) -> bool {
        self.released || self.fault.times == Some(0)
    }
}

/// What a test holds of a fault.
pub struct FaultHandle {
    shared: Arc<Shared>,
    index: usize,
}

impl FaultHandle {
    pub(super) fn new(shared: Arc<Shared>, fault: Fault) -> Self {
        let index = shared.change(|state| {
            state.faults.push(Live { fault, hits: 0, released: false });
            state.faults.len() - 1
        });
        Self { shared, index }
    }

    /// How many requests it has struck.
    pub fn hits(&self) -> u64 {
        self.shared.lock().faults[self.index].hits
    }

    /// Waits until it has struck so many requests; it blocks the thread. A stall counts as soon as
    /// it is certain, and bytes before it may still be on their way.
    pub fn wait_hits(&self, hits: u64) {
        self.shared.wait_until(|state| state.faults[self.index].hits >= hits);
    }

    /// Ends it: it strikes no more, and what hangs in it goes on as if nothing had been.
    pub fn release(&self) {
        self.shared.change(|state| state.faults[self.index].release());
    }
}
