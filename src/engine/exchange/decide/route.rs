//! From a request that needs an upstream to the call itself: who is asked, under which name.

use super::{sender, task};
use crate::engine::exchange::event::Headers;
use crate::engine::exchange::outgoing::{Outgoing, Patience, Routed};
use crate::engine::exchange::reject::{Reject, Trouble};
use crate::engine::jsonrpc::{Envelope, Splice};
use crate::engine::mcp::{Era, Method, uris};
use crate::engine::route::{Owner, Target};
use crate::engine::session::{Delegation, Wanted};
use crate::engine::snapshot::{Endpoint, Upstream, UpstreamIndex};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;

/// Finds out who answers this request.
pub(in crate::engine::exchange) fn route(
    endpoint: &Endpoint,
    era: Era,
    method: Method,
    envelope: &Envelope<'_>,
    headers: &Headers,
    body: &Bytes,
) -> Result<Routed, Reject> {
    let routes = &endpoint.face(era).routes;
    match method {
        Method::ToolsCall => {
            let (raw, name) = parameter(envelope, "name", "params.name must be a string")?;
            mirrored(era, headers, &name)?;
            let target = routes
                .tool(&name)
                .ok_or_else(|| missing(endpoint, era, &name, Reject::UnknownTool))?;
            let mut routed = one(endpoint, target, envelope, raw, body, name)?;
            for call in &mut routed.calls {
                mirrored_params(era, headers, call, envelope)?;
                call.tasks = task::may_begin(endpoint, &call.upstream, era, envelope);
            }
            Ok(routed)
        }
        Method::PromptsGet => {
            let (raw, name) = parameter(envelope, "name", "params.name must be a string")?;
            mirrored(era, headers, &name)?;
            let target = routes
                .prompt(&name)
                .ok_or_else(|| missing(endpoint, era, &name, Reject::UnknownPrompt))?;
            one(endpoint, target, envelope, raw, body, name)
        }
        Method::ResourcesRead => {
            let (raw, uri) = parameter(envelope, "uri", "params.uri must be a string")?;
            mirrored(era, headers, &uri)?;
            owned(endpoint, era, routes.resource(&uri), envelope, raw, body, uri)
        }
        Method::ResourcesSubscribe => subscribe(endpoint, era, envelope, body, Wanted::FromNowOn),
        Method::ResourcesUnsubscribe => subscribe(endpoint, era, envelope, body, Wanted::NoLonger),
        Method::Complete => complete(endpoint, era, envelope, body),
        Method::TasksGet | Method::TasksUpdate | Method::TasksResult | Method::TasksCancel => {
            task::route(endpoint, era, method, envelope, headers, body)
        }
        Method::TasksList => task::list(endpoint, era, envelope, body),
        Method::Initialize
        | Method::Discover
        | Method::Ping
        | Method::ToolsList
        | Method::PromptsList
        | Method::ResourcesList
        | Method::ResourceTemplatesList
        | Method::SetLevel
        | Method::Listen => Err(Reject::UnknownMethod(era)),
    }
}

/// `resources/subscribe` and `resources/unsubscribe`: to the owner of the resource.
fn subscribe(
    endpoint: &Endpoint,
    era: Era,
    envelope: &Envelope<'_>,
    body: &Bytes,
    wanted: Wanted,
) -> Result<Routed, Reject> {
    let (raw, uri) = parameter(envelope, "uri", "params.uri must be a string")?;
    let owner = endpoint.face(era).routes.subscribable(&uri);
    let mut routed = owned(endpoint, era, owner, envelope, raw, body, uri)?;
    for call in &mut routed.calls {
        let uri = call.renamed.as_ref().or(routed.name.as_ref());
        call.subscription = uri.map(|uri| (Arc::clone(uri), wanted));
    }
    Ok(routed)
}

/// `completion/complete`: the name stands one level deeper, in `ref`.
fn complete(endpoint: &Endpoint, era: Era, envelope: &Envelope<'_>, body: &Bytes) -> Result<Routed, Reject> {
    let routes = &endpoint.face(era).routes;
    let reference = envelope
        .params
        .object("ref")
        .map_err(Reject::Envelope)?
        .ok_or(Reject::Params("params.ref must be an object"))?;
    match reference.string("type").as_deref() {
        Some("ref/prompt") => {
            let raw = reference.raw("name").unwrap_or("");
            let name = reference
                .string("name")
                .ok_or(Reject::Params("params.ref.name must be a string"))?;
            let target = routes
                .prompt(&name)
                .ok_or_else(|| missing(endpoint, era, &name, Reject::UnknownPrompt))?;
            one(endpoint, target, envelope, raw, body, name)
        }
        Some("ref/resource") => {
            let raw = reference.raw("uri").unwrap_or("");
            let uri = reference
                .string("uri")
                .ok_or(Reject::Params("params.ref.uri must be a string"))?;
            owned(endpoint, era, routes.template(&uri), envelope, raw, body, uri)
        }
        _ => Err(Reject::Params("params.ref.type must be ref/prompt or ref/resource")),
    }
}

pub(in crate::engine::exchange) fn parameter<'a>(
    envelope: &Envelope<'a>,
    key: &str,
    complaint: &'static str,
) -> Result<(&'a str, Cow<'a, str>), Reject> {
    match (envelope.params.raw(key), envelope.params.string(key)) {
        (Some(raw), Some(value)) => Ok((raw, value)),
        _ => Err(Reject::Params(complaint)),
    }
}

pub(in crate::engine::exchange) fn mirrored(era: Era, headers: &Headers, name: &str) -> Result<(), Reject> {
    match era {
        Era::Legacy => Ok(()),
        Era::Modern => sender::modern_name(headers, name),
    }
}

