//! What a backend object and the HTTPRoutes that name it should show.
//!
//! `Ready` means that a processor has listed at least one of its servers; the message says how many, and why the others
//! are not. For one bad server harms nobody else, whatever `failureMode` says.

use super::super::conditions::{Truth, Verdict};
use super::super::heard::Heard;
use super::super::problem::{Problem, Why};
use super::super::status::{self, Found, Probes, READY};
use super::routes;
use super::{Answer, Server};
use crate::edge::kube::plan::{self, Place};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Whether its spec could be understood.
pub(crate) const ACCEPTED: &str = "Accepted";
/// Names of tools depend on how many Services there are.
pub(crate) const NAMES: &str = "NamesMayChange";
/// Whether the references of a route lead somewhere.
const RESOLVED: &str = "ResolvedRefs";
/// A part of a route is left out.
const PARTLY: &str = "PartiallyInvalid";

/// How our condition `Accepted` begins.
const ACCEPTED_BY_US: &str = "mcp-manifold: ";

/// One endpoint of the object, and what is heard of its Gateway.
pub(crate) type Served<'a> = (&'a Place, &'a plan::Endpoint, Option<&'a Heard>);

/// What is found of a backend object now.
#[derive(Debug)]
pub(crate) struct Sight {
    /// The condition `Ready`.
    pub ready: Verdict,
    /// Servers that are ready.
    pub count: usize,
    /// Their tools.
    pub tools: usize,
    /// What else an operator should know.
    pub warning: Option<Verdict>,
    /// Nobody has said anything: what the object shows may still hold.
    pub silent: bool,
}

impl Sight {
    fn not(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            ready: Verdict::new(READY, Truth::False, reason, message),
            count: 0,
            tools: 0,
            warning: None,
            silent: false,
        }
    }
}

