//! What rules look at in a request besides its plan: what it is about, with which arguments, and what its client calls itself.
//!
//! Read with the plan, from the same bytes. Nothing is refused here.

use super::route;
use crate::engine::exchange::event::Headers;
use crate::engine::jsonrpc::{Envelope, Object};
use crate::engine::mcp::{Era, Method};
use crate::engine::policy::Completed;
use bytes::Bytes;
use std::sync::Arc;

/// What rules have to know of a request besides its plan; empty where there are no rules.
#[derive(Debug, Default)]
pub(in crate::engine::exchange) struct Petition {
    pub(super) about: About,
    /// Raw `params.arguments`, a piece of the body; of a completion what it carries of them.
    pub(super) arguments: Option<Bytes>,
    /// What a completion has settled before it is typed anew: rules must be content with both.
    pub(super) settled: Option<Bytes>,
}

/// What a request is about, by the name that its client uses.
#[derive(Debug, Default)]
pub(super) enum About {
    /// The protocol itself, or nothing that can be made out.
    #[default]
    Nothing,
    Tool(Arc<str>),
    Prompt(Arc<str>),
    Resource(Arc<str>),
}

/// What a client calls itself.
#[derive(Debug, Default)]
pub(in crate::engine::exchange) struct ClientName {
    pub(super) name: Box<str>,
    pub(super) version: Box<str>,
}

impl ClientName {
    /// Out of a raw `clientInfo`; what is missing is empty.
    pub(in crate::engine::exchange) fn read(raw: &str) -> Self {
        let object = Object::read(raw).unwrap_or_default();
        let text = |key| object.string(key).unwrap_or_default().into();
        Self {
            name: text("name"),
            version: text("version"),
        }
    }
}

impl Petition {
    /// Of a request with this method.
    pub(in crate::engine::exchange) fn read(
        method: Option<Method>,
        era: Era,
        envelope: &Envelope<'_>,
        headers: &Headers,
        body: &Bytes,
    ) -> Self {
        let about = method.map_or(About::Nothing, |method| about(method, era, envelope, headers));
        if method == Some(Method::Complete)
            && let Some(Completed { typed, settled }) = Completed::read(&envelope.params)
        {
            return Self {
                about,
                arguments: Some(typed),
                settled,
            };
        }
        // Whatever carries arguments is judged by them, even what should have none.
        let arguments = envelope.params.raw("arguments");
        Self {
            about,
            arguments: arguments.map(|raw| body.slice_ref(raw.as_bytes())),
            settled: None,
        }
    }
}

/// Nothing, if what is there cannot be read, or if header and body disagree: the plan says so.
fn about(method: Method, era: Era, envelope: &Envelope<'_>, headers: &Headers) -> About {
    let text = |key| envelope.params.string(key).map(Arc::from);
    let mirrored = |name: Arc<str>| route::mirrored(era, headers, &name).is_ok().then_some(name);
    let found = match method {
        Method::ToolsCall => text("name").and_then(mirrored).map(About::Tool),
        Method::PromptsGet => text("name").and_then(mirrored).map(About::Prompt),
        Method::ResourcesRead => text("uri").and_then(mirrored).map(About::Resource),
        Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => text("uri").map(About::Resource),
        Method::Complete => completed(envelope),
        Method::Initialize
        | Method::Discover
        | Method::Ping
        | Method::ToolsList
        | Method::PromptsList
        | Method::ResourcesList
        | Method::ResourceTemplatesList
        | Method::SetLevel
        | Method::Listen
        | Method::TasksGet
        | Method::TasksUpdate
        | Method::TasksResult
        | Method::TasksCancel
        | Method::TasksList => None,
    };
    found.unwrap_or_default()
}

fn completed(envelope: &Envelope<'_>) -> Option<About> {
    let reference = envelope.params.object("ref").ok().flatten()?;
    match reference.string("type").as_deref() {
        Some("ref/prompt") => Some(About::Prompt(reference.string("name")?.into())),
        Some("ref/resource") => Some(About::Resource(reference.string("uri")?.into())),
        Some(_) | None => None,
    }
}
