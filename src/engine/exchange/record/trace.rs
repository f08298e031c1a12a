//! To which trace an exchange belongs, and what its upstream is told of that.
//!
//! What the message itself says (`_meta`, SEP-414) is the parent; else it is who brought it: Envoy, which names its span
//! beside the stream, or the client's own headers. Whoever the parent is, it decides whether the trace is kept. Upstream the
//! call bears the span of the call, in `_meta` and, where the processor makes it, in the headers. Without tracing, and in
//! a trace that is not kept, no byte is touched.

use crate::engine::exchange::event::Headers;
use crate::engine::exchange::step::{Call, Command, Step};
use crate::engine::exchange::{Arrival, Exchange};
use crate::engine::jsonrpc::splice::quote;
use crate::engine::jsonrpc::{Envelope, Shape, Splice};
use crate::engine::mcp::Method;
use crate::engine::mcp::trace::{self, Ratio, TRACEPARENT, TRACESTATE, TraceContext};
use bytes::Bytes;
use memchr::memmem;
use std::time::Duration;

/// What an exchange that may be traced is given.
#[derive(Debug)]
pub struct Tracing {
    /// Whose stream it is, where that is told.
    pub ambient: Option<Box<Carried>>,
    /// How many of the traces that begin here are kept.
    pub ratio: Ratio,
    /// Random: the id of a trace that begins here.
    pub trace: u128,
    /// Random: the ids of two spans.
    pub spans: [u64; 2],
}

/// A span as somebody told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Which.
    pub context: TraceContext,
    /// What else was said of its trace.
    pub state: Option<Box<str>>,
}

/// Where an exchange stands in a trace that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// Its own span.
    pub own: TraceContext,
    /// The span that its own is a child of; `None`: the trace begins here.
    pub parent: Option<u64>,
    /// The span that brought the message, where that is not the parent.
    pub link: Option<TraceContext>,
    /// Of the parent's.
    pub state: Option<Box<str>>,
    /// The raw JSON id of the request.
    pub id: Box<str>,
    /// The span of the call to the upstream, where one is made.
    pub call: u64,
    /// When that began, after the exchange had.
    pub called: Option<Duration>,
}

impl Carried {
    /// Out of a `traceparent` and the `tracestate` beside it; `None`: there is no such span.
    #[must_use]
    pub fn read(parent: Option<&str>, state: Option<&str>) -> Option<Self> {
        Some(Self {
            context: TraceContext::parse(parent?)?,
            state: state.and_then(trace::state).map(Into::into),
        })
    }

    fn of_headers(headers: &Headers) -> Option<Self> {
        Self::read(headers.text(TRACEPARENT), headers.text(TRACESTATE))
    }

    fn of_meta(envelope: &Envelope<'_>) -> Option<Self> {
        let meta = envelope.meta.as_ref()?;
        let text = |key| meta.string(key);
        Self::read(text(TRACEPARENT).as_deref(), text(TRACESTATE).as_deref())
    }
}

impl Traced {
    /// What the upstream is told.
    const fn outgoing(&self) -> TraceContext {
        TraceContext {
            span: self.call,
            ..self.own
        }
    }
}

impl Exchange {
    /// The same, perhaps as part of a trace.
    #[must_use]
    pub fn traced(mut self, tracing: Tracing) -> Self {
        self.tracing = Some(Box::new(tracing));
        self
    }

    /// Finds out whether this request belongs to a trace that is kept; the body as the upstream is to see it then.
    pub(in crate::engine::exchange) fn trace(&mut self, arrival: &Arrival, body: Bytes) -> Bytes {
        let Some(tracing) = self.tracing.take() else {
            return body;
        };
        let Some((traced, spliced)) = tracing.decide(arrival, &body) else {
            return body;
        };
        self.record.trace = Some(Box::new(traced));
        spliced.unwrap_or(body)
    }

    /// The upstream is turned to.
    pub(in crate::engine::exchange) fn note_call(&mut self) {
        if let Some(traced) = &mut self.record.trace {
            traced.called = Some(self.elapsed);
        }
    }

    /// Somebody may want to know when the upstream was turned to.
    #[must_use]
    pub const fn may_be_traced(&self) -> bool {
        self.tracing.is_some() || self.record.trace.is_some()
    }

    /// So long after its beginning the next event comes.
    pub const fn set_elapsed(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
    }

    /// What upstreams are told.
    pub(in crate::engine::exchange) fn span_of_call(&self) -> Option<TraceContext> {
        self.record.trace.as_deref().map(Traced::outgoing)
    }

