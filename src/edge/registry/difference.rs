//! What differs between two assignments, cut into pieces that fit a message; and the way back. Pure.
//!
//! What did not change keeps its `Arc` on both sides: comparing two assignments, here and in whoever receives them, costs
//! a pointer for each upstream.

use super::codec::{self, Unreadable, Unsendable};
use super::proto;
use crate::engine::assignment::Assignment;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Bytes after which a piece is closed. gRPC's usual limit of a message is 4 MiB, an upstream with its certificate
/// authorities has up to 0.3 MiB.
const PIECE: usize = 512 << 10;

/// Why an upstream is left out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// It cannot be sent.
    #[error(transparent)]
    Unsendable(Unsendable),
    /// No processor could use it.
    #[error(transparent)]
    Unreadable(Unreadable),
}

/// By the upstream's name.
pub(super) type Unfits = Vec<(Arc<str>, Unfit)>;

/// Why an update cannot be applied.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApplyError {
    /// Something in it is of no use here.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It does not hold together.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
}

/// An assignment that does not hold together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    /// An endpoint names an upstream that is not there.
    #[error("endpoint {endpoint:?} names upstream {upstream:?}, which is not there")]
    Missing {
        /// Its id.
        endpoint: Arc<str>,
        /// Its name.
        upstream: Arc<str>,
    },
    /// Two endpoints, or one twice, name the same upstream.
    #[error("endpoint {endpoint:?} names upstream {upstream:?}, which is somebody's already")]
    Taken {
        /// Its id.
        endpoint: Arc<str>,
        /// Its name.
        upstream: Arc<str>,
    },
    /// No endpoint names an upstream.
    #[error("no endpoint names upstream {0:?}")]
    Orphan(Arc<str>),
    /// A key of the map is not the name of what is there.
    #[error("{0:?} stands under another name")]
    Misplaced(Arc<str>),
}

/// Whether every upstream belongs to exactly one endpoint.
///
/// # Errors
/// See [`Inconsistent`].
pub(super) fn check(assignment: &Assignment) -> Result<(), Inconsistent> {
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    for (id, endpoint) in &assignment.endpoints {
        if *id != endpoint.id {
            return Err(Inconsistent::Misplaced(Arc::clone(id)));
        }
        for name in &endpoint.upstreams {
            let (endpoint, upstream) = (Arc::clone(id), Arc::clone(name));
            if !assignment.upstreams.contains_key(name) {
                return Err(Inconsistent::Missing { endpoint, upstream });
            }
            if !taken.insert(name) {
                return Err(Inconsistent::Taken { endpoint, upstream });
            }
        }
    }
    for (name, upstream) in &assignment.upstreams {
        if **name != *upstream.name {
            return Err(Inconsistent::Misplaced(Arc::clone(name)));
        }
        if !taken.contains(&**name) {
            return Err(Inconsistent::Orphan(Arc::clone(name)));
        }
    }
    Ok(())
}

/// The pieces that make `new` of `old`; of nothing, if there is no old one. There is always at least one piece.
///
/// # Errors
/// Something in it must not be sent.
pub(super) fn pieces(
    old: Option<(u64, &Assignment)>,
    new: &Assignment,
    position: &proto::Position,
) -> Result<VecDeque<proto::Update>, Unsendable> {
    let nothing = Assignment::default();
    let (base, old) = old.unwrap_or((0, &nothing));
    let mut cut = Cut {
        position,
        base,
        done: VecDeque::new(),
        size: 0,
        piece: proto::Update::default(),
    };
    for upstream in changed(&old.upstreams, &new.upstreams) {
        let message = codec::write_upstream(upstream)?;
        cut.room(message.encoded_len()).upstreams.push(message);
    }
    for endpoint in changed(&old.endpoints, &new.endpoints) {
        let message = codec::write_endpoint(endpoint);
        cut.room(message.encoded_len()).endpoints.push(message);
    }
    for name in gone(&old.upstreams, &new.upstreams) {
        cut.room(name.len()).upstreams_gone.push(name.to_string());
    }
    for id in gone(&old.endpoints, &new.endpoints) {
        cut.room(id.len()).endpoints_gone.push(id.to_string());
    }
    Ok(cut.end())
}

