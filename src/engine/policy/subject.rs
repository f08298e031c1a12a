//! What is asked: a method, what it is about, and by whom. The facts that rules look at.

use super::Identity;
use crate::engine::catalog::Kind;
use crate::engine::expression::{Facts, Structure, Text, Tree, TreeError};
use crate::engine::mcp::Method;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Methods with arguments; of all others a rule that reads them says nothing.
const TAKING_ARGUMENTS: [Method; 3] = [Method::ToolsCall, Method::PromptsGet, Method::Complete];

/// One request, as rules see it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// As it stands on the wire.
    pub method: &'a str,
    /// What it is about.
    pub item: Item<'a>,
    /// Raw `arguments`, exactly as they go upstream; `None`: the client gives none.
    pub arguments: Option<&'a str>,
    /// By whom.
    pub caller: Caller<'a>,
    /// Of the HTTP request.
    pub headers: &'a dyn Lookup,
}

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// The protocol itself: initialize, ping, lists.
    Nothing,
    /// A tool.
    Tool(Tool<'a>),
    /// A task that an upstream's tool has begun.
    TaskOf(&'a str),
    /// A prompt, by its exposed name.
    Prompt(&'a str),
    /// A resource or a template, by what stands in its list.
    Resource(&'a str),
}

/// A tool.
#[derive(Clone, Copy, Debug)]
pub struct Tool<'a> {
    /// As clients see it.
    pub name: &'a str,
    /// Configured name of its upstream.
    pub upstream: &'a str,
    /// What the upstream calls it.
    pub upstream_name: &'a str,
    /// The raw item as the upstream listed it; `None`: it is not listed at the moment.
    pub raw: Option<&'a str>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Established before anything is decided.
    pub identity: &'a Identity,
    /// `clientInfo.name`: what it calls itself; may be empty.
    pub client_name: &'a str,
    /// `clientInfo.version`; may be empty.
    pub client_version: &'a str,
    /// Without port; may be empty.
    pub ip: &'a str,
}

/// Headers of a request, by name in lower case.
pub trait Lookup: Send + Sync {
    /// All values of one, with `, ` between them; `None`: it is not there.
    fn value(&self, name: &str) -> Option<String>;

    /// All of them.
    fn all(&self) -> BTreeMap<String, String>;
}

/// No headers: rules that read them are not asked.
#[derive(Clone, Copy, Debug)]
pub struct NoHeaders;

impl Lookup for NoHeaders {
    fn value(&self, _name: &str) -> Option<String> {
        None
    }

    fn all(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

impl<'a> Item<'a> {
    /// The method that uses an item of this kind: who may not use it does not see it. `None`: it stands in no list.
    #[must_use]
    pub const fn used_by(&self) -> Option<(Method, Kind)> {
        let kind = match self {
            Self::Nothing | Self::TaskOf(_) => return None,
            Self::Tool(_) => Kind::Tools,
            Self::Prompt(_) => Kind::Prompts,
            Self::Resource(_) => Kind::Resources,
        };
        Some((user_of(kind), kind))
    }

    /// For messages: its exposed name or URI.
    #[must_use]
    pub const fn name(&self) -> Option<&'a str> {
        match self {
            Self::Nothing | Self::TaskOf(_) => None,
            Self::Tool(tool) => Some(tool.name),
            Self::Prompt(name) | Self::Resource(name) => Some(name),
        }
    }
}

/// The method that uses what a list of this kind shows.
#[must_use]
pub const fn user_of(kind: Kind) -> Method {
    match kind {
        Kind::Tools => Method::ToolsCall,
        Kind::Prompts => Method::PromptsGet,
        Kind::Resources | Kind::Templates => Method::ResourcesRead,
    }
}

/// Whether requests with this method are made with arguments, or could be.
fn takes_arguments(method: &str) -> bool {
    TAKING_ARGUMENTS.iter().any(|taking| taking.as_str() == method)
}

/// The facts of one request, and what was wrong with its arguments once they were read.
pub(super) struct Known<'a> {
    asked: Asked<'a>,
    unreadable: OnceLock<TreeError>,
}

impl<'a> Known<'a> {
    pub(super) const fn new(asked: Asked<'a>) -> Self {
        Self {
            asked,
            unreadable: OnceLock::new(),
        }
    }

    pub(super) const fn asked(&self) -> &Asked<'a> {
        &self.asked
    }

    pub(super) const fn identity(&self) -> &'a Identity {
        self.asked.caller.identity
    }

    /// What is wrong with the arguments, if a rule has read them.
    pub(super) fn unreadable(&self) -> Option<&TreeError> {
        self.unreadable.get()
    }

    /// The value of a variable that is demanded by a literal.
    pub(super) fn literal(&self, subject: crate::engine::expression::Subject) -> Option<&str> {
        use crate::engine::expression::Subject;
        self.text(match subject {
            Subject::Tool => Text::ToolName,
            Subject::Upstream => Text::ToolUpstream,
            Subject::Method => Text::Method,
            Subject::Prompt => Text::Prompt,
            Subject::Resource => Text::ResourceUri,
        })
    }

    /// Whatever carries arguments is judged by them, even where its method has none.
    fn arguments(&self) -> Option<Tree> {
        match self.asked.arguments {
            Some(raw) => Tree::read(raw).map_err(|error| self.unreadable.set(error)).ok(),
            None => takes_arguments(self.asked.method).then(Tree::empty),
        }
    }
}

