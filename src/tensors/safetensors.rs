//! safetensors: eight bytes of length, a JSON object, and the tensors' bytes without gaps.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};

use super::{Dtype, HeaderError, MAX_TENSORS, Tensor, byte_len, invalid};

/// The format's own limit for the JSON object, in bytes.
const MAX_JSON: u64 = 100_000_000;

pub(super) fn parse(start: &[u8], len: u64) -> Result<Vec<Tensor>, HeaderError> {
    let Some((first, rest)) = start.split_first_chunk::<8>() else {
        return Err(if len < 8 { invalid("it is too short") } else { short(8) });
    };
    let json_len = u64::from_le_bytes(*first);
    if json_len > MAX_JSON || json_len > len - 8 {
        return Err(invalid(format!("its header cannot have {json_len} bytes")));
    }
    let data = 8 + json_len;
    let json = usize::try_from(json_len).ok().and_then(|n| rest.get(..n));
    let json = json.ok_or_else(|| short(data))?;
    let entries: Entries = serde_json::from_slice(json).map_err(|e| invalid(e.to_string()))?;
    let mut tensors = Vec::new();
    for (name, info) in entries.0 {
        let dtype = Dtype::of_safetensors(&info.dtype)
            .ok_or_else(|| invalid(format!("{name:?} has the unknown type {:?}", info.dtype)))?;
        let [from, to] = info.data_offsets;
        let range = from.checked_add(data).zip(to.checked_add(data));
        let (from, to) = range
            .filter(|(from, to)| from <= to && *to <= len)
            .ok_or_else(|| invalid(format!("{name:?} is not within the file")))?;
        if byte_len(dtype, &info.shape, None) != Some(to - from) {
            return Err(invalid(format!("{name:?} has not the bytes that its shape needs")));
        }
        tensors.push(Tensor { name, dtype, shape: info.shape, range: from..to });
    }
    // Without gaps, and to the file's end: the format says so, and so its writers do.
    let bytes = tensors.iter().map(|t| t.range.end - t.range.start).fold(0, u64::saturating_add);
    if bytes != len - data {
        return Err(invalid("its tensors are not all that is in it"));
    }
    Ok(tensors)
}

fn short(needed: u64) -> HeaderError {
    HeaderError::Short { needed }
}

#[derive(Deserialize)]
struct Info {
    dtype: String,
    #[serde(deserialize_with = "shape")]
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// No program that makes tensors has more dimensions.
const MAX_DIMENSIONS: usize = 64;

/// A shape, with no more numbers kept than a tensor can have.
fn shape<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
    struct Sides;
    impl<'de> Visitor<'de> for Sides {
        type Value = Vec<u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the sides of a tensor")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u64>, A::Error> {
            let mut sides = Vec::new();
            while let Some(side) = seq.next_element()? {
                if sides.len() == MAX_DIMENSIONS {
                    return Err(serde::de::Error::custom("a tensor has too many dimensions"));
                }
                sides.push(side);
            }
            Ok(sides)
        }
    }
    from.deserialize_seq(Sides)
}

/// The object's entries but for `__metadata__`, in their order.
struct Entries(Vec<(String, Info)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if entries.len() == MAX_TENSORS {
                        return Err(serde::de::Error::custom("it has too many tensors"));
                    }
                    if name == "__metadata__" {
                        map.next_value::<serde::de::IgnoredAny>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Entries(entries))
            }
        }
        from.deserialize_map(Each)
    }
}
