//! What objects should show: conditions, counts, what is in force.
//!
//! `Ready` on a registration means that a processor has listed the server; everything else is a reason why not.

use super::conditions::{Truth, Verdict};
use super::denial;
use super::heard::{Finding, Heard};
use super::problem::{Problem, Why};
use super::road;
use super::{extension, registration};
use crate::edge::kube::plan::{self, Place};
use crate::engine::status::{Reason, UpstreamStatus};

/// The condition that everybody waits for.
pub(crate) const READY: &str = "Ready";
/// Fields are set that have no effect.
pub(crate) const IGNORED: &str = "FieldsIgnored";
/// Several processors, each with sessions of its own.
pub(crate) const SESSIONS: &str = "SessionsNotShared";

/// Whether somebody probes routes: readiness waits for what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probes {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// What is found of one registration now.
#[derive(Debug)]
pub(crate) struct Found {
    /// The condition `Ready`.
    pub ready: Verdict,
    /// The report it rests on.
    pub report: Option<Box<UpstreamStatus>>,
    /// What else an operator should know.
    pub warning: Option<Verdict>,
    /// Nobody has said anything: what the object shows may still hold.
    pub silent: bool,
}

impl Found {
    fn not(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            ready: Verdict::new(READY, Truth::False, reason, message),
            report: None,
            warning: None,
            silent: false,
        }
    }
}

/// Whether a registration is ready.
#[must_use]
pub(crate) fn registration(
    answer: &registration::Answer,
    refused: Option<&Problem>,
    heard: Option<&Heard>,
    probes: Probes,
) -> Found {
    let made = match (&answer.made, refused) {
        (Err(problem), _) | (Ok(_), Some(problem)) => return Found::not(problem.why.as_str(), &problem.message),
        (Ok(made), None) => made,
    };
    if !answer.enabled {
        return Found::not(
            Why::Disabled.as_str(),
            "state is Disabled: the server is not listed, calls are refused",
        );
    }
    let idle = made.idle.as_ref();
    upstream(&made.upstream, idle, &made.binding.gateway, heard, probes)
}

/// What processors of the Gateway say of an enabled upstream. `idle`: its Service, if that has no ready address.
#[must_use]
pub(crate) fn upstream(
    upstream: &plan::Upstream,
    idle: Option<&Place>,
    gateway: &Place,
    heard: Option<&Heard>,
    probes: Probes,
) -> Found {
    let nobody = Heard::default();
    let heard = heard.unwrap_or(&nobody);
    if let Some(reason) = heard.unsent(&upstream.assigned.name) {
        let message = format!("processors cannot be told of the server: {reason}; mend what it names");
        return Found::not(Why::Invalid.as_str(), message);
    }
    match (heard.of(&upstream.assigned), idle) {
        (Finding::NoProcessor, _) => Found {
            silent: true,
            ..Found::not("NoProcessor", format!("no processor of Gateway {gateway} is connected"))
        },
        (Finding::Silent | Finding::Ready(_) | Finding::Failing(_), Some(service)) => Found::not(
            Reason::Unreachable.as_str(),
            format!("Service {service} has no ready endpoint"),
        ),
        (Finding::Silent, None) => match heard.refusal() {
            Some(sentence) => Found::not("AssignmentRefused", sentence),
            None => Found {
                silent: true,
                ..Found::not(
                    Reason::Pending.as_str(),
                    "no processor has tried to list the server yet",
                )
            },
        },
        (Finding::Failing(report), None) => Found {
            ready: Verdict::new(READY, Truth::False, report.reason.as_str(), failure(&report)),
            report: Some(report),
            warning: None,
            silent: false,
        },
        (Finding::Ready(report), None) => listed(upstream, report, heard, probes),
    }
}

/// A processor has listed it; ready, where its route is as it should be.
fn listed(upstream: &plan::Upstream, report: Box<UpstreamStatus>, heard: &Heard, probes: Probes) -> Found {
    let road = heard.road(&upstream.assigned.name);
    match obstacle(upstream, heard, probes) {
        None => {
            let message = success(&report, heard.share(&upstream.assigned.name));
            Found {
                ready: Verdict::new(READY, Truth::True, READY, message),
                report: Some(report),
                warning: road::unverified(road),
                silent: false,
            }
        }
        Some((reason, message)) => Found {
            silent: reason == road::PENDING,
            report: Some(report),
            ..Found::not(reason, message)
        },
    }
}