impl Facts for Known<'_> {
    fn text(&self, variable: Text) -> Option<&str> {
        let Asked {
            method, item, caller, ..
        } = &self.asked;
        match (variable, item) {
            (Text::Method, _) => Some(method),
            (Text::Principal, _) => Some(caller.identity.principal.as_deref().unwrap_or_default()),
            (Text::ClientName, _) => Some(caller.client_name),
            (Text::ClientVersion, _) => Some(caller.client_version),
            (Text::ClientIp, _) => Some(caller.ip),
            (Text::ToolName, Item::Tool(tool)) => Some(tool.name),
            (Text::ToolUpstreamName, Item::Tool(tool)) => Some(tool.upstream_name),
            (Text::ToolUpstream, Item::Tool(tool)) => Some(tool.upstream),
            (Text::ToolUpstream, Item::TaskOf(upstream)) => Some(upstream),
            (Text::Prompt, Item::Prompt(name)) => Some(name),
            (Text::ResourceUri, Item::Resource(uri)) => Some(uri),
            (Text::ToolName | Text::ToolUpstreamName | Text::ToolUpstream | Text::Prompt | Text::ResourceUri, _) => {
                None
            }
        }
    }

    fn tree(&self, variable: Structure) -> Option<Tree> {
        let identity = self.asked.caller.identity;
        match (variable, &self.asked.item) {
            (Structure::Arguments, _) => self.arguments(),
            (Structure::Claims, _) => Some(Tree::of_object(&identity.claims)),
            (Structure::Roles, _) => Some(Tree::of_list(identity.roles.iter().map(AsRef::as_ref))),
            (Structure::Scopes, _) => Some(Tree::of_list(identity.scopes.iter().map(AsRef::as_ref))),
            (Structure::Headers, _) => {
                let all = self.asked.headers.all();
                Some(Tree::of_texts(
                    all.iter().map(|(name, value)| (name.as_str(), value.clone())),
                ))
            }
            (Structure::ToolAnnotations, Item::Tool(tool)) => annotations(tool.raw),
            (Structure::ToolAnnotations, _) => None,
        }
    }

    fn member(&self, variable: Structure, name: &str) -> Option<Tree> {
        match variable {
            Structure::Claims => self.asked.caller.identity.claims.get(name).map(Tree::of_value),
            Structure::Headers => {
                let value = self.asked.headers.value(name)?;
                Some(Tree::of_value(&value.into()))
            }
            Structure::Arguments | Structure::ToolAnnotations | Structure::Roles | Structure::Scopes => None,
        }
    }
}

/// The hints that the specification has; a tool that does not give one has null there, so that rules can tell.
const HINTS: [&str; 5] = [
    "title",
    "readOnlyHint",
    "destructiveHint",
    "idempotentHint",
    "openWorldHint",
];

/// What the upstream says of its tool.
fn annotations(raw: Option<&str>) -> Option<Tree> {
    #[derive(serde::Deserialize)]
    struct Item<'a> {
        #[serde(borrow)]
        annotations: Option<&'a RawValue>,
    }
    let item: Option<Item<'_>> = raw.and_then(|raw| serde_json::from_str(raw).ok());
    let said = item.and_then(|item| item.annotations).map_or("{}", RawValue::get);
    let mut said: serde_json::Map<String, serde_json::Value> = serde_json::from_str(said).unwrap_or_default();
    for hint in HINTS {
        said.entry(hint).or_insert(serde_json::Value::Null);
    }
    Some(Tree::of_object(&said))
}
