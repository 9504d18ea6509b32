//! What goes wrong between here and the hub ends in the right bytes, or in an error that says what.

use tonnage::error::{ErrorKind, HubError, PullError};

use crate::bench::{Bench, IN_FLIGHT, MIB, bytes};
use crate::hub::{At, Entry, Fault, On, What, sha256};

const SIZE: usize = 18 * MIB + 9;

/// A fault on the way of a large file's bytes that passes.
fn passes(what: What, times: u64) {
    let bench = Bench::new();
    let bytes = bench.with_file(SIZE);
    let fault = bench.hub.fault(Fault::new(On::Cdn, what.clone()).times(times));
    let pulled = bench.pull().unwrap_or_else(|e| panic!("{what:?}: {e}"));
    assert!(fault.hits() > 0, "{what:?}");
    bench.assert_whole(&bytes);
    let most = SIZE as u64 + times * IN_FLIGHT;
    assert!(bench.sent() <= most, "{what:?}: {} bytes were sent", bench.sent());
    assert!(pulled.fetched_bytes >= SIZE as u64, "{what:?}");
}

#[test]
fn a_connection_that_ends_at_any_byte_is_no_loss() {
    for at in [At::Head(0), At::Head(30), At::Body(0), At::Body(1), At::File(5 * MIB as u64 + 3)] {
        passes(What::Close(at), 3);
        passes(What::Reset(at), 3);
    }
}

#[test]
fn a_connection_that_stalls_is_given_up() {
    passes(What::Stall(At::Head(0)), 1);
    passes(What::Stall(At::File(17 * MIB as u64)), 2);
}

#[test]
fn statuses_that_pass_are_waited_out() {
    for status in [408, 429, 500, 502, 503, 504] {
        passes(What::status(status), 3);
    }
    passes(What::Status(503, vec![("Retry-After".to_owned(), "0".to_owned())]), 1);
}

#[test]
fn a_link_that_expires_is_asked_for_again() {
    passes(What::ExpireLinks, 2);
}

#[test]
fn answers_that_are_not_what_was_asked_for_are_not_taken() {
    for what in [
        What::ShortRange(MIB as u64 + 5),
        What::WrongContentRange { start: 1, total: 0 },
        What::WrongContentRange { start: 0, total: -1 },
        What::NoContentRange,
        What::Multipart,
        What::LyingLength(7),
        What::LyingLength(-7),
        What::TruncatedConsistent(MIB as u64 / 2),
        What::Html,
        What::Gzip,
        What::RedirectLoop,
    ] {
        if what == What::RedirectLoop {
            continue; // no answer of a content network
        }
        passes(what, 2);
    }
    passes(What::Chunked, 3);
    passes(What::EtagChanges, 100);
}

#[test]
fn the_whole_file_instead_of_a_range_is_taken_in_the_end() {
    passes(What::IgnoreRange, 1);
    let bench = Bench::new();
    let bytes = bench.with_file(SIZE);
    bench.hub.fault(Fault::new(On::Content, What::IgnoreRange).forever());
    bench.pull().unwrap();
    bench.assert_whole(&bytes);
    assert!(bench.sent() <= 2 * SIZE as u64 + 8 * IN_FLIGHT, "{} bytes were sent", bench.sent());
}

#[test]
fn a_flipped_bit_is_found_and_the_file_fetched_once_more() {
    for (path, size, at) in [("model.bin", SIZE, 17 * MIB as u64), ("model.bin", 1000, 17)] {
        let bench = Bench::new();
        let bytes = bench.with_file(size);
        let fault = bench.hub.fault(Fault::new(On::Content, What::FlipBit(at)).path(path));
        let pulled = bench.pull().unwrap();
        assert_eq!(fault.hits(), 1);
        assert_eq!(pulled.fetched_bytes, 2 * size as u64);
        bench.assert_whole(&bytes);
    }
}

#[test]
fn bytes_that_stay_wrong_are_named_and_never_published() {
    for size in [SIZE, 1000] {
        let bench = Bench::new();
        let mut bytes = bench.with_file(size);
        bench.hub.fault(Fault::new(On::Content, What::FlipBit(17)).forever());
        let error = bench.pull().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        let PullError::ChecksumMismatch { path, expected, found, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((path.as_str(), expected), ("model.bin", &sha256(&bytes)));
        bytes[17] ^= 1;
        assert_eq!(*found, sha256(&bytes));
        assert_eq!(bench.sent(), 2 * size as u64);
        bench.assert_nothing_published();
        // Nothing wrong is kept for the next one.
        bench.hub.release_all();
        bytes[17] ^= 1;
        bench.pull().unwrap();
        bench.assert_whole(&bytes);
    }
}

#[test]
fn a_small_file_of_git_is_checked_too() {
    let bench = Bench::new();
    let wrong = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
    bench.repo().commit(&[Entry::git("config.json", "{}").claiming_digest(wrong)]);
    let error = bench.pull().unwrap_err();
    assert!(matches!(error, PullError::ChecksumMismatch { .. }), "{error}");
    bench.assert_nothing_published();
}

#[test]
fn a_size_that_is_a_lie_is_no_model() {
    for claimed in [3 * MIB as u64 - 1, 3 * MIB as u64 + 1, 0] {
        let bench = Bench::new();
        let entry = Entry::lfs("model.bin", bytes(1, 3 * MIB)).claiming_size(claimed);
        bench.repo().commit(&[entry]);
        let error = bench.pull().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Hub), "{claimed}: {error}");
        bench.assert_nothing_published();
    }
}

#[test]
fn patience_ends_and_what_came_is_kept() {
    let bench = Bench::new();
    let bytes = bench.with_file(SIZE);
    let fault = Fault::new(On::Cdn, What::Close(At::File(17 * MIB as u64))).forever();
    let fault = bench.hub.fault(fault);
    let error = bench.pull().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Hub);
    assert!(
        matches!(error, PullError::Hub(HubError::Cut { .. } | HubError::Network { .. })),
        "{error}"
    );
    assert!(error.hint().is_some());
    assert!(bench.store().partials().unwrap()[0].have > 0);
    fault.release();
    bench.pull().unwrap();
    bench.assert_whole(&bytes);
    assert!(bench.sent() <= SIZE as u64 + 2 * IN_FLIGHT);
}
