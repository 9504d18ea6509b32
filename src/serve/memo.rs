//! Answers that are remembered for a while, and asked for once, however many wait.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

type Slot<V> = Arc<tokio::sync::Mutex<Option<(Instant, V)>>>;

/// Remembers at most `most` answers, each for `life`.
#[derive(Debug)]
pub(super) struct Memo<K, V> {
    slots: Mutex<HashMap<K, (Instant, Slot<V>)>>,
    life: Duration,
    most: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Memo<K, V> {
    pub fn new(life: Duration, most: usize) -> Self {
        Self { slots: Mutex::default(), life, most }
    }

    /// What is remembered, or what `ask` says. Who comes while it asks waits for it. A failure is not
    /// remembered.
    pub async fn get<E>(&self, key: &K, ask: impl AsyncFnOnce() -> Result<V, E>) -> Result<V, E> {
        let slot = self.slot(key);
        let mut known = slot.lock().await;
        if let Some((since, value)) = &*known
            && since.elapsed() < self.life
        {
            return Ok(value.clone());
        }
        let value = ask().await?;
        *known = Some((Instant::now(), value.clone()));
        Ok(value)
    }

    fn slot(&self, key: &K) -> Slot<V> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= self.most && !slots.contains_key(key) {
            // The one that was used least recently; who holds it goes on with it.
            let oldest =
                slots.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            oldest.and_then(|key| slots.remove(&key));
        }
        let (used, slot) =
            slots.entry(key.clone()).or_insert_with(|| (Instant::now(), Slot::default()));
        *used = Instant::now();
        slot.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(test);
    }

    #[test]
    fn who_asks_at_the_same_time_gets_one_answer() {
        run(async {
            let memo = Memo::new(Duration::from_secs(60), 4);
            let asked = AtomicU32::new(0);
            let ask = || {
                memo.get(&1, async || {
                    tokio::task::yield_now().await;
                    Ok::<_, ()>(asked.fetch_add(1, Ordering::SeqCst))
                })
            };
            let both = tokio::join!(ask(), ask());
            assert_eq!((both, asked.load(Ordering::SeqCst)), ((Ok(0), Ok(0)), 1));
        });
    }

    #[test]
    fn failures_and_what_is_old_are_asked_for_again() {
        run(async {
            let memo = Memo::new(Duration::ZERO, 4);
            assert_eq!(memo.get(&1, async || Err::<u32, _>(7)).await, Err(7));
            assert_eq!(memo.get(&1, async || Ok::<_, ()>(1)).await, Ok(1));
            assert_eq!(memo.get(&1, async || Ok::<_, ()>(2)).await, Ok(2));
        });
    }

    #[test]
    fn the_least_recently_used_is_forgotten() {
        run(async {
            let memo = Memo::new(Duration::from_secs(60), 2);
            for key in [1, 2, 3] {
                assert_eq!(memo.get(&key, async || Ok::<_, ()>(key)).await, Ok(key));
            }
            assert_eq!(memo.get(&1, async || Ok::<_, ()>(9)).await, Ok(9));
            assert_eq!(memo.get(&3, async || Ok::<_, ()>(9)).await, Ok(3));
        });
    }
}
