//! Loads a model, verified: its tensors are mapped, and their sums printed.
//!
//! ```text
//! cargo run --release --example load_tensors -- ~/.cache/tonnage org/name
//! ```

#![allow(clippy::print_stdout, reason = "it talks to people")]

use std::error::Error;

use tonnage::open::{TensorView, Trust, open};
use tonnage::progress::Progress;
use tonnage::store::{Access, Store};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(home), Some(model)) = (args.next(), args.next()) else {
        return Err("usage: load_tensors STORE MODEL".into());
    };
    let store = Store::open(home, Access::Read)?;
    let revision = store.resolve(&model.parse()?)?;
    // Each MiB is verified before its bytes are seen, and none that are not.
    let model = open(&store, &revision, Trust::Touched, &Progress::new())?;
    for (file, tensor) in model.tensors()? {
        let view = model.tensor(&tensor.name)?;
        let (path, what) = (file.path(), sum(&view));
        println!("{path} {} {} {:?} {what}", view.name, view.dtype, view.shape);
    }
    Ok(())
}

/// The sum of a tensor's elements, or for quantized ones of its bytes.
fn sum(view: &TensorView<'_>) -> String {
    let pairs = view.bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair));
    let sum: f64 = match view.dtype.name() {
        "F32" => {
            let fours = view.bytes.as_chunks::<4>().0.iter();
            fours.map(|four| f64::from(f32::from_le_bytes(*four))).sum()
        }
        // The upper half of an f32.
        "BF16" => pairs.map(|bits| f64::from(f32::from_bits(u32::from(bits) << 16))).sum(),
        "F16" => pairs.map(half).sum(),
        _ => {
            let bytes: u64 = view.bytes.iter().map(|byte| u64::from(*byte)).sum();
            return format!("bytes {bytes}");
        }
    };
    format!("sum {sum:.4}")
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023) / 1024.0);
    match exponent {
        0 => sign * fraction * 2.0_f64.powi(-14),
        31 => sign * if fraction == 0.0 { f64::INFINITY } else { f64::NAN },
        _ => sign * (1.0 + fraction) * 2.0_f64.powi(exponent - 15),
    }
}
