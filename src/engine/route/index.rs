//! One kind's exposed names in one table: made anew when any upstream's names changed, shared between snapshots
//! otherwise.
//!
//! The table is keyed by hashes that were computed once per name, so building it for 100,000 names takes milliseconds.
//! The full name is compared on look-up; two names with one hash are both found.

use super::{Target, UpstreamIndex};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::sync::Arc;

/// One exposed name and where it leads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) exposed: Arc<str>,
    hash: u64,
    pub(crate) target: Target,
}

impl Entry {
    pub(crate) fn new(exposed: Arc<str>, target: Target) -> Self {
        Self {
            hash: hash(&exposed),
            exposed,
            target,
        }
    }

    /// The same name, its upstream at another place.
    pub(crate) fn moved(&self, upstream: UpstreamIndex) -> Self {
        let mut entry = self.clone();
        entry.target.upstream = upstream;
        entry
    }
}

/// The names of one upstream, in its order.
pub(crate) type Entries = Arc<[Entry]>;

/// An entry that another one precedes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hidden {
    /// Its place in its upstream's order.
    pub(crate) item: u32,
    /// Place of the upstream that owns the name.
    pub(crate) owner: u32,
}

/// Exposed name -> target.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// By place of the upstream.
    parts: Vec<Entries>,
    slots: HashMap<u64, Slot, BuildHasherDefault<Identity>>,
    /// Names whose hash another name has taken.
    clashes: HashMap<Arc<str>, Slot>,
    /// Beside one caller's own parts: everybody's, where these parts are empty.
    shared: Option<Arc<Self>>,
}

/// A name that was found: where it leads, its part, its place there.
type Found<'a> = (&'a Target, usize, usize);

#[derive(Clone, Copy, Debug)]
struct Slot {
    part: u32,
    item: u32,
}

impl Index {
    /// The index of `parts`, and for each part what earlier ones hide, in the part's order.
    pub(crate) fn build(parts: Vec<Entries>) -> (Self, Vec<Vec<Hidden>>) {
        let total = parts.iter().map(|entries| entries.len()).sum();
        let mut hidden = vec![Vec::new(); parts.len()];
        let mut index = Self {
            slots: HashMap::with_capacity_and_hasher(total, BuildHasherDefault::default()),
            clashes: HashMap::new(),
            parts: Vec::new(),
            shared: None,
        };
        for (part, (entries, hidden)) in (0u32..).zip(parts.iter().zip(&mut hidden)) {
            for (item, entry) in (0u32..).zip(entries.iter()) {
                if let Some(owner) = index.claim(&parts, entry, Slot { part, item }) {
                    hidden.push(Hidden { item, owner });
                }
            }
        }
        index.parts = parts;
        (index, hidden)
    }

    /// True if it was built of exactly these parts.
    pub(crate) fn is_of(&self, parts: &[Entries]) -> bool {
        let same = |(one, other): (&Entries, &Entries)| Arc::ptr_eq(one, other);
        self.parts.len() == parts.len() && self.parts.iter().zip(parts).all(same)
    }

    /// The index of one caller's own parts over everybody's (`shared`, with what is hidden there): what stands first owns a
    /// name, as if all were built together. Costs what the own parts cost.
    pub(crate) fn over(shared: &Arc<Self>, hidden: &[Vec<Hidden>], own: Vec<Entries>) -> (Self, Vec<Vec<Hidden>>) {
        let (mut index, own_hidden) = Self::build(own);
        let mut all = hidden.to_vec();
        all.resize(index.parts.len().max(all.len()), Vec::new());
        for (all, own) in all.iter_mut().zip(own_hidden) {
            all.extend(own);
        }
        for (part, entries) in (0_u32..).zip(&index.parts) {
            for (item, entry) in (0_u32..).zip(entries.iter()) {
                let Some((_, other, place)) = shared.find(entry.hash, &entry.exposed) else {
                    continue;
                };
                let Ok(other) = u32::try_from(other) else { continue };
                let (loser, entry) = if other < part {
                    (part, Hidden { item, owner: other })
                } else {
                    let Ok(item) = u32::try_from(place) else { continue };
                    (other, Hidden { item, owner: part })
                };
                if let Some(hidden) = all.get_mut(loser as usize)
                    && hidden.iter().all(|known| known.item != entry.item)
                {
                    hidden.push(entry);
                }
            }
        }
        for hidden in &mut all {
            hidden.sort_unstable_by_key(|hidden| hidden.item);
        }
        index.shared = Some(Arc::clone(shared));
        (index, all)
    }