/// Whether it is ready. `problem`: why a route that names it makes no endpoint.
#[must_use]
pub(crate) fn ready(answer: &Answer, endpoints: &[Served<'_>], problem: Option<&Problem>, probes: Probes) -> Sight {
    if answer.servers.is_empty() {
        let message = "no target: no Service that the selectors choose has a port with an MCP appProtocol";
        return Sight::not("NoTargets", message);
    }
    if answer.users.is_empty() {
        return Sight::not(Why::RouteNotFound.as_str(), "no HTTPRoute names it in backendRefs");
    }
    if endpoints.is_empty() {
        let unknown = || Problem::new(Why::RouteInvalid, "the HTTPRoute that names it makes no endpoint");
        let problem = problem.cloned().unwrap_or_else(unknown);
        return Sight::not(problem.why.as_str(), problem.message);
    }
    let servers = answer.servers.iter().enumerate();
    let found: Vec<_> = servers
        .filter_map(|(index, (server, _))| Some((server, best(index, server, endpoints, probes)?)))
        .collect();
    summary(&found)
}

/// What is known of one server, at the endpoint that has most to say of it.
fn best(index: usize, server: &Server, endpoints: &[Served<'_>], probes: Probes) -> Option<Found> {
    let found = endpoints.iter().filter_map(|(gateway, endpoint, heard)| {
        let upstream = endpoint.upstreams.get(index)?;
        Some(status::upstream(
            upstream,
            server.idle.as_ref(),
            gateway,
            *heard,
            probes,
        ))
    });
    found.max_by_key(|found| (found.ready.status == Truth::True, !found.silent))
}

fn summary(found: &[(&Server, Found)]) -> Sight {
    let is_ready = |found: &Found| found.ready.status == Truth::True;
    let count = found.iter().filter(|(_, found)| is_ready(found)).count();
    let reports = found.iter().filter_map(|(_, found)| found.report.as_ref());
    let tools = reports.filter(|report| report.ready).map(|report| report.tools).sum();
    let mut message = format!("{count} of {} servers are ready, {tools} tools", found.len());
    for (server, found) in found.iter().filter(|(_, found)| !is_ready(found)) {
        let verdict = &found.ready;
        message.push_str(&format!(
            "; target {:?}: {}: {}",
            server.target.name, verdict.reason, verdict.message
        ));
    }
    let first = found.iter().find(|(_, found)| !found.silent).or(found.first());
    let reason = match (count, first) {
        (0, Some((_, found))) => found.ready.reason.clone(),
        (0, None) => "Pending".into(),
        (_, _) if count == found.len() => READY.into(),
        (_, _) => "PartiallyReady".into(),
    };
    let truth = if count > 0 { Truth::True } else { Truth::False };
    Sight {
        ready: Verdict::new(READY, truth, reason, message),
        count,
        tools,
        warning: found.iter().find_map(|(_, found)| found.warning.clone()),
        silent: found.iter().all(|(_, found)| found.silent),
    }
}

/// Whether the shown condition `Accepted` is that of the object's own project, whose controller runs here too. Two
/// controllers would write it in turn for ever.
#[must_use]
pub(crate) fn is_accepted_by_others(shown: &[Condition]) -> bool {
    let mut accepted = shown.iter().filter(|condition| condition.type_ == ACCEPTED);
    accepted.any(|condition| !condition.message.starts_with(ACCEPTED_BY_US))
}

/// What its own text is worth.
#[must_use]
pub(crate) fn accepted(answer: &Answer) -> Verdict {
    let (truth, reason) = match (answer.servers.is_empty(), answer.left_out.is_empty()) {
        (_, true) => (Truth::True, ACCEPTED),
        (false, false) => (Truth::True, PARTLY),
        (true, false) => (Truth::False, "Invalid"),
    };
    let mut message = format!("{ACCEPTED_BY_US}{} targets", answer.servers.len());
    for sentence in &answer.left_out {
        message.push_str("; left out: ");
        message.push_str(sentence);
    }
    Verdict::new(ACCEPTED, truth, reason, message)
}

/// The warning about names; `None`: they stay.
#[must_use]
pub(crate) fn names(answer: &Answer) -> Option<Verdict> {
    answer.renames.then(|| {
        let message = "prefixMode is Conditional: tools have no prefix while there is one target, and all of them get one \
                       when a second Service appears; set prefixMode: Always and names stay";
        Verdict::new(NAMES, Truth::True, "ConditionalPrefix", message)
    })
}

/// What a route shows for a parent. `lost`: what an older route has there.
#[must_use]
pub(crate) fn parent(answer: &routes::Answer, taken: &Result<(), Problem>, lost: Option<&Problem>) -> Vec<Verdict> {
    let accepted = match taken {
        Ok(()) => Verdict::new(
            ACCEPTED,
            Truth::True,
            ACCEPTED,
            "MCP backends are served by mcp-manifold",
        ),
        Err(problem) => Verdict::new(ACCEPTED, Truth::False, problem.why.as_str(), &problem.message),
    };
    let sentences = |chosen: &dyn Fn(Why) -> bool| {
        let problems = answer.problems.iter().chain(lost);
        problems
            .filter(|problem| chosen(problem.why))
            .map(|problem| problem.message.as_str())
            .collect::<Vec<_>>()
            .join("; ")
    };
    let of_reference = |why| matches!(why, Why::BackendNotFound | Why::ReferenceGrantRequired);
    let first = answer.problems.iter().find(|problem| of_reference(problem.why));
    let resolved = match first {
        None => Verdict::new(RESOLVED, Truth::True, RESOLVED, "MCP backends are found"),
        Some(problem) => Verdict::new(RESOLVED, Truth::False, problem.why.as_str(), sentences(&of_reference)),
    };
    let invalid = sentences(&|why| !of_reference(why));
    let partly = (!invalid.is_empty()).then(|| Verdict::new(PARTLY, Truth::True, "UnsupportedValue", invalid));
    [Some(accepted), Some(resolved), partly].into_iter().flatten().collect()
}
