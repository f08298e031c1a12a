//! What is to be done with one message: reads it, checks it, decides on a way. Nothing is done here.

use super::petition::{ClientName, Petition};
use super::sender::{self, Sender};
use super::tell::{self, Errand};
use super::{route, task, transparent};
use crate::engine::catalog::Kind;
use crate::engine::exchange::event::Headers;
use crate::engine::exchange::outgoing::Routed;
use crate::engine::exchange::record::observe;
use crate::engine::exchange::reject::Reject;
use crate::engine::jsonrpc::{Envelope, EnvelopeError, Shape};
use crate::engine::mcp::capabilities::ClientFlags;
use crate::engine::mcp::{Era, Method, Version};
use crate::engine::policy::Identity;
use crate::engine::session::{Client, Level, Timestamp};
use crate::engine::snapshot::Endpoint;
use crate::engine::stream::Filter;
use crate::engine::stream::filter::FilterError;
use bytes::Bytes;

/// Where a message comes from, besides its body.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::exchange) struct From<'a> {
    pub(in crate::engine::exchange) identity: &'a Identity,
    pub(in crate::engine::exchange) headers: &'a Headers,
}

/// A body of so many bytes may stay in memory for the sake of its id.
const SMALL: usize = 4096;

/// What to do.
#[derive(Debug)]
pub(in crate::engine::exchange) enum Plan {
    /// Answer 202: nobody waits.
    Absorb,
    /// Answer `{}`.
    Empty,
    /// Answer a prepared list, or the page of it that this cursor names.
    List(Kind, Option<Box<str>>),
    /// Answer the prepared discover result.
    Discover,
    /// Begin a session.
    Initialize {
        /// Negotiated.
        version: Version,
        /// What the client can.
        flags: ClientFlags,
        /// To be remembered.
        client: Client,
    },
    /// Remember a level.
    SetLevel(Level),
    /// Hold a stream open.
    Listen(Filter),
    /// Answer 202 once somebody else was told.
    Tell(Errand),
    /// Ask an upstream.
    Call(Routed),
}

impl Plan {
    /// Bytes of request body that it needs.
    pub(in crate::engine::exchange) fn held(&self) -> usize {
        match self {
            Self::Call(routed) => routed.calls.first().map_or(0, |call| call.body.len()),
            Self::Tell(errand) => errand.message.len(),
            Self::Absorb
            | Self::Empty
            | Self::List(..)
            | Self::Discover
            | Self::Initialize { .. }
            | Self::SetLevel(_)
            | Self::Listen(_) => 0,
        }
    }
}

