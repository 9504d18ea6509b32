//! The section `[space]`.

use std::time::Duration;

use bytesize::ByteSize;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::store::Limits;

#[derive(Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "the section [space] with max, low_mark, min_free and trash"
)]
pub(super) struct Space {
    max: Option<Size>,
    low_mark: Option<Percent>,
    min_free: Option<Size>,
    trash: Option<Age>,
}

struct Size(u64);

struct Percent(u8);

struct Age(Duration);

impl Space {
    pub fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            max_bytes: self.max.as_ref().map(|size| size.0),
            low_percent: self.low_mark.as_ref().map_or(default.low_percent, |mark| mark.0),
            min_free_bytes: self.min_free.as_ref().map_or(0, |size| size.0),
        }
    }

    pub fn trash(&self) -> Option<Duration> {
        self.trash.as_ref().map(|age| age.0)
    }
}

/// An age: a number and `s`, `m`, `h`, `d` or `w`.
///
/// # Errors
/// What is wrong, in words.
pub fn parse_age(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err("write a number and s, m, h, d or w, such as 30d".to_owned()),
    };
    let number: u64 =
        number.parse().map_err(|_| "the number is missing or too large".to_owned())?;
    let seconds = number.checked_mul(seconds).filter(|s| i64::try_from(*s).is_ok());
    seconds.map(Duration::from_secs).ok_or("that is longer than time is kept for".to_owned())
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let size = text.parse::<ByteSize>().map(|size| size.as_u64());
        size.map(Self).map_err(|_| D::Error::custom("write a size, such as \"500GB\" or \"1TiB\""))
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
        let number = number.filter(|number| (1..=100).contains(number));
        number.map(Self).ok_or_else(|| D::Error::custom("write a percentage, \"1%\" to \"100%\""))
    }
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parse_age(&String::deserialize(from)?).map(Self).map_err(D::Error::custom)
    }
}
