//! What two revisions have in common.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::contents::{Contents, Key, key, overlap};
use crate::digest::BlobHash;
use crate::error::StoreError;
use crate::model::{ModelId, Revision};
use crate::progress::Progress;
use crate::store::index::Holder;
use crate::store::share::runs;
use crate::store::{Resolved, Store};

type Result<T> = std::result::Result<T, StoreError>;

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Side {
    /// The model.
    pub model: ModelId,
    /// The revision.
    pub revision: Revision,
    /// The sum of its files' sizes, each content once.
    pub bytes: u64,
    /// Its tensors that have bytes.
    pub tensors: u64,
    /// Those of them that the other one does not have.
    pub exclusive_tensors: u64,
    /// Bytes that the other one does not have.
    pub exclusive_bytes: u64,
}

/// Tensors whose names differ in numbers only, and that are of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// Their name, with `*` for each number: `blk.*.attn_q.weight`.
    pub name: String,
    /// Their type.
    pub dtype: &'static str,
    /// How many the first one has.
    pub a: u64,
    /// How many the second one has.
    pub b: u64,
    /// How many of the second one's the first one has, under whatever name.
    pub equal: u64,
    /// Bytes of those.
    pub equal_bytes: u64,
    /// Bytes of all of the second one's.
    pub bytes: u64,
}

/// What `a` and `b` have in common. Bytes are equal when their 128-bit hashes are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diff {
    /// The first.
    pub a: Side,
    /// The second.
    pub b: Side,
    /// Files of `b` that `a` has, too, each content once.
    pub same_files: u64,
    /// Tensors of `b` that `a` has, too.
    pub equal_tensors: u64,
    /// Bytes of `b` that `a` has, too: the sum of the next three.
    pub equal_bytes: u64,
    /// Of these, bytes that are on the disk once: of files that both have, and of parts of files
    /// that share their place.
    pub shared_bytes: u64,
    /// Of these, bytes that could be and are not: `dedup` shares them.
    pub shareable_bytes: u64,
    /// Of these, bytes that cannot be: the file system shares no parts of files, or they lie
    /// differently within its blocks.
    pub unshareable_bytes: u64,
    /// Whether the file system shares parts of files.
    pub able: bool,
    /// By tensors, the most bytes first.
    pub groups: Vec<Group>,
}

/// Compares two revisions. Blobs that nobody looked at for their segments are read.
///
/// # Errors
/// [`StoreError::NotFound`] when one is gone, [`StoreError::Cancelled`], and what the index and the
/// file system say.
pub fn diff(store: &Store, a: &Resolved, b: &Resolved, progress: &Progress) -> Result<Diff> {
    let contents = |of: &Resolved| Contents::new(store, &store.manifest(of)?, |_| true, progress);
    let (of_a, of_b) = (contents(a)?, contents(b)?);
    let blobs_a: HashSet<_> = of_a.blobs.iter().map(|(blob, _)| *blob).collect();
    let same = |blob: &BlobHash| blobs_a.contains(blob);
    let same_bytes: u64 = of_b.blobs.iter().filter(|(b, _)| same(b)).map(|(_, size)| size).sum();

    let able = store.shares_parts()?;
    let alike = if able { alike(store, &of_a, &of_b, &same)? } else { 0 };
    let shared =
        overlap(&of_b.extents(store, |blob| !same(blob))?, &of_a.extents(store, |_| true)?);
    let equal_bytes = equal(&of_b, &of_a);
    let shared_bytes = (same_bytes + shared).min(equal_bytes);
    let shareable_bytes = alike.saturating_sub(shared).min(equal_bytes - shared_bytes);
    let (side_a, side_b) = (side(a, &of_a, &of_b), side(b, &of_b, &of_a));
    Ok(Diff {
        same_files: of_b.blobs.iter().filter(|(blob, _)| same(blob)).count() as u64,
        equal_tensors: side_b.tensors - side_b.exclusive_tensors,
        equal_bytes,
        shared_bytes,
        shareable_bytes,
        unshareable_bytes: equal_bytes - shared_bytes - shareable_bytes,
        able,
        groups: groups(&of_a, &of_b),
        a: side_a,
        b: side_b,
    })
}

fn side(of: &Resolved, own: &Contents, other: &Contents) -> Side {
    let others: HashSet<Key> = other.tensors().map(|(_, _, key)| key).collect();
    let (mut tensors, mut exclusive) = (0, 0);
    for (_, _, key) in own.tensors() {
        tensors += 1;
        exclusive += u64::from(!others.contains(&key));
    }
    Side {
        model: of.model.clone(),
        revision: of.revision.clone(),
        bytes: own.bytes(),
        tensors,
        exclusive_tensors: exclusive,
        exclusive_bytes: own.bytes() - equal(own, other),
    }
}

/// Bytes of `own` that `other` has, too.
fn equal(own: &Contents, other: &Contents) -> u64 {
    let others: HashSet<Key> = other.keys().collect();
    own.keys().filter(|key| others.contains(key)).map(|(_, len)| len).sum()
}

/// Bytes in whole blocks that lie alike in both.
fn alike(
    store: &Store,
    of_a: &Contents,
    of_b: &Contents,
    same: &impl Fn(&BlobHash) -> bool,
) -> Result<u64> {
    let block = store.layout().blobs.disk()?.block;
    let mut places: HashMap<Key, Vec<Holder>> = HashMap::new();
    for (blob, segments) in of_a.each() {
        for segment in segments {
            let holder = Holder { blob: *blob, offset: segment.offset, len: segment.len };
            places.entry(key(segment)).or_default().push(holder);
        }
    }
    let mut bytes = 0;
    for (blob, segments) in of_b.each().filter(|(blob, _)| !same(blob)) {
        let holders: Vec<_> = segments
            .iter()
            .map(|segment| places.get(&key(segment)).cloned().unwrap_or_default())
            .collect();
        let runs = runs(blob, segments, &holders, block);
        bytes += runs.iter().map(|run| run.whole_blocks(block)).sum::<u64>();
    }
    Ok(bytes)
}

fn groups(of_a: &Contents, of_b: &Contents) -> Vec<Group> {
    let in_a: HashSet<Key> = of_a.tensors().map(|(_, _, key)| key).collect();
    let mut groups: BTreeMap<(String, &'static str), Group> = BTreeMap::new();
    let mut group = |name: &str, dtype, each: &dyn Fn(&mut Group)| {
        let name = pattern(name);
        each(groups.entry((name.clone(), dtype)).or_insert_with(|| Group {
            name,
            dtype,
            a: 0,
            b: 0,
            equal: 0,
            equal_bytes: 0,
            bytes: 0,
        }));
    };
    for (name, dtype, _) in of_a.tensors() {
        group(name, dtype, &|group| group.a += 1);
    }
    for (name, dtype, key) in of_b.tensors() {
        group(name, dtype, &|group| {
            group.b += 1;
            group.bytes += key.1;
            if in_a.contains(&key) {
                group.equal += 1;
                group.equal_bytes += key.1;
            }
        });
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by(|x, y| (y.bytes, &x.name, x.dtype).cmp(&(x.bytes, &y.name, y.dtype)));
    groups
}

/// A name, with `*` for each number between dots.
fn pattern(name: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let parts = name.split('.').map(|part| if is_number(part) { "*" } else { part });
    parts.collect::<Vec<_>>().join(".")
}
