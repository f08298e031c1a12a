//! How often who may do what, and how much at once: every exchange is counted before it is carried out, whichever way it is
//! handled.
//!
//! Which limits apply is decided here, counting is the edge's: a question that is answered in the same turn where nobody
//! else is asked. What is wrong with a request does not exempt it. An endpoint without limits asks nothing.

use super::plan::Plan;
use crate::engine::exchange::reject::Reject;
use crate::engine::exchange::step::{Question, Step};
use crate::engine::exchange::{Exchange, Request, Then};
use crate::engine::mcp::Method;
use crate::engine::policy::place::{self, Lasting, Place};
use crate::engine::policy::rate::{Charge, Exhausted, Facts, charges};
use crate::engine::session::Timestamp;
use std::sync::Arc;

/// What is done once the request is counted.
#[derive(Debug)]
pub(in crate::engine::exchange) enum Intent {
    /// Carry this out.
    Begin(Plan),
    /// Find this out first.
    Ask(Question, Box<Then>),
    /// Say what is wrong.
    Refuse(Reject),
}

impl Intent {
    /// Bytes of request body held meanwhile.
    pub(in crate::engine::exchange) fn held(&self) -> usize {
        match self {
            Self::Begin(plan) => plan.held(),
            Self::Ask(..) | Self::Refuse(_) => 0,
        }
    }
}

impl Exchange {
    /// Counts the request, then goes on with it.
    pub(in crate::engine::exchange) fn admit(&mut self, request: Box<Request>, intent: Intent, now: Timestamp) -> Step {
        let charges = self.charges(&request, &intent);
        if charges.is_empty() {
            return self.admitted(request, intent, now);
        }
        self.ask(request, Question::Admit(charges), Then::Admit(intent))
    }

    /// It was counted; what lasts takes its places.
    pub(in crate::engine::exchange) fn admitted(
        &mut self,
        request: Box<Request>,
        intent: Intent,
        now: Timestamp,
    ) -> Step {
        let places = places_of(&request, &intent);
        if places.is_empty() {
            return self.placed(request, intent, now);
        }
        self.ask(request, Question::Hold(places), Then::Hold(intent))
    }

    /// It may go on.
    pub(in crate::engine::exchange) fn placed(
        &mut self,
        request: Box<Request>,
        intent: Intent,
        now: Timestamp,
    ) -> Step {
        match intent {
            Intent::Begin(plan) => self.begin(request, plan, now),
            Intent::Ask(question, then) => {
                // GET and DELETE.
                let refreshed = Self::refreshed(&request, None);
                let mut step = self.ask(request, question, *then);
                step.commands.splice(0..0, refreshed);
                step
            }
            Intent::Refuse(reject) => self.reject(&reject, request.id()),
        }
    }

    /// A bucket is empty: whatever the request was about, it is told when to come back.
    pub(in crate::engine::exchange) fn exhausted(
        &mut self,
        request: &Request,
        intent: &Intent,
        exhausted: Box<Exhausted>,
    ) -> Step {
        if let Intent::Begin(Plan::Call(routed)) = intent {
            self.record.tool.clone_from(&routed.name);
            let upstream = routed.calls.first().map(|call| Arc::clone(&call.upstream.name));
            self.record.upstream = upstream;
        }
        self.record.rule = Some(Arc::clone(&exhausted.quota.limit));
        self.reject(&Reject::RateLimited(exhausted), request.id())
    }

    fn charges(&self, request: &Request, intent: &Intent) -> Vec<Charge> {
        let limits = &request.endpoint.rate_limits;
        if limits.is_empty() {
            return Vec::new();
        }
        let (tool, upstreams) = match intent {
            Intent::Begin(Plan::Call(routed)) => {
                let upstreams = routed.calls.iter().map(|call| Arc::clone(&call.upstream.name));
                let tool = (request.sender.known == Some(Method::ToolsCall))
                    .then_some(routed.name.as_deref())
                    .flatten();
                (tool, upstreams.collect())
            }
            Intent::Begin(_) | Intent::Ask(..) | Intent::Refuse(_) => (None, Vec::new()),
        };
        let facts = Facts {
            address: self.record.client.as_deref().unwrap_or(""),
            principal: request.identity.principal.as_deref(),
            session: self.record.session.as_deref(),
            method: request.sender.method.as_deref(),
            tool,
            upstreams: &upstreams,
        };
        charges(limits, &facts)
    }
}

fn places_of(request: &Request, intent: &Intent) -> Vec<Place> {
    let limits = &request.endpoint.limits;
    // The hash of a principal costs more than all the rest here.
    if !limits.counts_calls() && limits.streams_per_principal.is_none() {
        return Vec::new();
    }
    let lasting = match intent {
        Intent::Begin(Plan::Call(_)) => Lasting::Call,
        Intent::Begin(Plan::Listen(_)) => Lasting::Stream,
        Intent::Ask(_, then) if matches!(**then, Then::Get) => Lasting::Stream,
        Intent::Begin(_) | Intent::Ask(..) | Intent::Refuse(_) => return Vec::new(),
    };
    let session = request.sender.session.map(|session| session.key.0);
    place::places(limits, lasting, session, request.identity.hash())
}