    /// The target of exactly this name.
    pub(crate) fn get(&self, exposed: &str) -> Option<&Target> {
        self.locate(exposed).map(|(target, ..)| target)
    }

    /// The target of exactly this name, and where it stands: part, and place in it.
    pub(crate) fn locate(&self, exposed: &str) -> Option<Found<'_>> {
        let hash = hash(exposed);
        let own = self.find(hash, exposed);
        let Some(shared) = self.shared.as_ref().and_then(|shared| shared.find(hash, exposed)) else {
            return own;
        };
        Some(own.filter(|own| own.1 < shared.1).unwrap_or(shared))
    }

    /// Among the own parts.
    fn find(&self, hash: u64, exposed: &str) -> Option<Found<'_>> {
        let found = |slot: &Slot| Some((entry_at(&self.parts, *slot)?, slot.part as usize, slot.item as usize));
        let (entry, part, item) = match found(self.slots.get(&hash)?) {
            Some(found) if *found.0.exposed == *exposed => found,
            Some(_) | None => found(self.clashes.get(exposed)?)?,
        };
        Some((&entry.target, part, item))
    }

    /// The entries of one upstream that own their names.
    pub(crate) fn owned(&self, part: usize) -> impl Iterator<Item = (usize, &Entry)> {
        let own = self.parts.get(part).filter(|entries| !entries.is_empty());
        let shared = || self.shared.as_ref().and_then(|shared| shared.parts.get(part));
        let entries = own.or_else(shared).map_or(&[][..], |entries| entries);
        let owned = |entry: &Entry| {
            self.get(&entry.exposed)
                .is_some_and(|target| std::ptr::eq(target, &raw const entry.target))
        };
        entries.iter().enumerate().filter(move |(_, entry)| owned(entry))
    }

    /// Takes the name for `slot`, or tells who has it already.
    fn claim(&mut self, parts: &[Entries], entry: &Entry, slot: Slot) -> Option<u32> {
        let Some(taken) = self.slots.get(&entry.hash) else {
            self.slots.insert(entry.hash, slot);
            return None;
        };
        if entry_at(parts, *taken).is_some_and(|owner| owner.exposed == entry.exposed) {
            return Some(taken.part);
        }
        match self.clashes.get(&entry.exposed) {
            Some(taken) => Some(taken.part),
            None => {
                self.clashes.insert(entry.exposed.clone(), slot);
                None
            }
        }
    }
}

fn entry_at(parts: &[Entries], slot: Slot) -> Option<&Entry> {
    parts.get(slot.part as usize)?.get(slot.item as usize)
}

fn hash(exposed: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(exposed.as_bytes());
    hasher.finish()
}

/// For keys that are hashes already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_entries(part: u32, names: &[&str]) -> Entries {
        let entry = |name: &&str| {
            let target = Target {
                upstream: UpstreamIndex(part),
                name: Arc::from(*name),
                token: None,
                params: None,
            };
            Entry::new(Arc::from(*name), target)
        };
        names.iter().map(entry).collect()
    }

    #[test]
    fn the_first_upstream_owns_a_name_and_the_others_are_hidden() {
        let parts = vec![mk_entries(0, &["a", "b"]), mk_entries(1, &["b", "c", "c"])];
        let (index, hidden) = Index::build(parts);
        assert_eq!(index.get("b").unwrap().upstream, UpstreamIndex(0));
        assert_eq!(index.get("c").unwrap().upstream, UpstreamIndex(1));
        assert_eq!(index.get("d"), None);
        let expected = [Hidden { item: 0, owner: 0 }, Hidden { item: 2, owner: 1 }];
        assert_eq!(hidden, [vec![], expected.to_vec()]);
        let owned: Vec<usize> = index.owned(1).map(|(item, _)| item).collect();
        assert_eq!(owned, [1]);
    }

    #[test]
    fn two_names_with_one_hash_are_both_found() {
        let mut entries = mk_entries(0, &["a", "b", "b"]).to_vec();
        for entry in &mut entries {
            entry.hash = hash("a");
        }
        let parts = vec![Entries::from(entries)];
        let (mut index, hidden) = Index::build(parts);
        assert_eq!(hidden, [vec![Hidden { item: 2, owner: 0 }]]);
        // A real clash has the hash of "b" in the table; here it is put there by hand.
        let slot = index.slots[&hash("a")];
        index.slots.insert(hash("b"), slot);
        assert_eq!(&*index.get("a").unwrap().name, "a");
        assert_eq!(&*index.get("b").unwrap().name, "b");
    }
}