    /// Tells upstreams that the processor calls to which span they belong.
    pub(in crate::engine::exchange) fn trace_calls(&self, step: &mut Step) {
        let Some(traced) = &self.record.trace else { return };
        for command in &mut step.commands {
            if let Command::Call(call) = command {
                tell(call, traced);
            } else if let Command::Attend(attended) = command {
                tell(&mut attended.call, traced);
            }
        }
    }
}

fn tell(call: &mut Call, traced: &Traced) {
    let is_told = |name: &[u8]| name == TRACEPARENT.as_bytes() || name == TRACESTATE.as_bytes();
    call.passed = call.passed.filtered(|name| !is_told(name));
    let parent = traced.outgoing().to_string();
    call.headers.push((TRACEPARENT.into(), parent.into()));
    if let Some(state) = &traced.state {
        call.headers.push((TRACESTATE.into(), state.to_string().into()));
    }
}

impl Tracing {
    /// `None`: it is not kept. The body is there if it changes.
    fn decide(self, arrival: &Arrival, body: &Bytes) -> Option<(Traced, Option<Bytes>)> {
        let ambient = self
            .ambient
            .map(|ambient| *ambient)
            .or_else(|| Carried::of_headers(&arrival.headers));
        let kept = |carried: Option<&Carried>| {
            carried.map_or_else(|| self.ratio.keeps(self.trace), |carried| carried.context.sampled)
        };
        let may_say = memmem::find(body, TRACEPARENT.as_bytes()).is_some();
        if !may_say && !kept(ambient.as_ref()) {
            return None;
        }
        let envelope = Envelope::scan(body, arrival.endpoint.limits.depth).ok()?;
        let Shape::Request { id, method } = &envelope.shape else {
            return None;
        };
        let said = Carried::of_meta(&envelope);
        let link = said.as_ref().and(ambient.as_ref()).map(|ambient| ambient.context);
        let parent = said.or(ambient);
        if !kept(parent.as_ref()) {
            return None;
        }
        let traced = Traced {
            own: TraceContext {
                trace: parent.as_ref().map_or(self.trace, |parent| parent.context.trace),
                span: self.spans[0],
                sampled: true,
            },
            parent: parent.as_ref().map(|parent| parent.context.span),
            link,
            state: parent.and_then(|parent| parent.state),
            id: id.0.into(),
            call: self.spans[1],
            called: None,
        };
        let goes_on = arrival.endpoint.transparent.is_none() && Method::parse(method).is_some_and(reaches_upstreams);
        let spliced = goes_on.then(|| splice(&envelope, &traced).apply(body));
        Some((traced, spliced))
    }
}

const fn reaches_upstreams(method: Method) -> bool {
    match method {
        Method::ToolsCall
        | Method::PromptsGet
        | Method::ResourcesRead
        | Method::ResourcesSubscribe
        | Method::ResourcesUnsubscribe
        | Method::Complete
        | Method::TasksGet
        | Method::TasksUpdate
        | Method::TasksResult
        | Method::TasksCancel => true,
        Method::Initialize
        | Method::Discover
        | Method::Ping
        | Method::ToolsList
        | Method::PromptsList
        | Method::ResourcesList
        | Method::ResourceTemplatesList
        | Method::SetLevel
        | Method::Listen
        | Method::TasksList => false,
    }
}

/// Writes the span of the call into `_meta`.
fn splice(envelope: &Envelope<'_>, traced: &Traced) -> Splice {
    let parent = quote(&traced.outgoing().to_string());
    let Some((meta, raw)) = envelope.meta.as_ref().zip(envelope.params.raw("_meta")) else {
        // Behind the first parameter: a request that reaches an upstream has one.
        let first = envelope.params.members.first().map(|(_, raw)| envelope.span(raw).end);
        let members = members(&parent, traced.state.as_deref());
        let edit = first.map(|at| (at..at, [b",\"_meta\":{", &*members, b"}"].concat().into()));
        return Splice {
            edits: edit.into_iter().collect(),
        };
    };
    if let Some(old) = meta.raw(TRACEPARENT) {
        return Splice {
            edits: vec![(envelope.span(old), parent)],
        };
    }
    let at = envelope.span(raw).start + 1;
    let state = traced.state.as_deref().filter(|_| meta.raw(TRACESTATE).is_none());
    let comma: &[u8] = if meta.members.is_empty() { b"" } else { b"," };
    Splice {
        edits: vec![(at..at, [&*members(&parent, state), comma].concat().into())],
    }
}

fn members(parent: &Bytes, state: Option<&str>) -> Vec<u8> {
    let mut members = [b"\"traceparent\":", &**parent].concat();
    if let Some(state) = state {
        members.extend_from_slice(b",\"tracestate\":");
        members.extend_from_slice(&quote(state));
    }
    members
}

#[cfg(test)]
mod tests;