/// What stands between the processors and an upstream that they have listed.
fn obstacle(upstream: &plan::Upstream, heard: &Heard, probes: Probes) -> Option<(&'static str, String)> {
    denial::obstacle(heard.denials(), upstream).or_else(|| match probes {
        Probes::On => road::obstacle(upstream, heard.road(&upstream.assigned.name)),
        Probes::Off => None,
    })
}

/// Whether an upstream is ready, without words.
#[must_use]
pub(crate) fn is_ready(upstream: &plan::Upstream, heard: &Heard, probes: Probes) -> bool {
    upstream.assigned.enabled
        && heard.may_be_ready(&upstream.assigned.name)
        && heard.unsent(&upstream.assigned.name).is_none()
        && matches!(heard.of(&upstream.assigned), Finding::Ready(_))
        && obstacle(upstream, heard, probes).is_none()
}

fn failure(report: &UpstreamStatus) -> String {
    let usual = match report.reason {
        Reason::Ready | Reason::Pending => "the server has not been listed yet",
        Reason::Disabled => "switched off",
        Reason::Unreachable => "the server cannot be reached",
        Reason::Timeout => "the server did not answer in time",
        Reason::Unauthorized => "the server refuses the credential: see credentialRef",
        Reason::ProtocolError => "the server answers, but not as an MCP server",
        Reason::SecretMissing => "a secret is missing",
    };
    match &report.last_error {
        Some(error) => format!("{usual}: {error}"),
        None => usual.to_owned(),
    }
}

fn success(report: &UpstreamStatus, (ready, all): (usize, usize)) -> String {
    let mut message = format!(
        "listed: {} tools, {} prompts, {} resources",
        report.tools, report.prompts, report.resources
    );
    if ready < all {
        message.push_str(&format!("; by {ready} of {all} processors"));
    }
    for warning in &report.warnings {
        message.push_str("; ");
        message.push_str(warning);
    }
    message
}

/// Whether an extension is ready, and whether that rests on silence.
#[must_use]
pub(crate) fn extension(
    answer: &extension::Answer,
    refused: Option<&Problem>,
    heard: Option<&Heard>,
) -> (Verdict, bool) {
    const NOT_YET: &str = "DeploymentNotReady";
    let not = |reason: &'static str, message: String| Verdict::new(READY, Truth::False, reason, message);
    let frame = match (&answer.frame, refused) {
        (Err(problem), _) | (Ok(_), Some(problem)) => {
            return (not(problem.why.as_str(), problem.message.clone()), false);
        }
        (Ok(frame), None) => frame,
    };
    if let Some((reason, message)) = heard.and_then(|heard| denial::shut(heard.denials(), &frame.endpoint)) {
        return (not(reason, message), false);
    }
    match heard.filter(|heard| heard.any()) {
        None => (
            not(
                NOT_YET,
                format!("no processor of Gateway {} is connected", answer.gateway),
            ),
            true,
        ),
        Some(heard) => match heard.refusal() {
            Some(sentence) => (not(NOT_YET, sentence), false),
            None => {
                let message = format!("served by processors of Gateway {}", answer.gateway);
                (
                    Verdict::new(READY, Truth::True, "ValidMCPGatewayExtension", message),
                    false,
                )
            }
        },
    }
}

/// The condition about fields without effect; `None`: there are none.
#[must_use]
pub(crate) fn ignored<T: AsRef<str>>(fields: &[T]) -> Option<Verdict> {
    let fields: Vec<&str> = fields.iter().map(AsRef::as_ref).collect();
    (!fields.is_empty()).then(|| {
        let message = format!("set, but without effect: {}", fields.join(", "));
        Verdict::new(IGNORED, Truth::True, "NotSupported", message)
    })
}

/// The condition about sessions that processors do not share; `None`: there is one processor at most.
#[must_use]
pub(crate) fn sessions(heard: Option<&Heard>) -> Option<Verdict> {
    let processors = heard.map_or(0, Heard::connected);
    (processors > 1).then(|| {
        let message = format!(
            "{processors} processors are connected and have no shared session store: a session that reaches another one \
             opens its upstream sessions anew; run one processor (annotation mcp-manifold/processor: deployment)"
        );
        Verdict::new(SESSIONS, Truth::True, "NoSharedStore", message)
    })
}
