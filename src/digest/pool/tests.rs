use super::*;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicUsize;

const MIB: usize = GROUP as usize;

/// Memory as a source that returns short reads and now and then `Interrupted`.
struct Memory<'m> {
    bytes: &'m [u8],
    calls: AtomicUsize,
    open: &'m AtomicUsize,
}

impl Bytes for Memory<'_> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.calls.fetch_add(1, Ordering::Relaxed) % 5 == 4 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let rest = self.bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buf.len()).min(100_003);
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Copy(Mutex<Vec<u8>>);

impl Sink for Copy {
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = lock(&self.0);
        let end = offset as usize + buf.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(buf);
        Ok(())
    }
}

struct Full;

impl Sink for Full {
    fn write_at(&self, _buf: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

fn sample(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&len.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn sizes() -> Vec<usize> {
    let mut sizes = vec![0, 1, 1025, MIB - 1, MIB, MIB + 1, 3 * MIB + 5, 4 * MIB, 17 * MIB + 123];
    sizes.extend((0..40).map(|index| index * 7919));
    sizes
}

/// What the jobs of [`run_all`] leave behind.
#[derive(Default)]
struct Outcome {
    /// Job numbers and hashes in the order of completion.
    done: Vec<(u64, [u8; 32])>,
    copies: BTreeMap<u64, Vec<u8>>,
    most_open: usize,
    bytes: u64,
}

fn run_all(threads: usize, files: &[Vec<u8>]) -> Outcome {
    let outcome = Mutex::new(Outcome::default());
    let (cancelled, progress) = (AtomicBool::new(false), AtomicU64::new(0));
    let open = AtomicUsize::new(0);
    let (shared, open) = (&outcome, &open);
    let mut jobs = (0..).zip(files);
    run(threads, Control { cancelled: &cancelled, progress: &progress }, || {
        let Some((id, bytes)) = jobs.next() else {
            return Ok(None);
        };
        let start = move || {
            let now = open.fetch_add(1, Ordering::SeqCst) + 1;
            let most = &mut lock(shared).most_open;
            *most = now.max(*most);
            let copy = Arc::new(Copy::default());
            Ok::<_, ()>(Opened {
                source: Arc::new(Memory { bytes, calls: AtomicUsize::new(0), open }),
                sink: Some(Arc::clone(&copy) as Arc<dyn Sink>),
                sha256: id % 2 == 0,
                cutting: Some(Arc::new(Cutting::Content)),
                in_order: id % 3 == 0,
                done: Box::new(move |digests| {
                    let sha256 = Sha256::from_bytes(sha2::Sha256::digest(bytes).into());
                    assert_eq!(digests.sha256, (id % 2 == 0).then_some(sha256));
                    let cut: u64 = digests.segments.iter().map(|s| u64::from(s.len)).sum();
                    assert_eq!(cut, bytes.len() as u64);
                    let mut outcome = lock(shared);
                    outcome.done.push((id, *digests.blob.as_bytes()));
                    outcome.copies.insert(id, std::mem::take(&mut *lock(&copy.0)));
                    Ok(())
                }),
            })
        };
        Ok(Some(Job { id, len: bytes.len() as u64, open: Box::new(start) }))
    })
    .unwrap();
    let mut outcome = outcome.into_inner().unwrap();
    outcome.bytes = progress.into_inner();
    outcome
}

/// Runs one job and returns its failure.
fn fail_with(
    threads: usize,
    len: u64,
    bytes: &[u8],
    sink: bool,
    cancel: bool,
) -> Failure<&'static str> {
    let (cancelled, progress) = (AtomicBool::new(cancel), AtomicU64::new(0));
    let open = &AtomicUsize::new(1);
    let mut jobs = [7, 8].into_iter();
    run(threads, Control { cancelled: &cancelled, progress: &progress }, || {
        let start = move || {
            Ok(Opened {
                source: Arc::new(Memory { bytes, calls: AtomicUsize::new(0), open }) as _,
                sink: sink.then(|| Arc::new(Full) as _),
                sha256: false,
                cutting: None,
                in_order: false,
                done: Box::new(|_| Err("not accepted")),
            })
        };
        Ok(jobs.next().map(|id| Job { id, len, open: Box::new(start) }))
    })
    .unwrap_err()
}

#[test]
fn hashes_and_copies_every_file() {
    let files: Vec<Vec<u8>> = sizes().into_iter().map(sample).collect();
    for threads in [1, 2, 5] {
        let outcome = run_all(threads, &files);
        assert_eq!(outcome.done.len(), files.len());
        for (id, hash) in &outcome.done {
            let file = &files[*id as usize];
            assert_eq!(hash, blake3::hash(file).as_bytes(), "{} bytes", file.len());
            assert!(outcome.copies[id] == *file, "copy of {} bytes", file.len());
        }
        assert!(outcome.most_open <= threads + 1, "{} files open", outcome.most_open);
        assert_eq!(outcome.bytes, files.iter().map(|file| file.len() as u64).sum::<u64>());
    }
}

#[test]
fn one_thread_keeps_the_order() {
    let files: Vec<Vec<u8>> = [2 * MIB, 5, 9 * MIB + 1, 0, MIB].map(sample).into();
    let ids: Vec<u64> = run_all(1, &files).done.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [0, 1, 2, 3, 4]);
}

#[test]
fn several_threads_share_one_file() {
    let files = [sample(40 * MIB + 77)];
    assert_eq!(run_all(4, &files).done, [(0, *blake3::hash(&files[0]).as_bytes())]);
}

#[test]
fn reports_a_shrunken_file() {
    let bytes = sample(2 * MIB + 9);
    for (threads, len) in [(1, 3 * GROUP), (3, 2 * GROUP + 10)] {
        let failure = fail_with(threads, len, &bytes, false, false);
        let at = bytes.len() as u64;
        assert!(
            matches!(failure.cause, Cause::Stream(StreamError::Shrunk { at: end }) if end == at)
        );
    }
    let failure = fail_with(1, 10, b"short", false, false);
    assert_eq!(failure.id, Some(7));
    assert!(matches!(failure.cause, Cause::Stream(StreamError::Shrunk { at: 5 })));
}

#[test]
fn reports_failures_with_their_job() {
    let bytes = sample(2 * MIB);
    for len in [100, 2 * GROUP] {
        let failure = fail_with(1, len, &bytes, true, false);
        assert_eq!(failure.id, Some(7));
        assert!(matches!(failure.cause, Cause::Stream(StreamError::Write(_))));
        let failure = fail_with(1, len, &bytes, false, false);
        assert_eq!(failure.id, Some(7));
        assert!(matches!(failure.cause, Cause::Caller("not accepted")));
    }
}

#[test]
fn reports_an_absurd_length() {
    assert!(matches!(fail_with(1, u64::MAX, b"", false, false).cause, Cause::TooLong));
}

#[test]
fn stops_when_cancelled() {
    for threads in [1, 3] {
        let failure = fail_with(threads, 2 * GROUP, &sample(2 * MIB), false, true);
        assert!(matches!(failure.cause, Cause::Cancelled));
    }
}

#[test]
fn reports_a_failing_supply() {
    let (cancelled, progress) = (AtomicBool::new(false), AtomicU64::new(0));
    let control = Control { cancelled: &cancelled, progress: &progress };
    let failure = run(2, control, || Err("no list")).unwrap_err();
    assert_eq!(failure.id, None);
    assert!(matches!(failure.cause, Cause::Caller("no list")));
}