/// Reads `body`; facts about the sender go to `sender` even if the message is refused.
pub(in crate::engine::exchange) fn plan(
    endpoint: &Endpoint,
    from: &From<'_>,
    body: &Bytes,
    sender: &mut Sender,
    now: Timestamp,
) -> Result<Plan, Reject> {
    let envelope = match Envelope::scan(body, endpoint.limits.depth) {
        Ok(envelope) => envelope,
        Err(error) => {
            // The id of what is not JSON, or too deep to be looked at, is not believed.
            sender.id = match error {
                EnvelopeError::NotJson | EnvelopeError::TooDeep(_) => None,
                EnvelopeError::Batch
                | EnvelopeError::NotAnObject
                | EnvelopeError::DuplicateKey(_)
                | EnvelopeError::WrongType(_) => Envelope::readable_id(body).map(|id| kept(body, id.0)),
            };
            return Err(Reject::Envelope(error));
        }
    };
    let method = match &envelope.shape {
        Shape::Request { id, method } => {
            sender.id = Some(kept(body, id.0));
            Some(method.as_ref())
        }
        Shape::Notification { method } => Some(method.as_ref()),
        Shape::Response { .. } => None,
    };
    sender.known = method.and_then(Method::parse);
    sender.method = method.map(|method| match sender.known {
        Some(known) => known.as_str().into(),
        None => method.to_owned().into(),
    });
    sender.arguments = observe::arguments(endpoint, sender.known, &envelope).map(Box::new);
    let era = sender::era(from.headers, method, envelope.meta.as_ref());
    sender.era = Some(era);
    match (&endpoint.guarded, &envelope.shape) {
        (Some(guarded), Shape::Request { .. }) => {
            sender.petition = Petition::read(sender.known, era, &envelope, from.headers, body);
            if guarded.policy.reads_client() {
                sender.client = sender::client_info(&envelope, sender.known).map(ClientName::read);
            }
        }
        // About nothing, whatever it is called; but what it carries is judged.
        (Some(_), Shape::Notification { .. }) => {
            sender.petition = Petition::read(None, era, &envelope, from.headers, body);
        }
        (Some(_), Shape::Response { .. }) | (None, _) => {}
    }
    if endpoint.transparent.is_some() {
        sender.version = sender::named_version(from.headers);
        return transparent::plan(endpoint, from.headers, &envelope, body, sender);
    }
    match (era, &envelope.shape) {
        (Era::Legacy, Shape::Request { .. }) => legacy(endpoint, from, &envelope, body, sender, now),
        (Era::Modern, Shape::Request { method, .. }) => {
            sender.version = Some(sender::modern_request(from.headers, &envelope, method)?);
            let plan = modern(endpoint, from.headers, &envelope, body, sender.known)?;
            if matches!(plan, Plan::List(..)) {
                sender.takes_requests = sender::modern_capabilities(&envelope).any();
            }
            Ok(plan)
        }
        (Era::Legacy, Shape::Notification { .. } | Shape::Response { .. }) => {
            admit_legacy(endpoint, from, sender, now)?;
            match sender.session {
                Some(session) => Ok(tell::plan(endpoint, session, &envelope, body)),
                // Its upstream session, if it has one, is for one call only.
                None => Ok(Plan::Absorb),
            }
        }
        (Era::Modern, Shape::Notification { .. } | Shape::Response { .. }) => Ok(Plan::Absorb),
    }
}

/// The id outlives the body; one of a large body is copied, so that it does not keep all of it in memory.
fn kept(body: &Bytes, id: &str) -> Bytes {
    if body.len() > SMALL {
        Bytes::copy_from_slice(id.as_bytes())
    } else {
        body.slice_ref(id.as_bytes())
    }
}

fn admit_legacy(endpoint: &Endpoint, from: &From<'_>, sender: &mut Sender, now: Timestamp) -> Result<(), Reject> {
    sender.session = sender::session(endpoint, from.identity, from.headers, now)?;
    sender.takes_requests = sender.session.is_some_and(|session| session.flags.any());
    sender.version = sender::legacy_version(from.headers)?;
    Ok(())
}

fn legacy(
    endpoint: &Endpoint,
    from: &From<'_>,
    envelope: &Envelope<'_>,
    body: &Bytes,
    sender: &mut Sender,
    now: Timestamp,
) -> Result<Plan, Reject> {
    if sender.known == Some(Method::Initialize) {
        return initialize(envelope);
    }
    admit_legacy(endpoint, from, sender, now)?;
    let Some(method) = sender.known else {
        return Err(Reject::UnknownMethod(Era::Legacy));
    };
    match method {
        Method::Ping => Ok(Plan::Empty),
        Method::ToolsList => list(envelope, Kind::Tools),
        Method::PromptsList => list(envelope, Kind::Prompts),
        Method::ResourcesList => list(envelope, Kind::Resources),
        Method::ResourceTemplatesList => list(envelope, Kind::Templates),
        Method::SetLevel => {
            let level = envelope.params.string("level");
            let level = level.as_deref().and_then(Level::parse);
            level
                .map(Plan::SetLevel)
                .ok_or(Reject::Params("params.level must be one of the RFC 5424 levels"))
        }
        Method::ToolsCall
        | Method::PromptsGet
        | Method::ResourcesRead
        | Method::Complete
        | Method::ResourcesSubscribe
        | Method::ResourcesUnsubscribe
        | Method::TasksGet
        | Method::TasksResult
        | Method::TasksCancel
        | Method::TasksList => {
            route::route(endpoint, Era::Legacy, method, envelope, from.headers, body).map(Plan::Call)
        }
        Method::Initialize | Method::Discover | Method::Listen | Method::TasksUpdate => {
            Err(Reject::UnknownMethod(Era::Legacy))
        }
    }
}

