//! Short names of well-known models.

use std::borrow::Cow;

use super::ModelId;

/// A model that many people want, and what they call it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WellKnown {
    /// What people type.
    pub name: &'static str,
    /// The model.
    pub model: ModelId,
    /// About how many bytes it has; `None` when that depends on which files are taken.
    pub bytes: Option<u64>,
    /// Whether its licence must be accepted at the hub first.
    pub gated: bool,
}

const GB: u64 = 1_000_000_000;

const fn id(name: &'static str) -> ModelId {
    ModelId(Cow::Borrowed(name))
}

const fn known(name: &'static str, model: ModelId, gigabytes: u64) -> WellKnown {
    WellKnown { name, model, bytes: Some(gigabytes * GB), gated: false }
}

impl ModelId {
    /// Llama 3.2, 1 B parameters, 4 bits.
    pub const LLAMA_3_2_1B: Self = id("mlx-community/Llama-3.2-1B-Instruct-4bit");
    /// Llama 3.2, 3 B parameters, 4 bits.
    pub const LLAMA_3_2_3B: Self = id("mlx-community/Llama-3.2-3B-Instruct-4bit");
    /// Phi 4, 14 B parameters, 4 bits.
    pub const PHI_4: Self = id("mlx-community/phi-4-4bit");
    /// Qwen 2.5, 3 B parameters, 4 bits.
    pub const QWEN_2_5_3B: Self = id("mlx-community/Qwen2.5-3B-Instruct-4bit");
    /// Mistral 0.3, 7 B parameters, 4 bits.
    pub const MISTRAL_7B: Self = id("mlx-community/Mistral-7B-Instruct-v0.3-4bit");
    /// Llama 3.1, 8 B parameters, 16 bits; gated.
    pub const LLAMA_3_1_8B: Self = id("meta-llama/Llama-3.1-8B-Instruct");

    /// All short names.
    pub const WELL_KNOWN: [WellKnown; 6] = [
        known("llama-3.2-1b", Self::LLAMA_3_2_1B, 1),
        known("llama-3.2-3b", Self::LLAMA_3_2_3B, 2),
        known("phi-4", Self::PHI_4, 8),
        known("qwen2.5-3b", Self::QWEN_2_5_3B, 2),
        known("mistral-7b", Self::MISTRAL_7B, 5),
        WellKnown { name: "llama-3.1-8b", model: Self::LLAMA_3_1_8B, bytes: None, gated: true },
    ];

    /// The model that `name` is short for.
    #[must_use]
    pub fn well_known(name: &str) -> Option<Self> {
        Self::WELL_KNOWN.into_iter().find(|known| known.name == name).map(|known| known.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_and_what_they_stand_for_are_names() {
        for known in ModelId::WELL_KNOWN {
            assert_eq!(known.model.as_str().parse(), Ok(known.model.clone()));
            assert!(known.name.parse::<ModelId>().is_ok() && !known.name.contains('/'));
            assert_eq!(ModelId::well_known(known.name), Some(known.model));
        }
        assert_eq!(ModelId::well_known("mlx-community/phi-4-4bit"), None);
    }
}
