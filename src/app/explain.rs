//! `/explain`: what the rules in force say of a request that nobody makes. `explain --offline`: what the rules of a file
//! would say, with the tools that were listed last.

use super::endpoints;
use super::folder;
use super::status::Board;
use super::writer::Writer;
use crate::edge::upstream::Shelf;
use crate::engine::config::Config;
use crate::engine::expression::Tree;
use crate::engine::mcp::{Era, Method};
use crate::engine::policy::{Asked, Caller, Claims, Explained, Identity, Item, Lookup, Policy, Question, Tool};
use crate::engine::session::Keys;
use crate::engine::snapshot::{Endpoint, Snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Answers for the endpoint that has the tool, else for the first.
pub(super) fn explain(snapshot: &Snapshot, question: &Question) -> Result<Explained, String> {
    answer(snapshot, question, None)
}

/// Answers without a gateway. A tool that no kept catalog has is taken for one with these annotations (JSON), if there
/// are such.
pub(super) fn offline(config: Config, question: &Question, annotations: Option<&str>) -> Result<Explained, String> {
    let config = Arc::new(config);
    // No session is opened, nothing is routed.
    let keys = Keys::derive(&[Vec::new()]).ok_or("no session key")?;
    let drafts = endpoints::of_file(&config, keys, "", None);
    let shelf = Shelf::new(config.state_dir.join("catalogs"));
    let kept = folder::kept_catalogs(&shelf, &drafts);
    let writer = Writer::new(drafts, &kept, Arc::new(Board::new(config.lists.first)));
    let supposed = match (&question.tool, annotations) {
        (Some(name), Some(annotations)) => Some(Supposed::new(&config, name, annotations)?),
        (_, _) => None,
    };
    let tool = supposed.as_ref().map(Supposed::tool);
    answer(&writer.cell().load(), question, tool)
}

/// A tool that somebody describes.
struct Supposed<'a> {
    name: &'a str,
    upstream: &'a str,
    upstream_name: &'a str,
    raw: String,
}

impl<'a> Supposed<'a> {
    /// Of the first upstream whose prefix it has.
    fn new(config: &'a Config, name: &'a str, annotations: &str) -> Result<Self, String> {
        let annotations = object("annotations", annotations)?;
        let owner = config.upstreams.iter().filter(|upstream| upstream.merge);
        let mut owners = owner.filter_map(|upstream| Some((upstream, name.strip_prefix(&upstream.prefix)?)));
        let (upstream, upstream_name) = owners
            .next()
            .ok_or_else(|| format!("{name:?} has no upstream's prefix"))?;
        Ok(Self {
            name,
            upstream: &upstream.name,
            upstream_name,
            raw: serde_json::json!({"name": upstream_name, "annotations": annotations}).to_string(),
        })
    }

    fn tool(&self) -> Tool<'_> {
        Tool {
            name: self.name,
            upstream: self.upstream,
            upstream_name: self.upstream_name,
            raw: Some(&self.raw),
        }
    }
}

fn answer(snapshot: &Snapshot, question: &Question, supposed: Option<Tool<'_>>) -> Result<Explained, String> {
    let has_tool = |endpoint: &&Arc<Endpoint>| {
        let tool = question.tool.as_deref();
        tool.is_some_and(|tool| endpoint.tool_facts(Era::Modern, tool).is_some())
    };
    let first = snapshot.endpoints.first();
    let endpoint = snapshot
        .endpoints
        .iter()
        .find(has_tool)
        .or(first)
        .ok_or("nothing is served yet")?;
    let identity = identity(&question.user)?;
    let headers = Given(object("headers", question.headers.as_deref().unwrap_or("{}"))?);
    if let Some(arguments) = &question.arguments {
        Tree::read(arguments).map_err(|error| format!("arguments: {error}"))?;
    }
    let asked = Asked {
        method: method(question)?,
        item: item(endpoint, question, supposed)?,
        arguments: question.arguments.as_deref(),
        caller: Caller {
            identity: &identity,
            client_name: question.client.as_deref().unwrap_or_default(),
            client_version: "",
            ip: "",
        },
        headers: &headers,
    };
    let explain = |policy: &Arc<Policy>| policy.explain(&asked).into();
    Ok(match &endpoint.guarded {
        Some(guarded) => explain(&guarded.policy),
        None => Explained {
            verdict: "allowed".to_owned(),
            rule: None,
            message: Some("there are no policies".to_owned()),
            steps: Vec::new(),
        },
    })
}

fn method(question: &Question) -> Result<&str, String> {
    let named = match (&question.tool, &question.prompt, &question.resource) {
        (Some(_), _, _) => Some(Method::ToolsCall),
        (None, Some(_), _) => Some(Method::PromptsGet),
        (None, None, Some(_)) => Some(Method::ResourcesRead),
        (None, None, None) => None,
    };
    let method = question.method.as_deref().or(named.map(Method::as_str));
    method.ok_or_else(|| "name a tool, a prompt, a resource or a method".to_owned())
}

fn item<'a>(endpoint: &'a Endpoint, question: &'a Question, supposed: Option<Tool<'a>>) -> Result<Item<'a>, String> {
    match (&question.tool, &question.prompt, &question.resource) {
        (Some(tool), _, _) => {
            let facts = endpoint.tool_facts(Era::Modern, tool);
            facts
                .or(supposed)
                .map(Item::Tool)
                .ok_or_else(|| format!("no upstream lists a tool {tool:?}"))
        }
        (None, Some(prompt), _) => Ok(Item::Prompt(prompt)),
        (None, None, Some(uri)) => Ok(Item::Resource(uri)),
        (None, None, None) => Ok(Item::Nothing),
    }
}

/// Claims as a token has them, or just a name.
fn identity(user: &str) -> Result<Identity, String> {
    let user = user.trim();
    if !user.starts_with('{') {
        return Ok(Identity {
            principal: (!user.is_empty()).then(|| user.into()),
            ..Identity::default()
        });
    }
    object("user", user).map(Identity::supposed)
}

fn object(what: &str, text: &str) -> Result<Claims, String> {
    serde_json::from_str(text).map_err(|error| format!("{what}: not a JSON object: {error}"))
}

/// Headers that nobody sent.
struct Given(Claims);

impl Lookup for Given {
    fn value(&self, name: &str) -> Option<String> {
        self.0.get(name)?.as_str().map(str::to_owned)
    }

    fn all(&self) -> BTreeMap<String, String> {
        let texts = self
            .0
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        texts.collect()
    }
}
