//! Digests: the names of blobs and of the same bytes elsewhere.

mod active;
pub(crate) mod pool;
pub(crate) mod segments;
pub(crate) mod stream;
pub(crate) mod tree;

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

/// A digest that is not the expected number of lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what}: {text:?} (expected {digits} lower-case hexadecimal digits)")]
pub struct ParseDigestError {
    what: &'static str,
    digits: usize,
    text: String,
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// The digest with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The digest's bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 2 * $len];
                f.write_str(encode_hex(&self.0, &mut text))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseDigestError;

            fn from_str(text: &str) -> Result<Self, ParseDigestError> {
                let mut bytes = [0; $len];
                if decode_hex(text.as_bytes(), &mut bytes) {
                    Ok(Self(bytes))
                } else {
                    Err(ParseDigestError { what: $what, digits: 2 * $len, text: text.to_owned() })
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let mut text = [0; 2 * $len];
                to.serialize_str(encode_hex(&self.0, &mut text))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                from.deserialize_str(Text)
            }
        }
    };
}

digest!(
    /// The name of a blob: the BLAKE3-256 hash of its bytes.
    BlobHash, 32, "BLAKE3 hash"
);
digest!(
    /// What the hub (for LFS files), Ollama and OCI registries name the same bytes by.
    Sha256, 32, "SHA-256 digest"
);
digest!(
    /// What git names a file by: SHA-1 of `blob <length>\0` and the bytes.
    GitSha1, 20, "git blob SHA-1"
);

/// What an upstream names a file's bytes by, and what they are checked against before they become
/// a blob.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Upstream {
    /// Files kept outside git, as the hub keeps large ones.
    Sha256(Sha256),
    /// Files in git.
    Git(GitSha1),
}

/// The digits alone. The two kinds differ in length, so they never meet.
impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => digest.fmt(f),
            Self::Git(digest) => digest.fmt(f),
        }
    }
}

impl BlobHash {
    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The name as digits, without an allocation: what a file operation per blob needs.
    #[must_use]
    pub fn hex(&self) -> Hex {
        let mut text = [0; 64];
        encode_hex(&self.0, &mut text);
        Hex(text)
    }

    /// The first digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

/// The 64 digits of a [`BlobHash`].
#[derive(Clone, Copy)]
pub struct Hex([u8; 64]);

impl AsRef<str> for Hex {
    fn as_ref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl AsRef<OsStr> for Hex {
    fn as_ref(&self) -> &OsStr {
        AsRef::<str>::as_ref(self).as_ref()
    }
}

fn encode_hex<'t>(bytes: &[u8], text: &'t mut [u8]) -> &'t str {
    // Arithmetic, not a table: the compiler turns it into vector instructions.
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    for ([high, low], byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        *high = digit(byte >> 4);
        *low = digit(byte & 15);
    }
    std::str::from_utf8(text).unwrap_or_default()
}

/// Lower case only: a name on disk has one spelling.
fn decode_hex(text: &[u8], bytes: &mut [u8]) -> bool {
    // Every digit is looked at, good or bad: without a branch in it the loop becomes vector
    // instructions, and a manifest has millions of digits.
    let value = |digit: u8| {
        let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
        let value = if number < 10 { number } else { letter.wrapping_add(10) };
        (value, u8::from(number >= 10) & u8::from(letter >= 6))
    };
    let (pairs, odd) = text.as_chunks();
    if !odd.is_empty() || pairs.len() != bytes.len() {
        return false;
    }
    let mut wrong = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let ((high, bad_high), (low, bad_low)) = (value(*high), value(*low));
        *byte = high.wrapping_shl(4) | low;
        wrong |= bad_high | bad_low;
    }
    wrong == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_one_spelling() {
        let hash = BlobHash::of(b"weights");
        let text = hash.to_string();
        assert_eq!(text, blake3::hash(b"weights").to_hex().as_str());
        assert_eq!(text.parse(), Ok(hash));
        assert!(text.to_uppercase().parse::<BlobHash>().is_err());
        assert!(text[1..].parse::<BlobHash>().is_err());
        assert!(format!("{text}0").parse::<BlobHash>().is_err());
        assert!(format!("{text}00").parse::<BlobHash>().is_err());
        for wrong in (0..=u8::MAX).filter(|b| !b.is_ascii_digit() && !(b'a'..=b'f').contains(b)) {
            for at in [0, 63] {
                let mut digits = text.clone().into_bytes();
                digits[at] = wrong;
                assert!(!decode_hex(&digits, &mut [0; 32]), "{wrong} at {at}");
            }
        }
    }
}
