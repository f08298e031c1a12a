//! Places: how much goes on at once, of each session and principal. Only keys that hold a place are in memory.

use crate::engine::policy::place::{Kind, Place};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::sync::Arc;

type Taken = Arc<DashMap<(Kind, u128), usize>>;

/// All places that are taken.
#[derive(Debug, Default)]
pub struct Places {
    taken: Taken,
}

/// Places of one exchange; free again when dropped.
#[derive(Debug)]
pub struct Held {
    taken: Taken,
    places: Vec<Place>,
}

impl Places {
    /// Takes all of `places`.
    ///
    /// # Errors
    /// The first limit that is reached; none of them is taken.
    pub fn take(&self, places: &[Place]) -> Result<Held, Kind> {
        let mut held = Held {
            taken: Arc::clone(&self.taken),
            places: Vec::with_capacity(places.len()),
        };
        for place in places {
            let mut count = self.taken.entry((place.kind, place.key)).or_insert(0);
            if *count >= place.most {
                let empty = *count == 0;
                drop(count);
                debug_assert!(!empty, "limits are above 0");
                return Err(place.kind);
            }
            *count += 1;
            held.places.push(*place);
        }
        Ok(held)
    }

    /// Keys that hold a place.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Nobody holds one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for place in &self.places {
            let Entry::Occupied(mut count) = self.taken.entry((place.kind, place.key)) else {
                continue;
            };
            if *count.get() <= 1 {
                count.remove();
            } else {
                *count.get_mut() -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_place(kind: Kind, key: u128) -> Place {
        Place { kind, key, most: 2 }
    }

    #[test]
    fn a_place_is_free_again_when_it_is_left_and_nothing_stays_in_memory() {
        let places = Places::default();
        let both = [mk_place(Kind::CallsPerSession, 1), mk_place(Kind::CallsPerPrincipal, 7)];
        let (one, two) = (places.take(&both).expect("free"), places.take(&both).expect("free"));
        assert_eq!(places.take(&both).unwrap_err(), Kind::CallsPerSession);
        let other = [mk_place(Kind::CallsPerSession, 2), mk_place(Kind::CallsPerPrincipal, 7)];
        assert_eq!(places.take(&other).unwrap_err(), Kind::CallsPerPrincipal);
        assert_eq!(places.len(), 2, "what a refused one took is free again");
        drop(one);
        assert!(places.take(&other).is_ok());
        drop(two);
        assert!(places.is_empty());
    }
}
