//! What is to be done with a message on a transparent path: always the same, if it can be judged at all.

use super::plan::Plan;
use super::route;
use super::sender::{self, Sender};
use crate::engine::exchange::event::Headers;
use crate::engine::exchange::outgoing::{Outgoing, Patience, Routed};
use crate::engine::exchange::reject::Reject;
use crate::engine::jsonrpc::{Envelope, EnvelopeError, Shape};
use crate::engine::mcp::Method;
use crate::engine::session::Delegation;
use crate::engine::snapshot::Endpoint;
use bytes::Bytes;
use std::sync::Arc;

/// To the server, unless header and body disagree about what it is.
pub(super) fn plan(
    endpoint: &Endpoint,
    client: &Headers,
    envelope: &Envelope<'_>,
    body: &Bytes,
    sender: &Sender,
) -> Result<Plan, Reject> {
    // A server may carry out a request that waits for no answer; rules judge requests.
    if sender.known.is_some() && !matches!(envelope.shape, Shape::Request { .. }) {
        return Err(Reject::Envelope(EnvelopeError::WrongType("a request must have an id")));
    }
    let key = match sender.known {
        Some(Method::ToolsCall | Method::PromptsGet) => Some("name"),
        Some(Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe) => Some("uri"),
        Some(_) | None => None,
    };
    let name = match key {
        Some("uri") => Some(route::parameter(envelope, "uri", "params.uri must be a string")?.1),
        Some(_) => Some(route::parameter(envelope, "name", "params.name must be a string")?.1),
        None => None,
    };
    // Who reads the headers instead of the body must come to the same.
    sender::mirrors(client, sender.method.as_deref(), name.as_deref())?;
    let call = outgoing(endpoint, body.clone(), Patience::Usual);
    Ok(Plan::Call(Routed {
        calls: call.into_iter().collect(),
        gather: false,
        name: name.map(Into::into),
    }))
}

/// To the endpoint's only server.
pub(in crate::engine::exchange) fn outgoing(endpoint: &Endpoint, body: Bytes, patience: Patience) -> Option<Outgoing> {
    let upstream = endpoint.upstreams.first()?;
    Some(Outgoing {
        upstream: Arc::clone(upstream),
        body,
        renamed: None,
        params: None,
        tasks: false,
        patience,
        subscription: None,
        delegation: Delegation::NONE,
    })
}
