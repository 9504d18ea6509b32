//! Headers of gguf, whatever they are: eight bytes that say how much longer the file is than what
//! was read of it, and that.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tonnage::tensors::Format;

fuzz_target!(|data: &[u8]| {
    let Some((longer, start)) = data.split_first_chunk() else { return };
    let longer = u64::from_le_bytes(*longer);
    let len = (start.len() as u64).saturating_add(longer);
    if let Ok(tensors) = Format::Gguf.parse(start, len) {
        let mut end = 0;
        for tensor in tensors.iter().filter(|tensor| !tensor.range.is_empty()) {
            assert!(tensor.range.start >= end && tensor.range.end <= len);
            end = tensor.range.end;
        }
    }
});