/// Between a modern client and a legacy upstream nobody else compares `Mcp-Param-*` with the body (SEP-2243).
fn mirrored_params(era: Era, headers: &Headers, call: &Outgoing, envelope: &Envelope<'_>) -> Result<(), Reject> {
    let translated = era == Era::Modern && call.upstream.speech(era).is_none();
    match &call.params {
        Some(params) if translated => {
            sender::modern_params(headers, params, envelope.params.raw("arguments").unwrap_or("{}"))
        }
        Some(_) | None => Ok(()),
    }
}

/// A name nobody is listed with: unknown, or of an upstream that has not been listed yet.
fn missing(endpoint: &Endpoint, era: Era, name: &str, unknown: fn(Box<str>) -> Reject) -> Reject {
    let unlisted = endpoint
        .face(era)
        .routes
        .unlisted(name)
        .and_then(|index| endpoint.upstream(index));
    match unlisted {
        Some(upstream) => Reject::Upstream(Trouble::NotListed, Arc::clone(&upstream.name)),
        None => unknown(name.into()),
    }
}

fn one(
    endpoint: &Endpoint,
    target: &Target,
    envelope: &Envelope<'_>,
    raw: &str,
    body: &Bytes,
    name: Cow<'_, str>,
) -> Result<Routed, Reject> {
    let call = outgoing(endpoint, target, envelope, raw, body)?;
    Ok(Routed {
        calls: vec![call],
        gather: false,
        name: Some(name.into()),
    })
}

fn owned(
    endpoint: &Endpoint,
    era: Era,
    owner: Owner,
    envelope: &Envelope<'_>,
    raw: &str,
    body: &Bytes,
    uri: Cow<'_, str>,
) -> Result<Routed, Reject> {
    match owner {
        Owner::One(target) => {
            let uri = exposed(endpoint, &target).map_or(uri, Cow::Owned);
            one(endpoint, &target, envelope, raw, body, uri)
        }
        Owner::None => Err(Reject::UnknownResource(era, uri.into())),
        Owner::Ask(candidates) => {
            let calls: Vec<Outgoing> = candidates
                .iter()
                .filter_map(|index| asked(endpoint, *index, body))
                .collect();
            if calls.is_empty() {
                return Err(unanswered(endpoint, era, &candidates, &uri));
            }
            Ok(Routed {
                calls,
                gather: false,
                name: Some(uri.into()),
            })
        }
    }
}

/// The URI that clients see of a resource whose upstream has its URIs rewritten; else they may call it by two names.
fn exposed(endpoint: &Endpoint, target: &Target) -> Option<String> {
    let upstream = endpoint
        .upstream(target.upstream)
        .filter(|upstream| upstream.rewrites)?;
    Some(uris::expose(&upstream.name, &target.name))
}

/// Nobody who may be asked can be: if there is only one, that is what is wrong.
fn unanswered(endpoint: &Endpoint, era: Era, candidates: &[UpstreamIndex], uri: &str) -> Reject {
    match candidates {
        [only] => match endpoint.upstream(*only) {
            Some(upstream) if upstream.enabled && !upstream.is_listed() => {
                Reject::Upstream(Trouble::NotListed, Arc::clone(&upstream.name))
            }
            Some(_) | None => Reject::UnknownResource(era, uri.into()),
        },
        _ => Reject::UnknownResource(era, uri.into()),
    }
}

/// An upstream that may be asked for a resource nobody claims: it must be usable, its troubles are not the client's.
fn asked(endpoint: &Endpoint, index: UpstreamIndex, body: &Bytes) -> Option<Outgoing> {
    let upstream = endpoint.upstream(index)?;
    let usable = upstream.enabled && !upstream.secret_missing && upstream.is_listed();
    usable.then(|| Outgoing {
        upstream: Arc::clone(upstream),
        body: body.clone(),
        renamed: None,
        params: None,
        tasks: false,
        patience: Patience::Usual,
        subscription: None,
        delegation: Delegation::NONE,
    })
}

/// Nothing in the configuration forbids to call it.
pub(super) fn usable(upstream: &Upstream) -> Result<(), Reject> {
    usability(upstream).map_err(|trouble| Reject::Upstream(trouble, Arc::clone(&upstream.name)))
}

/// The same, for those who say it in their own way.
pub(in crate::engine::exchange) const fn usability(upstream: &Upstream) -> Result<(), Trouble> {
    match (upstream.enabled, upstream.secret_missing) {
        (false, _) => Err(Trouble::Disabled),
        (true, true) => Err(Trouble::SecretMissing),
        (true, false) => Ok(()),
    }
}

fn outgoing(
    endpoint: &Endpoint,
    target: &Target,
    envelope: &Envelope<'_>,
    raw: &str,
    body: &Bytes,
) -> Result<Outgoing, Reject> {
    let Some(upstream) = endpoint.upstream(target.upstream) else {
        return Err(Reject::UnknownTool(target.name.as_ref().into()));
    };
    usable(upstream)?;
    let Some(token) = &target.token else {
        return Ok(Outgoing {
            upstream: Arc::clone(upstream),
            body: body.clone(),
            renamed: None,
            params: target.params.clone(),
            tasks: false,
            patience: Patience::Usual,
            subscription: None,
            delegation: Delegation::NONE,
        });
    };
    let splice = Splice {
        edits: vec![(envelope.span(raw), token.clone())],
    };
    Ok(Outgoing {
        upstream: Arc::clone(upstream),
        body: splice.apply(body),
        renamed: Some(Arc::clone(&target.name)),
        params: target.params.clone(),
        tasks: false,
        patience: Patience::Usual,
        subscription: None,
        delegation: Delegation::NONE,
    })
}
