//! Quantizations of one model, as a quantizer's run makes them: GGUF files in which tensors of one
//! name and type have the same bytes, behind headers of one length.

use std::fs;
use std::path::Path;

use super::bytes;

/// ggml's numbers, elements and bytes of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    F32,
    Q4K,
    Q5K,
    Q6K,
    Q80,
}

impl Type {
    fn layout(self) -> (u32, u64, u64) {
        match self {
            Self::F32 => (0, 1, 4),
            Self::Q4K => (12, 256, 144),
            Self::Q5K => (13, 256, 176),
            Self::Q6K => (14, 256, 210),
            Self::Q80 => (8, 32, 34),
        }
    }
}

/// A variant: its name, the usual type, that of some layers' attn_v and ffn_down, and that of the
/// embedding and the output.
pub type Variant = (&'static str, Type, Type, Type);

/// Eight of one family.
pub const VARIANTS: [Variant; 8] = [
    ("Q4_K_S", Type::Q4K, Type::Q4K, Type::Q6K),
    ("Q4_K_M", Type::Q4K, Type::Q6K, Type::Q6K),
    ("Q4_K_L", Type::Q4K, Type::Q6K, Type::Q80),
    ("Q5_K_S", Type::Q5K, Type::Q5K, Type::Q6K),
    ("Q5_K_M", Type::Q5K, Type::Q6K, Type::Q6K),
    ("Q5_K_L", Type::Q5K, Type::Q6K, Type::Q80),
    ("Q6_K", Type::Q6K, Type::Q6K, Type::Q6K),
    ("Q8_0", Type::Q80, Type::Q80, Type::Q80),
];

/// A tensor of a variant, and its bytes.
pub struct Made {
    pub name: String,
    pub kind: Type,
    pub sides: Vec<u64>,
    pub bytes: Vec<u8>,
}

/// The tensors of a variant of a model with rows of `hidden` elements, a multiple of 256.
pub fn tensors(variant: Variant, hidden: u64) -> Vec<Made> {
    const LAYERS: u64 = 4;
    const VOCABULARY: u64 = 4096;
    let (_, usual, more, ends) = variant;
    let ffn = hidden * 2;
    let mut all = vec![("token_embd.weight".to_owned(), ends, vec![hidden, VOCABULARY])];
    for layer in 0..LAYERS {
        let some = if layer % 2 == 0 { more } else { usual };
        for (name, kind, sides) in [
            ("attn_norm", Type::F32, vec![hidden]),
            ("attn_q", usual, vec![hidden, hidden]),
            ("attn_k", usual, vec![hidden, hidden / 4]),
            ("attn_v", some, vec![hidden, hidden / 4]),
            ("attn_output", usual, vec![hidden, hidden]),
            ("ffn_gate", usual, vec![hidden, ffn]),
            ("ffn_up", usual, vec![hidden, ffn]),
            ("ffn_down", some, vec![ffn, hidden]),
        ] {
            all.push((format!("blk.{layer}.{name}.weight"), kind, sides));
        }
    }
    all.push(("output.weight".to_owned(), ends, vec![hidden, VOCABULARY]));
    all.into_iter()
        .map(|(name, kind, sides)| {
            let (number, elements, size) = kind.layout();
            let len = sides.iter().product::<u64>() / elements * size;
            let seed = name.bytes().fold(u64::from(number), |seed, b| {
                seed.wrapping_mul(0x100_0000_01b3) ^ u64::from(b)
            });
            let bytes = bytes(seed, usize::try_from(len).unwrap());
            Made { name, kind, sides, bytes }
        })
        .collect()
}

/// A GGUF file of these tensors, its format's version 3.
pub fn gguf(tensors: &[Made], file_type: u32) -> Vec<u8> {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend(2_u64.to_le_bytes());
    text(&mut out, "general.file_type");
    out.extend(4_u32.to_le_bytes());
    out.extend(file_type.to_le_bytes());
    text(&mut out, "tokenizer.ggml.tokens");
    out.extend(9_u32.to_le_bytes());
    out.extend(8_u32.to_le_bytes());
    out.extend(4096_u64.to_le_bytes());
    for token in 0..4096 {
        text(&mut out, &format!("token{token:05}"));
    }
    let aligned = |len: usize| len.next_multiple_of(32);
    let mut offset = 0;
    for tensor in tensors {
        text(&mut out, &tensor.name);
        out.extend((tensor.sides.len() as u32).to_le_bytes());
        tensor.sides.iter().for_each(|side| out.extend(side.to_le_bytes()));
        out.extend(tensor.kind.layout().0.to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        offset += aligned(tensor.bytes.len());
    }
    out.resize(aligned(out.len()), 0);
    for tensor in tensors {
        out.extend(&tensor.bytes);
        out.resize(aligned(out.len()), 0);
    }
    out
}

/// Writes the family to `dir`, a file for each variant, and gives back their names.
pub fn write(dir: &Path, hidden: u64) -> Vec<String> {
    fs::create_dir_all(dir).unwrap();
    let mut names = Vec::new();
    for (variant, number) in VARIANTS.into_iter().zip(0..) {
        let name = format!("{}.gguf", variant.0);
        fs::write(dir.join(&name), gguf(&tensors(variant, hidden), number)).unwrap();
        names.push(name);
    }
    names
}