fn modern(
    endpoint: &Endpoint,
    headers: &Headers,
    envelope: &Envelope<'_>,
    body: &Bytes,
    known: Option<Method>,
) -> Result<Plan, Reject> {
    let Some(method) = known else {
        return Err(Reject::UnknownMethod(Era::Modern));
    };
    match method {
        Method::Discover => Ok(Plan::Discover),
        Method::Listen => listening(envelope),
        Method::ToolsList => list(envelope, Kind::Tools),
        Method::PromptsList => list(envelope, Kind::Prompts),
        Method::ResourcesList => list(envelope, Kind::Resources),
        Method::ResourceTemplatesList => list(envelope, Kind::Templates),
        Method::ToolsCall
        | Method::PromptsGet
        | Method::ResourcesRead
        | Method::Complete
        | Method::TasksGet
        | Method::TasksUpdate
        | Method::TasksCancel => route::route(endpoint, Era::Modern, method, envelope, headers, body).map(Plan::Call),
        Method::Initialize
        | Method::Ping
        | Method::SetLevel
        | Method::ResourcesSubscribe
        | Method::ResourcesUnsubscribe
        | Method::TasksResult
        | Method::TasksList => Err(Reject::UnknownMethod(Era::Modern)),
    }
}

/// `subscriptions/listen`
fn listening(envelope: &Envelope<'_>) -> Result<Plan, Reject> {
    let wanted = envelope.params.object("notifications").map_err(Reject::Envelope)?;
    let wanted = wanted.ok_or(Reject::Params("params.notifications must be an object"))?;
    match Filter::read(&wanted) {
        // Tasks extension, Task Status Notifications: such a client must be refused.
        Ok(filter) if !filter.tasks.is_empty() && !task::is_declared(envelope) => Err(Reject::TasksUndeclared),
        Ok(filter) => Ok(Plan::Listen(filter)),
        Err(FilterError::Envelope(error)) => Err(Reject::Envelope(error)),
        Err(FilterError::Type(complaint)) => Err(Reject::Params(complaint)),
    }
}

/// Some clients send null for no cursor.
fn list(envelope: &Envelope<'_>, kind: Kind) -> Result<Plan, Reject> {
    let cursor = match envelope.params.raw("cursor") {
        None | Some("null") => None,
        Some(_) => Some(envelope.params.string("cursor").ok_or(Reject::FOREIGN_CURSOR)?),
    };
    Ok(Plan::List(kind, cursor.map(Into::into)))
}

/// Negotiates with the client alone: what it asks for if we serve that with a handshake, else our newest (lifecycle, version negotiation).
fn initialize(envelope: &Envelope<'_>) -> Result<Plan, Reject> {
    let asked = envelope
        .params
        .string("protocolVersion")
        .ok_or(Reject::Params("params.protocolVersion must be a string"))?;
    let object = |key, complaint| {
        envelope
            .params
            .raw(key)
            .filter(|raw| raw.starts_with('{'))
            .ok_or(Reject::Params(complaint))
    };
    let capabilities = object("capabilities", "params.capabilities must be an object")?;
    let info = object("clientInfo", "params.clientInfo must be an object")?;
    let version = Version::parse(&asked).filter(|version| version.era() == Era::Legacy);
    Ok(Plan::Initialize {
        version: version.unwrap_or(Version::NEWEST_LEGACY),
        flags: ClientFlags::read(capabilities),
        client: Client {
            capabilities: capabilities.into(),
            info: info.into(),
        },
    })
}
