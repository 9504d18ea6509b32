//! Which models are worth comparing.
//!
//! Two revisions are of one family when their models have the same name without the organization and
//! without the words at its end that tell a variant (`Llama-3.2-1B-GGUF`, `llama-3.2-1b-4bit`), or
//! when both need a blob that is large enough to be compared: so is a licence or a small
//! configuration in many models that have nothing else in common.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use utoipa::ToSchema;

use crate::digest::segments::LEAST;
use crate::error::StoreError;
use crate::model::ModelId;
use crate::store::index::RevisionId;
use crate::store::{Listed, Store};

/// How many members are compared at most, those that were used last: a cell for each pair.
pub const MOST: usize = 32;

/// Words that tell how a model's weights are kept, and not which model it is.
const VARIANTS: [&str; 24] = [
    "awq",
    "bf16",
    "bnb",
    "exl2",
    "exl3",
    "f16",
    "f32",
    "fp16",
    "fp32",
    "fp4",
    "fp8",
    "gguf",
    "gptq",
    "hqq",
    "i1",
    "imat",
    "int4",
    "int8",
    "mlx",
    "mxfp4",
    "nvfp4",
    "onnx",
    "quantized",
    "safetensors",
];

/// Models that are worth comparing.
#[derive(Serialize, ToSchema)]
pub struct Family {
    /// The model of it with the shortest name.
    name: String,
    /// At least two: `org/name@1a2b3c4d5e6f`.
    members: Vec<String>,
}

/// All of them.
#[derive(Serialize, ToSchema)]
pub struct Families {
    families: Vec<Family>,
}

/// The families of what is here.
pub fn of(store: &Store) -> Result<Families, StoreError> {
    let listed = store.list()?;
    let mut groups = Groups::default();
    let mut first: HashMap<String, RevisionId> = HashMap::new();
    for one in &listed {
        let other = *first.entry(base(&one.model)).or_insert(one.id);
        groups.join(one.id, other);
    }
    store.index().read(|reader| {
        reader.for_each_common(|size, ids| {
            if let [one, others @ ..] = ids
                && size >= LEAST
            {
                others.iter().for_each(|other| groups.join(*one, *other));
            }
        })
    })?;
    let mut members: HashMap<RevisionId, Vec<&Listed>> = HashMap::new();
    for one in &listed {
        members.entry(groups.root(one.id)).or_default().push(one);
    }
    let found: BTreeMap<_, _> = members.into_values().filter_map(family).collect();
    let families = found.into_iter().map(|(name, members)| Family { name, members }).collect();
    Ok(Families { families })
}

/// Its name and its members, in the order of their names.
fn family(mut members: Vec<&Listed>) -> Option<(String, Vec<String>)> {
    let name =
        members.iter().map(|one| one.model.as_str()).min_by_key(|name| (name.len(), *name))?;
    let name = name.to_owned();
    members.sort_by_key(|one| std::cmp::Reverse(one.last_used));
    members.truncate(MOST);
    members.sort_by_key(|one| (&one.model, std::cmp::Reverse(one.last_used), &one.revision));
    let names = members.iter().map(|one| format!("{}@{}", one.model, one.revision.short()));
    (members.len() > 1).then(|| (name, names.collect()))
}

/// What is left of a model's name when nothing in it tells a variant.
fn base(model: &ModelId) -> String {
    let (prefix, name) = model.split_prefix();
    let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let mut base = name.as_str();
    while let Some((rest, word)) = base.rsplit_once(['-', '.'])
        && is_variant(word)
    {
        base = rest;
    }
    format!("{prefix}{base}")
}

/// Such as `gguf`, `4bit`, `q4_k_m`, `iq2_xxs` or `w4a16`.
fn is_variant(word: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let begins_with_digit = |text: &str| text.bytes().next().is_some_and(|b| b.is_ascii_digit());
    let bits = ["bit", "bits", "bpw"].iter().find_map(|unit| word.strip_suffix(unit));
    let quant = word.strip_prefix("iq").or_else(|| word.strip_prefix('q'));
    let weights = word.strip_prefix('w').and_then(|rest| rest.split_once('a'));
    VARIANTS.contains(&word)
        || bits.is_some_and(is_number)
        || quant.is_some_and(begins_with_digit)
        || weights.is_some_and(|(weights, rest)| is_number(weights) && is_number(rest))
}

/// Which revisions belong together: each points to one of its group, and the last to none.
#[derive(Default)]
struct Groups(HashMap<RevisionId, RevisionId>);

impl Groups {
    fn root(&self, mut id: RevisionId) -> RevisionId {
        while let Some(next) = self.0.get(&id) {
            id = *next;
        }
        id
    }

    fn join(&mut self, one: RevisionId, other: RevisionId) {
        let (one, other) = (self.root(one), self.root(other));
        if one != other {
            self.0.insert(one.max(other), one.min(other));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_familys_name_has_no_word_that_tells_a_variant() {
        for (name, expected) in [
            ("meta-llama/Llama-3.2-1B", "llama-3.2-1b"),
            ("bartowski/Llama-3.2-1B-GGUF", "llama-3.2-1b"),
            ("mlx-community/Llama-3.2-1B-4bit", "llama-3.2-1b"),
            ("x/Llama-3.2-1B-GPTQ-Int4", "llama-3.2-1b"),
            ("x/Llama-3.2-1B.Q4_K_M-GGUF", "llama-3.2-1b"),
            ("x/Llama-3.2-1B-quantized.w4a16", "llama-3.2-1b"),
            ("mlx-community/phi-4-4bit", "phi-4"),
            ("Qwen/Qwen2.5-3B-Instruct", "qwen2.5-3b-instruct"),
            ("gpt2", "gpt2"),
            ("gguf", "gguf"),
            ("datasets/o/squad-gguf", "datasets/squad"),
        ] {
            assert_eq!(base(&name.parse().unwrap()), expected);
        }
    }
}
