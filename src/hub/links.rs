//! Where the hub sends us for a file's bytes: asked once a file, not once a range.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;

/// How many files' links are kept.
const KEPT: usize = 512;

/// What is known about the way to a file's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing: ask the hub. Others wait for the answer, so that it is asked once.
    #[default]
    Unknown,
    /// The hub gives the bytes itself.
    Direct,
    /// The hub sent us here. It is a secret: it opens the file to anybody, until it expires.
    Via(Url),
}

/// The way to one file, held while it is asked for.
pub(super) type Slot = Arc<tokio::sync::Mutex<Way>>;

/// The ways to the files that were asked for last.
#[derive(Default)]
pub(super) struct Links {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    slots: HashMap<String, Slot>,
    /// The keys, the oldest first.
    order: VecDeque<String>,
}

impl Links {
    /// The slot of a file, named by the URL at which the hub is asked for it.
    pub(super) fn slot(&self, url: &Url) -> Slot {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = known.slots.get(url.as_str()) {
            return Slot::clone(slot);
        }
        if known.order.len() >= KEPT
            && let Some(oldest) = known.order.pop_front()
        {
            known.slots.remove(&oldest);
        }
        let slot = Slot::default();
        known.slots.insert(url.as_str().to_owned(), Slot::clone(&slot));
        known.order.push_back(url.as_str().to_owned());
        slot
    }
}

/// Forgets a link that was refused, unless another one has taken its place.
pub(super) async fn forget(slot: &Slot, refused: &Url) {
    let mut way = slot.lock().await;
    if matches!(&*way, Way::Via(url) if url == refused) {
        *way = Way::Unknown;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_links_are_forgotten() {
        let links = Links::default();
        let url = |n: usize| format!("http://hub.test/{n}").parse::<Url>().unwrap();
        let first = links.slot(&url(0));
        for n in 1..KEPT {
            links.slot(&url(n));
        }
        assert!(Arc::ptr_eq(&first, &links.slot(&url(0))));
        links.slot(&url(KEPT));
        assert!(!Arc::ptr_eq(&first, &links.slot(&url(0))));
        assert_eq!(links.known.lock().unwrap().slots.len(), KEPT);
    }

    #[tokio::test]
    async fn a_newer_link_outlives_the_refusal_of_an_older_one() {
        let (slot, old, new) = (
            Slot::default(),
            "http://cdn.test/old".parse::<Url>().unwrap(),
            "http://cdn.test/new".parse::<Url>().unwrap(),
        );
        *slot.lock().await = Way::Via(new.clone());
        forget(&slot, &old).await;
        assert_eq!(*slot.lock().await, Way::Via(new.clone()));
        forget(&slot, &new).await;
        assert_eq!(*slot.lock().await, Way::Unknown);
    }
}
