//! What a backend object (`AgentgatewayBackend`, kgateway's `Backend`) comes to: MCP servers, in the order that decides who
//! owns a name. HTTPRoutes that name it make endpoints of it: see [`routes`].
//!
//! ```text
//! spec.mcp.targets -> targets (what, by which name) -> server (URL, addresses, TLS) -> Answer -> routes -> endpoints
//! ```

mod names;
pub(crate) mod routes;
mod server;
mod status;
mod targets;
mod telling;

use super::object::{Age, Key, Kind, Object, age};
use super::store::Reader;
use crate::edge::kube::plan::{Owner, Place};
use crate::edge::kube::resources::{Backend, PrefixMode, SessionRouting};
use std::sync::Arc;

pub(crate) use server::Server;

/// What a backend object came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// The object.
    pub key: Key,
    /// The same, with version and uid.
    pub owner: Owner,
    /// The generation that was looked at.
    pub generation: Option<i64>,
    /// Decides who comes first.
    pub age: Age,
    /// Its servers, with their prefixes.
    pub servers: Vec<(Server, String)>,
    /// A sentence for each target that cannot be served.
    pub left_out: Vec<String>,
    /// One more Service, or one less, changes the names of all tools.
    pub renames: bool,
    /// Fields without effect.
    pub ignored: Vec<String>,
    /// The HTTPRoutes that name it, the oldest first.
    pub(crate) users: Vec<Place>,
}

/// Resolves it. `None`: it is about something else than MCP, and none of ours.
pub(crate) fn resolve(reader: &mut Reader<'_>, object: &Object) -> Option<Answer> {
    let (Object::AgentgatewayBackend(backend) | Object::KgatewayBackend(backend)) = object else {
        return None;
    };
    let mcp = backend.spec.mcp.as_ref()?;
    let key = object.key();
    let found = targets::find(reader, &key.place, mcp);
    let mode = mcp.prefix_mode.unwrap_or(PrefixMode::Conditional);
    let count = found.targets.len();
    let mut left_out = found.left_out;
    let mut servers = Vec::with_capacity(count);
    for target in found.targets {
        match server::resolve(reader, &target) {
            Ok(server) => servers.push((server, names::prefix(mode, count, &target.name))),
            Err(problem) => left_out.push(format!("target {:?}: {}", target.name, problem.message)),
        }
    }
    let conditional = matches!(mode, PrefixMode::Conditional | PrefixMode::Other);
    let named = mcp.targets.iter().filter(|entry| entry.fixed.is_some()).count();
    let selects = mcp.targets.iter().any(|entry| entry.selector.is_some());
    Some(Answer {
        owner: object.owner(),
        generation: backend.metadata.generation,
        age: age(&backend.metadata),
        servers,
        left_out,
        // Two that the object names itself stay two.
        renames: conditional && selects && named < 2,
        ignored: ignored(backend),
        users: users(reader, &key),
        key,
    })
}

fn users(reader: &mut Reader<'_>, key: &Key) -> Vec<Place> {
    let mut ages: Vec<Age> = reader
        .routes_of(key)
        .into_iter()
        .map(|route| age(&route.metadata))
        .collect();
    ages.sort();
    ages.into_iter().map(|age| age.place().clone()).collect()
}

/// Fields without effect: sessions are kept wherever a server opens them; of a target's policies only TLS is read.
fn ignored(backend: &Arc<Backend>) -> Vec<String> {
    let mut paths = backend.spec.ignored();
    let Some(mcp) = &backend.spec.mcp else { return paths };
    if matches!(
        mcp.session_routing,
        Some(SessionRouting::Stateless | SessionRouting::Other)
    ) {
        paths.push("mcp.sessionRouting".to_owned());
    }
    for entry in &mcp.targets {
        let policies = entry
            .fixed
            .as_ref()
            .and_then(|fixed| fixed.rest.get("policies")?.as_object());
        let Some(policies) = policies else { continue };
        let whole = format!("mcp.targets[{}].static.policies", entry.name);
        paths.retain(|path| *path != whole);
        for (key, value) in policies {
            let tls = value.as_object().filter(|_| key == "tls");
            match tls {
                Some(tls) => {
                    let unread = tls.keys().filter(|key| *key != "sni");
                    paths.extend(unread.map(|unread| format!("{whole}.tls.{unread}")));
                }
                None => paths.push(format!("{whole}.{key}")),
            }
        }
    }
    paths
}

/// Where a backend object stands that a route of this namespace refers to.
fn referent(namespace: &str, reference_namespace: Option<&str>, name: &str) -> Place {
    let given = reference_namespace.filter(|name| !name.is_empty());
    super::object::place(given.unwrap_or(namespace), name)
}

/// The key of the backend object that an upstream belongs to.
pub(crate) fn key_of(owner: &Owner) -> Key {
    let agentgateway = Kind::AgentgatewayBackend;
    let (_, word) = agentgateway.types();
    let kind = if *owner.kind == *word {
        agentgateway
    } else {
        Kind::KgatewayBackend
    };
    Key::new(kind, owner.place.clone())
}
