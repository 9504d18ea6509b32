//! The quantizations in a repository of GGUF files, by the names of the files.

use std::collections::BTreeSet;

use crate::error::PullError;
use crate::hub::RemoteFile;
use crate::model::ModelId;

/// A file that is not GGUF is taken along up to this size: tokenizers, configurations, licences,
/// but not the weights in another format.
const SMALL: u64 = 64 << 20;

pub(super) fn select(
    model: &ModelId,
    quant: &str,
    files: Vec<RemoteFile>,
) -> Result<Vec<RemoteFile>, PullError> {
    let chosen =
        |file: &RemoteFile| is_weights(file.path.as_str()) && has(file.path.as_str(), quant);
    if quant.is_empty() || !files.iter().any(chosen) {
        return Err(PullError::UnknownQuant {
            model: model.clone(),
            quant: quant.to_owned(),
            known: known(&files),
        });
    }
    let taken = |file: &RemoteFile| {
        let path = file.path.as_str();
        if is_weights(path) { has(path, quant) } else { is_gguf(path) || file.size <= SMALL }
    };
    Ok(files.into_iter().filter(taken).collect())
}

/// The quantizations that files are named after, in upper case.
fn known(files: &[RemoteFile]) -> Vec<String> {
    let weights = files.iter().map(|file| file.path.as_str()).filter(|path| is_weights(path));
    weights.filter_map(label).collect::<BTreeSet<_>>().into_iter().collect()
}

fn is_gguf(path: &str) -> bool {
    ends_with(path, ".gguf")
}

/// A GGUF file with a model's weights: a projector of images, which goes with each of them, is not.
fn is_weights(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    is_gguf(path) && !name.to_ascii_lowercase().contains("mmproj")
}

fn ends_with(text: &str, end: &str) -> bool {
    let tail = text.len().checked_sub(end.len()).and_then(|at| text.get(at..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// Whether `quant` stands in `path` as a word: `Q4_K` is not in `x-Q4_K_M.gguf`.
fn has(path: &str, quant: &str) -> bool {
    let (path, quant) = (path.to_ascii_lowercase(), quant.to_ascii_lowercase());
    path.match_indices(&quant).any(|(at, found)| {
        let before = path.get(..at).and_then(|text| text.chars().next_back());
        let after = path.get(at + found.len()..).and_then(|text| text.chars().next());
        before.is_none_or(|c| !c.is_alphanumeric())
            && after.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

/// The quantization at the end of a file's name: `Q4_K_M` of `dir/x-q4_k_m-00001-of-00002.gguf`.
fn label(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    let stem = name.get(..name.len().checked_sub(".gguf".len())?)?;
    let stem = without_piece(stem);
    let last = stem.rsplit(['-', '.']).next()?;
    // `model_q4_k_m`: the quantization is what begins like one.
    let words = last.match_indices('_').map(|(at, _)| at + 1).rev();
    let start = [0]
        .into_iter()
        .chain(words.rev())
        .find(|at| begins_quant(last.get(*at..).unwrap_or("")))?;
    Some(last.get(start..)?.to_ascii_uppercase())
}

/// Without `-00001-of-00002`.
fn without_piece(stem: &str) -> &str {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let split = stem.rsplit_once("-of-").and_then(|(rest, total)| {
        let (before, piece) = rest.rsplit_once('-')?;
        (digits(total) && digits(piece)).then_some(before)
    });
    split.unwrap_or(stem)
}

fn begins_quant(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["q", "iq", "tq", "f", "bf", "fp", "mxfp", "nvfp", "int"].iter().any(|kind| {
        text.strip_prefix(kind).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Sha256, Upstream};
    use crate::model::FilePath;

    fn repo(files: &[(&str, u64)]) -> Vec<RemoteFile> {
        let upstream = Upstream::Sha256(Sha256::from_bytes([0; 32]));
        let file = |(path, size): &(&str, u64)| RemoteFile {
            path: FilePath::new(*path).unwrap(),
            size: *size,
            upstream,
        };
        files.iter().map(file).collect()
    }

    fn names(quant: &str, files: &[(&str, u64)]) -> Result<Vec<String>, PullError> {
        let files = select(&"a/b".parse().unwrap(), quant, repo(files))?;
        Ok(files.iter().map(|file| file.path.to_string()).collect())
    }

    const REPO: &[(&str, u64)] = &[
        ("BF16/m-BF16-00001-of-00002.gguf", 9),
        ("BF16/m-BF16-00002-of-00002.gguf", 9),
        ("README.md", 9),
        ("imatrix.dat", SMALL + 1),
        ("m-IQ4_XS.gguf", 9),
        ("m-Q4_K_M.gguf", 9),
        ("m-Q4_K_S.gguf", 9),
        ("m-UD-Q4_K_XL.gguf", 9),
        ("m.Q8_0.gguf", 9),
        ("m_q5_k_m.gguf", 9),
        ("mmproj-F16.gguf", 9),
    ];

    #[test]
    fn a_quantization_brings_its_pieces_the_projector_and_small_files() {
        let with = |own: &[&str]| {
            let mut all: Vec<_> = own.iter().chain(&["README.md", "mmproj-F16.gguf"]).collect();
            all.sort_unstable();
            all.into_iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for (quant, own) in [
            ("q4_k_m", &["m-Q4_K_M.gguf"][..]),
            ("Q8_0", &["m.Q8_0.gguf"]),
            ("Q5_K_M", &["m_q5_k_m.gguf"]),
            ("Q4_K_XL", &["m-UD-Q4_K_XL.gguf"]),
            ("UD-Q4_K_XL", &["m-UD-Q4_K_XL.gguf"]),
            ("bf16", &["BF16/m-BF16-00001-of-00002.gguf", "BF16/m-BF16-00002-of-00002.gguf"]),
        ] {
            assert_eq!(names(quant, REPO).unwrap(), with(own), "{quant}");
        }
    }

    #[test]
    fn an_unknown_quantization_lists_those_there_are() {
        for quant in ["Q4_K", "Q9", "", "4_XS", "F16"] {
            let error = names(quant, REPO).unwrap_err();
            let PullError::UnknownQuant { known, .. } = error else { panic!("{error}") };
            let all = ["BF16", "IQ4_XS", "Q4_K_M", "Q4_K_S", "Q4_K_XL", "Q5_K_M", "Q8_0"];
            assert_eq!(known, all, "{quant}");
        }
        assert!(names("Q4_0", &[("model.safetensors", 1)]).is_err());
    }
}
