//! Requests about tasks: found by the task's id, which names its upstream where there are several.
//!
//! Tasks are of one era: a task of an upstream that the client reaches by translation is unknown to it.

use super::route;
use crate::engine::call::task::{self, Cursors};
use crate::engine::exchange::event::Headers;
use crate::engine::exchange::outgoing::{Outgoing, Patience, Routed};
use crate::engine::exchange::reject::{Reject, Trouble};
use crate::engine::jsonrpc::splice::quote;
use crate::engine::jsonrpc::{Envelope, Splice};
use crate::engine::mcp::capabilities::TASKS_EXTENSION;
use crate::engine::mcp::{Era, Method};
use crate::engine::session::Delegation;
use crate::engine::snapshot::{Endpoint, Upstream};
use bytes::Bytes;
use std::sync::Arc;

const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// Finds out whose task this request is about.
pub(in crate::engine::exchange) fn route(
    endpoint: &Endpoint,
    era: Era,
    method: Method,
    envelope: &Envelope<'_>,
    headers: &Headers,
    body: &Bytes,
) -> Result<Routed, Reject> {
    offered(endpoint, era)?;
    let (raw, id) = route::parameter(envelope, "taskId", "params.taskId must be a string")?;
    route::mirrored(era, headers, &id)?;
    let owned = match endpoint.upstreams.as_slice() {
        [only] => Owned {
            upstream: only,
            id: None,
        },
        _ => owner(endpoint, era, &id)?,
    };
    route::usable(owned.upstream)?;
    let splice = Splice {
        edits: owned.id.iter().map(|id| (envelope.span(raw), quote(id))).collect(),
    };
    let patience = if method == Method::TasksResult {
        // It answers when the task is done.
        Patience::Endless
    } else {
        Patience::Usual
    };
    let call = Outgoing {
        upstream: Arc::clone(owned.upstream),
        body: splice.apply(body),
        renamed: owned.id.map(Arc::from),
        params: None,
        tasks: owned.id.is_some(),
        patience,
        subscription: None,
        delegation: Delegation::NONE,
    };
    Ok(Routed {
        calls: vec![call],
        gather: false,
        name: Some(id.as_ref().into()),
    })
}

/// Finds out who has tasks to list (2025-11-25). The only upstream answers itself; of several, those that can list are
/// asked, on later pages those that have more.
pub(in crate::engine::exchange) fn list(
    endpoint: &Endpoint,
    era: Era,
    envelope: &Envelope<'_>,
    body: &Bytes,
) -> Result<Routed, Reject> {
    offered(endpoint, era)?;
    if let [only] = endpoint.upstreams.as_slice() {
        route::usable(only)?;
        return Ok(Routed {
            calls: vec![page(only, body.clone(), Patience::Usual)],
            gather: false,
            name: None,
        });
    }
    let cursor = match envelope.params.raw("cursor") {
        None | Some("null") => None,
        Some(raw) => {
            let cursors = envelope.params.string("cursor").and_then(|text| Cursors::read(&text));
            Some((raw, cursors.ok_or(Reject::FOREIGN_CURSOR)?))
        }
    };
    let can = |upstream: &&Arc<Upstream>| {
        upstream.speech(era).is_some_and(|speech| speech.tasks_list) && route::usable(upstream).is_ok()
    };
    let call = |upstream: &Arc<Upstream>| {
        let Some((raw, cursors)) = &cursor else {
            return Some(page(upstream, body.clone(), Patience::Brief));
        };
        let splice = Splice {
            edits: vec![(envelope.span(raw), quote(cursors.of(&upstream.name)?))],
        };
        Some(page(upstream, splice.apply(body), Patience::Brief))
    };
    Ok(Routed {
        calls: endpoint.upstreams.iter().filter(can).filter_map(call).collect(),
        gather: true,
        name: None,
    })
}

/// One page of one upstream's tasks; brief patience: of one among several.
fn page(upstream: &Arc<Upstream>, body: Bytes, patience: Patience) -> Outgoing {
    Outgoing {
        upstream: Arc::clone(upstream),
        body,
        renamed: None,
        params: None,
        tasks: patience == Patience::Brief,
        patience,
        subscription: None,
        delegation: Delegation::NONE,
    }
}

/// True if the answer to this `tools/call` may be a task whose id needs its upstream's name: the upstream begins tasks only
/// for those who ask for one (2025-11-25) or declare that they can take one (2026-07-28).
pub(super) fn may_begin(endpoint: &Endpoint, upstream: &Upstream, era: Era, envelope: &Envelope<'_>) -> bool {
    let able = upstream.speech(era).is_some_and(|speech| speech.tasks);
    if endpoint.upstreams.len() < 2 || !able {
        return false;
    }
    match era {
        Era::Legacy => envelope.params.raw("task").is_some(),
        Era::Modern => is_declared(envelope),
    }
}

/// True if this modern request comes from a client that can take tasks.
pub(super) fn is_declared(envelope: &Envelope<'_>) -> bool {
    let capabilities = envelope
        .meta
        .as_ref()
        .and_then(|meta| meta.object(CLIENT_CAPABILITIES).ok().flatten());
    let extensions = capabilities.and_then(|declared| declared.object("extensions").ok().flatten());
    extensions.is_some_and(|extensions| extensions.raw(TASKS_EXTENSION).is_some())
}

/// Refuses the method where nobody has tasks. The only upstream is always asked, if it speaks the client's era.
fn offered(endpoint: &Endpoint, era: Era) -> Result<(), Reject> {
    let able = |upstream: &Arc<Upstream>| match (upstream.speech(era), endpoint.upstreams.len()) {
        (Some(_), 1) => true,
        (Some(speech), _) => speech.tasks,
        // Nothing is known of it: unavailable rather than unknown.
        (None, _) => !upstream.is_listed(),
    };
    if endpoint.upstreams.iter().any(able) {
        Ok(())
    } else {
        Err(Reject::UnknownMethod(era))
    }
}

/// Whose task this is, and its id there; `None`: nobody's that clients of `era` reach.
pub(in crate::engine::exchange) fn owned<'a>(
    endpoint: &'a Endpoint,
    era: Era,
    exposed: &'a str,
) -> Option<(&'a Arc<Upstream>, &'a str)> {
    let (upstream, id) = match endpoint.upstreams.as_slice() {
        [only] => (only, exposed),
        _ => {
            let owned = owner(endpoint, era, exposed).ok()?;
            (owned.upstream, owned.id?)
        }
    };
    upstream.speech(era).is_some().then_some((upstream, id))
}

/// A task's upstream and its id there.
struct Owned<'a> {
    upstream: &'a Arc<Upstream>,
    /// `None`: as the client says it.
    id: Option<&'a str>,
}

fn owner<'a>(endpoint: &'a Endpoint, era: Era, exposed: &'a str) -> Result<Owned<'a>, Reject> {
    let unknown = || Reject::UnknownTask(exposed.into());
    let (name, id) = task::reveal(exposed).ok_or_else(unknown)?;
    let upstream = endpoint.upstreams.iter().find(|upstream| *upstream.name == *name);
    let upstream = upstream.ok_or_else(unknown)?;
    match upstream.speech(era) {
        Some(_) => Ok(Owned { upstream, id: Some(id) }),
        None if upstream.is_listed() => Err(unknown()),
        None => Err(Reject::Upstream(Trouble::NotListed, Arc::clone(&upstream.name))),
    }
}
