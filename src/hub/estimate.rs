//! What files that are not here would cost on this disk, told from their headers.
//!
//! In what one run of a quantizer makes, tensors of one name, type and shape have the same bytes. So
//! of a file's header alone it can be told which of its tensors are here already, in files of the
//! same model, and which of those can share their place on the disk. Only the bytes can tell for
//! certain: it is an estimate.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use twox_hash::XxHash3_128;

use super::plan::{FileState, Plan, PlannedFile};
use super::progress::PullProgress;
use super::{Client, RemoteFile, blocking};
use crate::dedup::tensors;
use crate::digest::BlobHash;
use crate::digest::segments::{FIRST, Header, LEAST, SEGMENT, Segment, look};
use crate::error::{HubError, PullError, StoreError};
use crate::model::{FilePath, ModelId, Revision};
use crate::store::Store;
use crate::store::index::Holder;
use crate::store::share::runs;
use crate::tensors::{Format, Tensor};

/// What a file would cost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// The file.
    pub path: FilePath,
    /// How many tensors it has.
    pub tensors: u64,
    /// How many of them seem to be here, or to come with files before it in the plan.
    pub tensors_here: u64,
    /// Bytes of those.
    pub bytes_here: u64,
    /// Bytes that it would take on this disk.
    pub new_bytes: u64,
}

/// Reads the headers of the files of a plan that have tensors and are not here, and tells what each
/// would cost after those before it. A file whose header cannot be read is left out.
///
/// # Errors
/// [`StoreError::Cancelled`], and what the index and the file system say of what is here.
pub async fn estimate(
    store: Arc<Store>,
    client: &Client,
    plan: &Plan,
    jobs: usize,
    progress: &Arc<PullProgress>,
) -> Result<Vec<Estimate>, PullError> {
    let asked: Vec<_> = plan.files.iter().filter(|file| is_asked(file)).cloned().collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let reading = headers(client, plan, &asked, jobs);
    let headers = tokio::select! {
        headers = reading => headers,
        () = progress.cancelled() => return Err(StoreError::Cancelled.into()),
    };
    let model = plan.model.clone();
    blocking(move || {
        let mut family = Family::new(&store, &model)?;
        let found = asked.iter().zip(headers).filter_map(|(file, tensors)| Some((file, tensors?)));
        Ok(found.map(|(file, tensors)| family.add(file, &tensors)).collect())
    })
    .await
}

fn is_asked(file: &PlannedFile) -> bool {
    file.state != FileState::Here && file.size >= LEAST && Format::of(file.path.as_str()).is_some()
}

/// The tensors of each file, in the files' order.
async fn headers(
    client: &Client,
    plan: &Plan,
    files: &[PlannedFile],
    jobs: usize,
) -> Vec<Option<Vec<Tensor>>> {
    let turns = Arc::new(Semaphore::new(jobs.max(1)));
    let mut reading = JoinSet::new();
    for (index, file) in files.iter().enumerate() {
        let (client, turns) = (client.clone(), turns.clone());
        let (model, commit) = (plan.model.clone(), plan.commit.clone());
        let remote =
            RemoteFile { path: file.path.clone(), size: file.size, upstream: file.upstream };
        reading.spawn(async move {
            let _turn = turns.acquire().await;
            (index, header(&client, &model, &commit, &remote).await.ok().flatten())
        });
    }
    let mut found = vec![None; files.len()];
    while let Some(read) = reading.join_next().await {
        if let Ok((index, tensors)) = read
            && let Some(slot) = found.get_mut(index)
        {
            *slot = tensors;
        }
    }
    found
}

/// Reads as much of a file as its header takes.
async fn header(
    client: &Client,
    model: &ModelId,
    commit: &Revision,
    file: &RemoteFile,
) -> Result<Option<Vec<Tensor>>, HubError> {
    let mut header = Vec::new();
    let mut wanted = FIRST.min(file.size);
    loop {
        let have = header.len();
        header.resize(usize::try_from(wanted).unwrap_or(have).max(have), 0);
        let rest = header.get_mut(have..).unwrap_or_default();
        client.read_at((model, commit, file), rest, have as u64).await?;
        match look(&header, file.size) {
            Header::Tensors(_, tensors) => return Ok(tensors.ok()),
            Header::Other => return Ok(None),
            Header::Longer(more) => wanted = more,
        }
    }
}

/// What is here of a model, and what comes.
struct Family {
    /// A block of the disk, where parts of files can be shared.
    block: Option<u64>,
    /// Who has a tensor of this name, type and shape.
    holders: HashMap<u128, Vec<Holder>>,
}

impl Family {
    fn new(store: &Store, model: &ModelId) -> Result<Self, StoreError> {
        let block = store.shares_parts()?.then_some(store.layout().blobs.disk()?.block);
        let mut family = Self { block, holders: HashMap::new() };
        for revision in store.revisions_of(model)? {
            for file in tensors(store, &revision)? {
                family.keep(&file.blob, &pieces(&file.tensors));
            }
        }
        Ok(family)
    }

    fn keep(&mut self, blob: &BlobHash, pieces: &[Segment]) {
        for piece in pieces {
            let holder = Holder { blob: *blob, offset: piece.offset, len: piece.len };
            self.holders.entry(piece.hash).or_default().push(holder);
        }
    }

    fn add(&mut self, file: &PlannedFile, tensors: &[Tensor]) -> Estimate {
        let pieces = pieces(tensors);
        let holders: Vec<_> = pieces
            .iter()
            .map(|piece| self.holders.get(&piece.hash).cloned().unwrap_or_default())
            .collect();
        // A name for what has none yet.
        let blob = BlobHash::of(file.upstream.to_string().as_bytes());
        let mut estimate = Estimate {
            path: file.path.clone(),
            tensors: 0,
            tensors_here: 0,
            bytes_here: 0,
            new_bytes: file.size,
        };
        for tensor in tensors.iter().filter(|tensor| !tensor.range.is_empty()) {
            estimate.tensors += 1;
            if self.holders.contains_key(&name(tensor, 0)) {
                estimate.tensors_here += 1;
                estimate.bytes_here += tensor.range.end - tensor.range.start;
            }
        }
        if let Some(block) = self.block {
            for run in runs(&blob, &pieces, &holders, block) {
                estimate.new_bytes -= run.whole_blocks(block).min(estimate.new_bytes);
            }
        }
        self.keep(&blob, &pieces);
        estimate
    }
}

/// What a piece of a tensor is taken for the same by.
fn name(tensor: &Tensor, piece: u64) -> u128 {
    let all = format!("{:?} {} {:?} {piece}", tensor.name, tensor.dtype, tensor.shape);
    XxHash3_128::oneshot(all.as_bytes())
}

/// Tensors, cut as files are.
fn pieces(tensors: &[Tensor]) -> Vec<Segment> {
    let mut pieces = Vec::new();
    for tensor in tensors {
        let mut at = tensor.range.start;
        while at < tensor.range.end {
            let len = (tensor.range.end - at).min(SEGMENT);
            let hash = name(tensor, (at - tensor.range.start) / SEGMENT);
            pieces.push(Segment { offset: at, len: u32::try_from(len).unwrap_or(0), hash });
            at += len;
        }
    }
    pieces
}
