//! Places for connections: when all are taken, who idles makes room.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Who did nothing for so long may have to go.
const IDLE: Duration = Duration::from_secs(1);

/// All places.
#[derive(Debug)]
pub(super) struct Seats {
    taken: Mutex<Vec<Arc<Seat>>>,
    most: usize,
    began: Instant,
}

/// A connection's place.
#[derive(Debug)]
pub(super) struct Seat {
    /// Requests that are being answered.
    busy: AtomicUsize,
    /// When something was read or written last, in milliseconds since the server began.
    last: AtomicU64,
    began: Instant,
    /// Something came that was no whole request yet.
    has_begun: AtomicBool,
    leave: Notify,
}

/// A taken place, until it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    seat: Arc<Seat>,
    seats: Arc<Seats>,
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<Seat>);

impl Seats {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), most, began: Instant::now() })
    }

    /// A place; when none is free, that of the connection that has idled for longest, which is closed.
    /// `None` when nobody idles.
    pub fn take(self: &Arc<Self>) -> Option<Taken> {
        let mut taken = self.taken();
        if taken.len() >= self.most {
            let idle = taken.iter().filter(|seat| seat.is_idle());
            let longest = idle.min_by_key(|seat| seat.last.load(Ordering::Relaxed))?.clone();
            taken.retain(|seat| !Arc::ptr_eq(seat, &longest));
            longest.leave.notify_one();
        }
        let seat = Arc::new(Seat {
            busy: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            began: self.began,
            has_begun: AtomicBool::new(false),
            leave: Notify::new(),
        });
        seat.note();
        taken.push(seat.clone());
        Some(Taken { seat, seats: self.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Vec<Arc<Seat>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Something was read or written.
    pub fn note(&self) {
        self.last.store(self.now(), Ordering::Relaxed);
    }

    /// Something was read.
    pub fn heard(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
        self.note();
    }

    /// Whether something came that is no whole request yet.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    pub fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.has_begun.store(false, Ordering::Relaxed);
        Busy(self.clone())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_idle(&self) -> bool {
        let since = self.now().saturating_sub(self.last.load(Ordering::Relaxed));
        self.busy.load(Ordering::Relaxed) == 0 && u128::from(since) >= IDLE.as_millis()
    }
}

impl Taken {
    pub fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Returns when somebody else needs the place.
    pub async fn left(&self) {
        self.seat.leave.notified().await;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.seats.taken().retain(|seat| !Arc::ptr_eq(seat, &self.seat));
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        self.0.note();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(taken: &Taken) {
        // As if the server had begun long ago, and nothing was heard since.
        taken.seat.last.store(0, Ordering::Relaxed);
    }

    fn old() -> Arc<Seats> {
        let began = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        Arc::new(Seats { taken: Mutex::default(), most: 2, began })
    }

    #[test]
    fn who_idles_makes_room_and_who_works_does_not() {
        let seats = old();
        let (one, other) = (seats.take().unwrap(), seats.take().unwrap());
        assert!(seats.take().is_none(), "both came just now");
        age(&one);
        age(&other);
        let busy = one.seat().busy();
        let third = seats.take().unwrap();
        let left = async { other.left().await };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(left);
        assert!(seats.take().is_none(), "one works, and the third came just now");
        drop(busy);
        age(&one);
        drop(third);
        assert!(seats.take().is_some() && seats.taken().len() == 1, "a free place is taken first");
    }
}
