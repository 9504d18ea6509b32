//! The digest that an upstream names bytes by, of bytes that come in order.

use sha2::Digest;
use sha2::digest::common::hazmat::SerializableState;

use crate::digest::segments::{Feed, Segment};
use crate::digest::{GitSha1, Sha256, Upstream};

/// Digests bytes, and finds their segments in the same pass.
#[derive(Clone, Debug)]
pub(super) struct Hasher {
    upstream: Kind,
    segments: Feed,
}

/// One of the two kinds.
#[derive(Clone, Debug)]
enum Kind {
    Sha256(sha2::Sha256),
    Git(sha1::Sha1),
}

impl Hasher {
    /// For a file of `size` bytes whose digest should be `expected`: the same kind.
    pub fn like(expected: &Upstream, size: u64) -> Self {
        let upstream = match expected {
            Upstream::Sha256(_) => Kind::Sha256(sha2::Sha256::new()),
            Upstream::Git(_) => {
                let mut hasher = sha1::Sha1::new();
                hasher.update(format!("blob {size}\0").as_bytes());
                Kind::Git(hasher)
            }
        };
        Self { upstream, segments: Feed::new(size) }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.upstream {
            Kind::Sha256(hasher) => hasher.update(bytes),
            Kind::Git(hasher) => hasher.update(bytes),
        }
        self.segments.update(bytes);
    }

    /// Takes out the segments that were found so far.
    pub fn take_segments(&mut self) -> Vec<Segment> {
        self.segments.take()
    }

    /// All segments, given what was taken out before. `None` when nobody knows: an earlier process
    /// had the first bytes.
    pub fn segments(&self, taken: Vec<Segment>) -> Option<Vec<Segment>> {
        self.segments.clone().finish(taken)
    }

    pub fn finish(self) -> Upstream {
        match self.upstream {
            Kind::Sha256(hasher) => Upstream::Sha256(Sha256::from_bytes(hasher.finalize().into())),
            Kind::Git(hasher) => Upstream::Git(GitSha1::from_bytes(hasher.finalize().into())),
        }
    }

    /// What it has made of the bytes so far, to go on with it in another process.
    pub fn state(&self) -> Vec<u8> {
        match &self.upstream {
            Kind::Sha256(hasher) => hasher.serialize().to_vec(),
            Kind::Git(hasher) => hasher.serialize().to_vec(),
        }
    }

    /// Goes on with a state, of the kind of `expected`, after some of the bytes of a file of `size`;
    /// `None` when it is no state of that kind.
    pub fn from_state(expected: &Upstream, size: u64, state: &[u8]) -> Option<Self> {
        let upstream = match expected {
            Upstream::Sha256(_) => {
                let state = state.try_into().ok()?;
                Kind::Sha256(SerializableState::deserialize(state).ok()?)
            }
            Upstream::Git(_) => {
                let state = state.try_into().ok()?;
                Kind::Git(SerializableState::deserialize(state).ok()?)
            }
        };
        Some(Self { upstream, segments: Feed::lost(size) })
    }

    /// The digest of `bytes`, of the kind of `expected`.
    pub fn of(expected: &Upstream, bytes: &[u8]) -> Upstream {
        let mut hasher = Self::like(expected, bytes.len() as u64);
        hasher.update(bytes);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_that_git_and_sha256sum_print() {
        let git = Upstream::Git("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391".parse().unwrap());
        assert_eq!(Hasher::of(&git, b""), git);
        let git = Upstream::Git("ce013625030ba8dba906f756967f9e9ca394464a".parse().unwrap());
        assert_eq!(Hasher::of(&git, b"hello\n"), git);
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        let sha256 = Upstream::Sha256(sha256.parse().unwrap());
        assert_eq!(Hasher::of(&sha256, b"hello\n"), sha256);
    }

    #[test]
    fn a_digest_goes_on_from_a_state_as_if_nothing_had_been() {
        let git = Upstream::Git("ce013625030ba8dba906f756967f9e9ca394464a".parse().unwrap());
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        for upstream in [git, Upstream::Sha256(sha256.parse().unwrap())] {
            let mut hasher = Hasher::like(&upstream, 6);
            hasher.update(b"hel");
            let state = hasher.state();
            let mut later = Hasher::from_state(&upstream, 6, &state).unwrap();
            later.update(b"lo\n");
            assert_eq!(later.finish(), upstream);
            assert!(Hasher::from_state(&upstream, 6, &state[1..]).is_none());
        }
    }
}
