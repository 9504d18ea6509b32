//! What a tensor's elements are, and how many bytes they take.

use std::fmt;

/// The type of a tensor's elements, by its name in the format: `BF16`, `Q4_K`. Elements come in
/// blocks; of most types a block is one element.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dtype {
    name: &'static str,
    block: u16,
    bytes: u16,
}

impl Dtype {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Elements of a block.
    #[must_use]
    pub fn block_elements(self) -> u16 {
        self.block
    }

    /// Bytes of a block.
    #[must_use]
    pub fn block_bytes(self) -> u16 {
        self.bytes
    }

    /// By the name that safetensors has for it.
    pub(crate) fn of_safetensors(name: &str) -> Option<Self> {
        SAFETENSORS.iter().find(|dtype| dtype.name == name).copied()
    }

    /// By the number that GGUF has for it.
    pub(super) fn of_gguf(number: u32) -> Option<Self> {
        GGUF.iter().find(|(n, _)| *n == number).map(|(_, dtype)| *dtype)
    }
}

impl fmt::Debug for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

const fn plain(name: &'static str, bytes: u16) -> Dtype {
    Dtype { name, block: 1, bytes }
}

const fn blocks(name: &'static str, block: u16, bytes: u16) -> Dtype {
    Dtype { name, block, bytes }
}

/// The safetensors format's own list, with the types that are smaller than a byte in the smallest
/// blocks that are whole bytes.
const SAFETENSORS: [Dtype; 20] = [
    plain("BOOL", 1),
    blocks("F4", 2, 1),
    blocks("F6_E2M3", 4, 3),
    blocks("F6_E3M2", 4, 3),
    plain("U8", 1),
    plain("I8", 1),
    plain("F8_E5M2", 1),
    plain("F8_E4M3", 1),
    plain("F8_E8M0", 1),
    plain("I16", 2),
    plain("U16", 2),
    plain("F16", 2),
    plain("BF16", 2),
    plain("I32", 4),
    plain("U32", 4),
    plain("F32", 4),
    plain("C64", 8),
    plain("F64", 8),
    plain("I64", 8),
    plain("U64", 8),
];

/// The types of ggml that files have, with their block structures' sizes in ggml-common.h. Those of 31
/// to 33 and 36 to 38 are interleaved for some processors; nobody writes them any more.
const GGUF: [(u32, Dtype); 40] = [
    (0, plain("F32", 4)),
    (1, plain("F16", 2)),
    (2, blocks("Q4_0", 32, 18)),
    (3, blocks("Q4_1", 32, 20)),
    (6, blocks("Q5_0", 32, 22)),
    (7, blocks("Q5_1", 32, 24)),
    (8, blocks("Q8_0", 32, 34)),
    (9, blocks("Q8_1", 32, 36)),
    (10, blocks("Q2_K", 256, 84)),
    (11, blocks("Q3_K", 256, 110)),
    (12, blocks("Q4_K", 256, 144)),
    (13, blocks("Q5_K", 256, 176)),
    (14, blocks("Q6_K", 256, 210)),
    (15, blocks("Q8_K", 256, 292)),
    (16, blocks("IQ2_XXS", 256, 66)),
    (17, blocks("IQ2_XS", 256, 74)),
    (18, blocks("IQ3_XXS", 256, 98)),
    (19, blocks("IQ1_S", 256, 50)),
    (20, blocks("IQ4_NL", 32, 18)),
    (21, blocks("IQ3_S", 256, 110)),
    (22, blocks("IQ2_S", 256, 82)),
    (23, blocks("IQ4_XS", 256, 136)),
    (24, plain("I8", 1)),
    (25, plain("I16", 2)),
    (26, plain("I32", 4)),
    (27, plain("I64", 8)),
    (28, plain("F64", 8)),
    (29, blocks("IQ1_M", 256, 56)),
    (30, plain("BF16", 2)),
    (31, blocks("Q4_0_4_4", 32, 18)),
    (32, blocks("Q4_0_4_8", 32, 18)),
    (33, blocks("Q4_0_8_8", 32, 18)),
    (34, blocks("TQ1_0", 256, 54)),
    (35, blocks("TQ2_0", 256, 66)),
    (36, blocks("IQ4_NL_4_4", 32, 18)),
    (37, blocks("IQ4_NL_4_8", 32, 18)),
    (38, blocks("IQ4_NL_8_8", 32, 18)),
    (39, blocks("MXFP4", 32, 17)),
    (40, blocks("NVFP4", 64, 36)),
    (41, blocks("Q1_0", 128, 18)),
];
