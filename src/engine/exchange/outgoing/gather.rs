//! `tasks/list` (2025-11-25) where several upstreams have tasks: they are asked in turn, and one list comes of it.
//!
//! An upstream that does not answer is left out: its tasks are not there either. Pages are as the upstreams cut them, one
//! of each together; the cursor says where each goes on.

use super::calls::Calls;
use crate::engine::call::message::object;
use crate::engine::call::task::Cursors;
use crate::engine::call::{Kind, Message};
use crate::engine::exchange::reject::{Reject, Trouble};
use crate::engine::exchange::step::{Answer, Step};
use crate::engine::exchange::{Exchange, Request, answer};
use bytes::Bytes;
use std::sync::Arc;

/// What was answered so far.
#[derive(Debug, Default)]
pub(in crate::engine::exchange) struct Gathered {
    /// The items of each answer, without brackets.
    items: Vec<Bytes>,
    cursors: Cursors,
    /// Somebody answered with a list.
    answered: bool,
    /// The first JSON-RPC error.
    refusal: Option<Bytes>,
    /// The first that gave no answer, and why.
    missed: Option<(Trouble, Arc<str>)>,
}

impl Gathered {
    /// Takes the answer of one upstream, in which ids of tasks name it already.
    pub(in crate::engine::exchange) fn take(&mut self, upstream: &str, answer: Bytes) {
        let message = Message::read(&answer);
        let result = message.as_ref().and_then(|message| match &message.kind {
            Kind::Response { result, .. } => result.and_then(object),
            Kind::Request { .. } | Kind::Notification { .. } => None,
        });
        let Some(result) = result else {
            self.refusal.get_or_insert(answer);
            return;
        };
        self.answered = true;
        if let Some(cursor) = result.string("nextCursor") {
            self.cursors.insert(upstream, &cursor);
        }
        let list = result.raw("tasks").unwrap_or_default().trim();
        let items = list.strip_prefix('[').and_then(|list| list.strip_suffix(']'));
        let items = items.unwrap_or_default().trim();
        if !items.is_empty() {
            self.items.push(Bytes::copy_from_slice(items.as_bytes()));
        }
    }

    /// An upstream gave no answer.
    fn miss(&mut self, upstream: &Arc<str>, trouble: Trouble) {
        self.missed.get_or_insert_with(|| (trouble, Arc::clone(upstream)));
    }

    /// The pieces of the merged `result`.
    fn result(&self) -> Vec<Bytes> {
        let mut pieces = vec![Bytes::from_static(br#"{"tasks":["#)];
        for (at, items) in self.items.iter().enumerate() {
            if at > 0 {
                pieces.push(Bytes::from_static(b","));
            }
            pieces.push(items.clone());
        }
        pieces.push(Bytes::from_static(b"]"));
        if !self.cursors.is_empty() {
            pieces.push(format!(r#","nextCursor":"{}""#, self.cursors.write()).into());
        }
        pieces.push(Bytes::from_static(b"}"));
        pieces
    }
}

impl Exchange {
    /// Everybody was asked.
    pub(in crate::engine::exchange) fn gathered(&mut self, request: &Request, gathered: &mut Gathered) -> Step {
        if gathered.answered {
            return self.answer(request, answer::result(request.id(), &gathered.result()));
        }
        if let Some(refusal) = gathered.refusal.take() {
            let refusal = Answer {
                body: vec![refusal],
                ..answer::result(None, &[])
            };
            return self.answer(request, refusal);
        }
        match gathered.missed.take() {
            Some((trouble, upstream)) => self.reject(&Reject::Upstream(trouble, upstream), request.id()),
            None => self.answer(request, answer::result(request.id(), &gathered.result())),
        }
    }

    /// Goes on after an upstream that was asked together with others gave no answer.
    pub(in crate::engine::exchange) fn gather_on(
        &mut self,
        request: Box<Request>,
        mut calls: Calls,
        trouble: Trouble,
    ) -> Step {
        let upstream = calls.current().map(|call| Arc::clone(&call.upstream.name));
        if let (Some(gathered), Some(upstream)) = (calls.gathered_mut(), upstream) {
            gathered.miss(&upstream, trouble);
        }
        self.tie(request, calls)
    }
}