/// The assignment without the upstreams that cannot be sent or used, and why: one must not cost the others their change.
/// Only what differs is tried.
///
/// # Errors
/// An endpoint cannot be used.
pub(super) fn fit(old: &Assignment, new: Arc<Assignment>) -> Result<(Arc<Assignment>, Unfits), Unreadable> {
    for endpoint in changed(&old.endpoints, &new.endpoints) {
        codec::read_endpoint(codec::write_endpoint(endpoint))?;
    }
    let mut unfit = Vec::new();
    for upstream in changed(&old.upstreams, &new.upstreams) {
        let tried = codec::write_upstream(upstream).map_err(Unfit::Unsendable);
        if let Err(error) = tried.and_then(|raw| codec::read_upstream(raw).map_err(Unfit::Unreadable)) {
            unfit.push((Arc::from(upstream.name.as_str()), error));
        }
    }
    if unfit.is_empty() {
        return Ok((new, Vec::new()));
    }
    let mut rest = Arc::unwrap_or_clone(new);
    for (name, _) in &unfit {
        rest.upstreams.remove(name);
    }
    for endpoint in rest.endpoints.values_mut() {
        if endpoint
            .upstreams
            .iter()
            .any(|name| unfit.iter().any(|(unfit, _)| unfit == name))
        {
            let endpoint = Arc::make_mut(endpoint);
            endpoint
                .upstreams
                .retain(|name| !unfit.iter().any(|(unfit, _)| unfit == name));
        }
    }
    Ok((Arc::new(rest), unfit))
}

/// Applies an update, all its pieces in order, to what is held. What it tells anew but unchanged keeps its `Arc`.
///
/// # Errors
/// See [`ApplyError`]; nothing is applied then.
pub(super) fn apply(held: &Assignment, pieces: Vec<proto::Update>) -> Result<Assignment, ApplyError> {
    let whole = pieces.first().is_none_or(|piece| piece.base == 0);
    let mut new = if whole { Assignment::default() } else { held.clone() };
    for piece in pieces {
        for id in &piece.endpoints_gone {
            new.endpoints.remove(&**id);
        }
        for name in &piece.upstreams_gone {
            new.upstreams.remove(&**name);
        }
        for raw in piece.endpoints {
            let endpoint = codec::read_endpoint(raw)?;
            insert(&mut new.endpoints, &held.endpoints, Arc::clone(&endpoint.id), endpoint);
        }
        for raw in piece.upstreams {
            let upstream = codec::read_upstream(raw)?;
            insert(
                &mut new.upstreams,
                &held.upstreams,
                upstream.name.as_str().into(),
                upstream,
            );
        }
    }
    check(&new)?;
    Ok(new)
}

fn insert<V: PartialEq>(
    new: &mut BTreeMap<Arc<str>, Arc<V>>,
    held: &BTreeMap<Arc<str>, Arc<V>>,
    key: Arc<str>,
    value: V,
) {
    let value = match held.get(&key) {
        Some(known) if **known == value => Arc::clone(known),
        Some(_) | None => Arc::new(value),
    };
    new.insert(key, value);
}

fn changed<'a, V: PartialEq>(
    old: &'a BTreeMap<Arc<str>, Arc<V>>,
    new: &'a BTreeMap<Arc<str>, Arc<V>>,
) -> impl Iterator<Item = &'a Arc<V>> {
    let differs = |key: &str, value: &Arc<V>| !old.get(key).is_some_and(|old| Arc::ptr_eq(old, value) || old == value);
    new.iter()
        .filter(move |(key, value)| differs(key, value))
        .map(|(_, value)| value)
}

fn gone<'a, V>(
    old: &'a BTreeMap<Arc<str>, Arc<V>>,
    new: &'a BTreeMap<Arc<str>, Arc<V>>,
) -> impl Iterator<Item = &'a Arc<str>> {
    old.keys().filter(|key| !new.contains_key(*key))
}

/// An update being cut.
struct Cut<'a> {
    position: &'a proto::Position,
    base: u64,
    done: VecDeque<proto::Update>,
    size: usize,
    piece: proto::Update,
}

impl Cut<'_> {
    /// The piece that takes so many bytes more.
    fn room(&mut self, bytes: usize) -> &mut proto::Update {
        if self.size > 0 && self.size + bytes > PIECE {
            self.close(true);
        }
        self.size += bytes;
        &mut self.piece
    }

    fn close(&mut self, more: bool) {
        let mut piece = std::mem::take(&mut self.piece);
        piece.position = Some(self.position.clone());
        piece.base = self.base;
        piece.more = more;
        self.done.push_back(piece);
        self.size = 0;
    }

    fn end(mut self) -> VecDeque<proto::Update> {
        self.close(false);
        self.done
    }
}

#[cfg(test)]
pub(super) mod tests;
