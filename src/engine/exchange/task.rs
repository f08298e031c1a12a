//! Requests about tasks: found by the task's id, which names its upstream where there are several.
//!
//! Tasks are of one era: a task of an upstream that the client reaches by translation is unknown to it.

use super::call::{self, Outgoing, Routed};
use super::event::Headers;
use super::reject::{Reject, Trouble};
use crate::engine::call::task;
use crate::engine::jsonrpc::splice::quote;
use crate::engine::jsonrpc::{Envelope, Splice};
use crate::engine::mcp::capabilities::TASKS_EXTENSION;
use crate::engine::mcp::{Era, Method};
use crate::engine::snapshot::{Endpoint, Upstream};
use bytes::Bytes;
use std::sync::Arc;

const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// Finds out whose task this request is about.
pub(super) fn route(
    endpoint: &Endpoint,
    era: Era,
    method: Method,
    envelope: &Envelope<'_>,
    headers: &Headers,
    body: &Bytes,
) -> Result<Routed, Reject> {
    offered(endpoint, era)?;
    let (raw, id) = call::parameter(envelope, "taskId", "params.taskId must be a string")?;
    call::mirrored(era, headers, &id)?;
    let owned = match endpoint.upstreams.as_slice() {
        [only] => Owned {
            upstream: only,
            id: None,
        },
        _ => owner(endpoint, era, &id)?,
    };
    call::usable(owned.upstream)?;
    let splice = Splice {
        edits: owned.id.iter().map(|id| (envelope.span(raw), quote(id))).collect(),
    };
    let call = Outgoing {
        upstream: Arc::clone(owned.upstream),
        body: splice.apply(body),
        renamed: owned.id.map(Arc::from),
        params: None,
        tasks: owned.id.is_some(),
        waits: method == Method::TasksResult,
    };
    Ok(Routed {
        calls: vec![call],
        name: id.as_ref().into(),
    })
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
        Era::Modern => {
            let capabilities = envelope
                .meta
                .as_ref()
                .and_then(|meta| meta.object(CLIENT_CAPABILITIES).ok().flatten());
            let extensions = capabilities.and_then(|declared| declared.object("extensions").ok().flatten());
            extensions.is_some_and(|extensions| extensions.raw(TASKS_EXTENSION).is_some())
        }
    }
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
