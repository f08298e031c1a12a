//! The calls that one request may lead to, in turn: usually one; several where an unknown resource is asked around,
//! or where all answers together are the answer.

use super::Outgoing;
use super::gather::Gathered;
use crate::engine::mcp::Era;
use crate::engine::snapshot::Speech;
use bytes::Bytes;
use std::collections::VecDeque;

/// The calls to try in turn; usually one.
#[derive(Debug, Default)]
pub(in crate::engine::exchange) struct Calls {
    current: Option<Outgoing>,
    next: VecDeque<Outgoing>,
    /// Several are asked: an answer "not found" leads to the next.
    around: bool,
    /// All are asked, and this is what came of it so far.
    gathered: Option<Box<Gathered>>,
    /// The tie is for this exchange alone.
    pub(in crate::engine::exchange) one_shot: bool,
    /// What spoke for the caller of the current one was refused, and is made anew: once.
    pub(super) renewed: bool,
}

impl Calls {
    pub(in crate::engine::exchange) fn new(calls: Vec<Outgoing>) -> Self {
        Self {
            current: None,
            around: calls.len() > 1,
            next: calls.into(),
            gathered: None,
            one_shot: false,
            renewed: false,
        }
    }

    /// Calls whose answers are gathered into one.
    pub(in crate::engine::exchange) fn gathering(calls: Vec<Outgoing>) -> Self {
        Self {
            around: false,
            gathered: Some(Box::default()),
            ..Self::new(calls)
        }
    }

    /// What came of calls that are gathered; `None`: they are not.
    pub(in crate::engine::exchange) fn gathered_mut(&mut self) -> Option<&mut Gathered> {
        self.gathered.as_deref_mut()
    }

    pub(in crate::engine::exchange) const fn is_gathering(&self) -> bool {
        self.gathered.is_some()
    }

    /// An answer must be read as a whole before it is known what comes next.
    pub(in crate::engine::exchange) const fn reads_answers(&self) -> bool {
        self.around || self.is_gathering()
    }

    /// Goes to the next one.
    pub(in crate::engine::exchange) fn advance(&mut self) -> Option<&Outgoing> {
        self.current = self.next.pop_front();
        self.renewed = false;
        self.current.as_ref()
    }

    pub(in crate::engine::exchange) const fn current(&self) -> Option<&Outgoing> {
        self.current.as_ref()
    }

    pub(super) const fn current_mut(&mut self) -> Option<&mut Outgoing> {
        self.current.as_mut()
    }

    pub(in crate::engine::exchange) const fn asking_around(&self) -> bool {
        self.around
    }

    pub(in crate::engine::exchange) fn held(&self) -> usize {
        self.current.as_ref().map_or(0, |call| call.body.len())
    }

    /// How the upstream in turn speaks to a client of `client` era.
    pub(in crate::engine::exchange) fn spoken_to(&self, client: Era) -> Option<(Era, Speech)> {
        self.current.as_ref().and_then(|call| call.upstream.spoken_to(client))
    }

    /// Nobody is left after the current one.
    pub(in crate::engine::exchange) fn is_last(&self) -> bool {
        self.next.is_empty()
    }

    /// No call is made any more: their bodies are given up.
    pub(in crate::engine::exchange) fn settle(&mut self) {
        self.next.clear();
        if let Some(call) = &mut self.current {
            call.body = Bytes::new();
        }
    }

    /// For messages: remembers `call` as the current one where none is.
    pub(in crate::engine::exchange) fn or(mut self, call: Outgoing) -> Self {
        self.current.get_or_insert(call);
        self
    }
}
