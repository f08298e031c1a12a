//! Keeps calls that wait for their clients, each with its upstream's open stream, until somebody comes back or it is too
//! late.
//!
//! Bounded: a principal that parks more than its share loses its oldest call, and so does everybody together. Nothing is
//! read while a call is parked: what the upstream goes on saying waits in its connection.

use super::CallStream;
use crate::engine::exchange::Parked;
use crate::engine::exchange::step::ParkKey;
use crate::engine::session::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Calls of all clients together.
const MOST: usize = 4096;
/// Calls of one principal. Clients without one have only the bound of all.
const MOST_OF_ONE: usize = 64;

/// A call as it is kept.
struct Lot {
    parked: Box<Parked>,
    call: Option<CallStream>,
}

/// The parked calls of this process.
pub struct ParkingLot {
    /// Held for a look-up, an insertion or a sweep only.
    lots: Mutex<HashMap<ParkKey, Lot>>,
    most: usize,
    most_of_one: usize,
}

impl Default for ParkingLot {
    fn default() -> Self {
        Self {
            lots: Mutex::default(),
            most: MOST,
            most_of_one: MOST_OF_ONE,
        }
    }
}

impl ParkingLot {
    /// Keeps a call. Returns those that had to make room for it.
    #[must_use]
    pub fn park(&self, key: ParkKey, parked: Box<Parked>, call: Option<CallStream>) -> Option<Box<Parked>> {
        let mut lots = self.lots();
        let principal = parked.principal();
        let of_one = |lot: &Lot| principal != 0 && lot.parked.principal() == principal;
        let full = lots.len() >= self.most;
        let crowded = principal != 0 && lots.values().filter(|lot| of_one(lot)).count() >= self.most_of_one;
        let oldest = (full || crowded).then(|| {
            let candidates = lots.iter().filter(|(_, lot)| !crowded || of_one(lot));
            candidates
                .min_by_key(|(_, lot)| lot.parked.expires())
                .map(|(key, _)| *key)
        });
        let evicted = oldest.flatten().and_then(|key| lots.remove(&key));
        lots.insert(key, Lot { parked, call });
        drop(lots);
        evicted.map(|lot| lot.parked)
    }

    /// Takes a call; nobody else can take it then.
    #[must_use]
    pub fn resume(&self, key: ParkKey) -> Option<(Box<Parked>, Option<CallStream>)> {
        self.lots().remove(&key).map(|lot| (lot.parked, lot.call))
    }

    /// Takes the calls for which it is too late at `now`. Their streams are closed.
    #[must_use]
    pub fn expire(&self, now: Timestamp) -> Vec<Parked> {
        self.take(|lot| lot.parked.expires() <= now)
    }

    /// Takes all calls.
    #[must_use]
    pub fn clear(&self) -> Vec<Parked> {
        self.take(|_| true)
    }

    fn take(&self, wanted: impl Fn(&Lot) -> bool) -> Vec<Parked> {
        let taken: Vec<Lot> = self
            .lots()
            .extract_if(|_, lot| wanted(lot))
            .map(|(_, lot)| lot)
            .collect();
        taken.into_iter().map(|lot| *lot.parked).collect()
    }

    fn lots(&self) -> MutexGuard<'_, HashMap<ParkKey, Lot>> {
        // Nothing panics while it is held; and if: the map is still a map.
        self.lots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_parked(principal: u64, expires: u64) -> Box<Parked> {
        Box::new(Parked::for_tests(principal, Timestamp(expires)))
    }

    #[test]
    fn a_call_is_resumed_once() {
        let lot = ParkingLot::default();
        assert!(lot.park(ParkKey(1), mk_parked(0, 10), None).is_none());
        assert!(lot.resume(ParkKey(2)).is_none(), "somebody else's");
        assert!(lot.resume(ParkKey(1)).is_some());
        assert!(lot.resume(ParkKey(1)).is_none(), "used up");
    }

    #[test]
    fn calls_that_nobody_came_back_for_are_given_up() {
        let lot = ParkingLot::default();
        for at in 1..=3 {
            assert!(lot.park(ParkKey(at.into()), mk_parked(0, at), None).is_none());
        }
        assert_eq!(lot.expire(Timestamp(2)).len(), 2);
        assert!(lot.resume(ParkKey(3)).is_some());
        assert!(lot.clear().is_empty());
    }

    #[test]
    fn the_oldest_call_makes_room() {
        let lot = ParkingLot {
            most: 3,
            most_of_one: 2,
            ..ParkingLot::default()
        };
        let park = |key, principal, expires| {
            let evicted = lot.park(ParkKey(key), mk_parked(principal, expires), None);
            evicted.map(|parked| parked.expires().0)
        };
        assert_eq!(park(1, 0, 1), None);
        assert_eq!(park(2, 7, 2), None);
        assert_eq!(park(3, 7, 3), None);
        assert_eq!(park(4, 7, 4), Some(2), "one may have two");
        assert_eq!(park(5, 0, 5), Some(1), "all may have three");
        assert_eq!(lot.clear().len(), 3);
    }
}
