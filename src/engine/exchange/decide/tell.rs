//! What a client says without asking: responses to requests of upstreams, and notifications. Decides who hears it.
//!
//! A response names its upstream by its id (`call::id`). One whose id is not ours answers a request that went to the client
//! untouched, on a session whose client takes none but `ping`: whoever may have asked hears it.
//! Whatever becomes of it, the client gets 202: it has no way to hear of a failure.

use super::plan::Plan;
use crate::engine::call::id::reveal;
use crate::engine::call::{Message, task};
use crate::engine::exchange::step::{Addressee, SessionRef};
use crate::engine::jsonrpc::{Envelope, Shape, Splice};
use crate::engine::mcp::Era;
use crate::engine::session::Binding;
use crate::engine::snapshot::Endpoint;
use bytes::Bytes;
use std::sync::Arc;

/// A message that is passed on, and to whom.
#[derive(Debug, PartialEq)]
pub(in crate::engine::exchange) struct Errand {
    pub(in crate::engine::exchange) to: Addressee,
    pub(in crate::engine::exchange) message: Bytes,
}

/// What to do with a legacy notification or response of a client in its session.
pub(in crate::engine::exchange) fn plan(
    endpoint: &Endpoint,
    session: SessionRef,
    envelope: &Envelope<'_>,
    body: &Bytes,
) -> Plan {
    let errand = match &envelope.shape {
        Shape::Notification { method } => notification(endpoint, envelope, method, body),
        Shape::Response { id } => response(endpoint, session, envelope, id.0, body),
        Shape::Request { .. } => None,
    };
    errand.map_or(Plan::Absorb, Plan::Tell)
}

fn response(
    endpoint: &Endpoint,
    session: SessionRef,
    envelope: &Envelope<'_>,
    id: &str,
    body: &Bytes,
) -> Option<Errand> {
    // Answers a request of the gateway itself.
    if id.starts_with("\"mg:") {
        let to = Addressee::Exchange(id.into());
        let message = body.clone();
        return Some(Errand { to, message });
    }
    let Some((upstream, raw)) = reveal(id) else {
        let to = only(endpoint);
        // Such a client can be sent nothing but `ping`, on a stream that nobody looks at: every answer is `{}`, and who has
        // not asked ignores it.
        let anybodys = to == Addressee::Only && !session.flags.any();
        let to = if anybodys { Addressee::All } else { to };
        let message = body.clone();
        return Some(Errand { to, message });
    };
    let message = own_tasks(endpoint, &upstream, replaced(envelope, id, &raw, body));
    named(endpoint, &upstream).map(|to| Errand { to, message })
}

/// The message with this upstream's tasks under the ids it gave them.
fn own_tasks(endpoint: &Endpoint, upstream: &str, message: Bytes) -> Bytes {
    if endpoint.upstreams.len() < 2 || !task::concerns(&message) {
        return message;
    }
    let own = Message::read(&message).and_then(|read| task::to_upstream(upstream, &read));
    own.unwrap_or(message)
}

fn notification(endpoint: &Endpoint, envelope: &Envelope<'_>, method: &str, body: &Bytes) -> Option<Errand> {
    let message = body.clone();
    match method {
        // Each upstream session was told so when it was opened.
        "notifications/initialized" => None,
        "notifications/cancelled" => {
            let id = envelope.params.raw("requestId")?;
            // Calls of an upstream without sessions are not remembered.
            let to = without_sessions(endpoint).unwrap_or_else(|| Addressee::Owner(id.into()));
            Some(Errand { to, message })
        }
        "notifications/progress" => {
            let token = envelope.params.raw("progressToken")?;
            let Some((upstream, raw)) = reveal(token) else {
                let to = only(endpoint);
                return Some(Errand { to, message });
            };
            let message = own_tasks(endpoint, &upstream, replaced(envelope, token, &raw, body));
            named(endpoint, &upstream).map(|to| Errand { to, message })
        }
        // The client's roots, its tasks, what later revisions or vendors add: whoever knows the client may hear it.
        _ => {
            let to = without_sessions(endpoint).unwrap_or(Addressee::All);
            Some(Errand { to, message })
        }
    }
}

fn replaced(envelope: &Envelope<'_>, token: &str, raw: &str, body: &Bytes) -> Bytes {
    let edits = vec![(envelope.span(token), Bytes::copy_from_slice(raw.as_bytes()))];
    Splice { edits }.apply(body)
}

/// The upstream of this name; `None`: it is not configured (any more).
fn named(endpoint: &Endpoint, name: &str) -> Option<Addressee> {
    let upstream = endpoint.upstreams.iter().find(|upstream| &*upstream.name == name)?;
    let name = Arc::clone(&upstream.name);
    match upstream.speech(Era::Legacy) {
        // It issues no session ids: there is no tie, and none is needed.
        Some(speech) if !speech.stateful => Some(Addressee::Stateless(name, Binding::stateless(speech.version))),
        Some(_) | None => Some(Addressee::Upstream(name)),
    }
}

/// The only upstream, if it issues no session ids: it has no ties to be found by.
fn without_sessions(endpoint: &Endpoint) -> Option<Addressee> {
    Some(only(endpoint)).filter(|to| matches!(to, Addressee::Stateless(..)))
}

/// Whoever sent a message that bears no name.
fn only(endpoint: &Endpoint) -> Addressee {
    match endpoint.upstreams.as_slice() {
        [only] => named(endpoint, &only.name).unwrap_or(Addressee::Only),
        _ => Addressee::Only,
    }
}
