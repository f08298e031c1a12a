//! Why a call that an upstream wants the client's input for cannot go on, and how that is told.
//!
//! Legacy revisions have no code for it: the request as its client made it cannot be served, so -32600.

use crate::engine::jsonrpc::Code;
use std::time::Duration;

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine::exchange) enum Input {
    /// The client did not declare these capabilities; empty: the upstream does not say which.
    Lacking(Box<str>),
    /// The client takes no event stream: it cannot be asked.
    OnlyJson,
    /// The client answered this request with an error, in its own words.
    Declined(&'static str, Box<str>),
    /// The client did not answer this request within that time.
    Unanswered(&'static str, Duration),
    /// The upstream has asked this often and still wants more.
    Endless(u8),
    /// The client wants a task, which is not translated.
    Task,
    /// The client has cancelled the call.
    Cancelled,
}

impl Input {
    pub(super) const fn code(&self) -> Code {
        match self {
            Self::Lacking(_) | Self::OnlyJson | Self::Declined(..) | Self::Cancelled => Code::INVALID_REQUEST,
            Self::Unanswered(..) => Code::UPSTREAM_TIMEOUT,
            Self::Endless(_) => Code::UPSTREAM_UNAVAILABLE,
            // 2025-11-25, tasks: a tool that does not support them.
            Self::Task => Code::METHOD_NOT_FOUND,
        }
    }

    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Lacking(_) => "capability_missing",
            Self::OnlyJson => "only_json",
            Self::Declined(..) => "input_declined",
            Self::Unanswered(..) => "input_timeout",
            Self::Endless(_) => "input_endless",
            Self::Task => "task_untranslated",
            Self::Cancelled => "cancelled",
        }
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::Lacking(names) if names.is_empty() => {
                "this needs a client capability that this client did not declare".to_owned()
            }
            Self::Lacking(names) => format!("this needs a client capability that this client did not declare: {names}"),
            Self::OnlyJson => "this asks the client for input: that needs text/event-stream in Accept".to_owned(),
            Self::Declined(method, words) if words.is_empty() => format!("the client declined {method}"),
            Self::Declined(method, words) => format!("the client declined {method}: {words}"),
            Self::Unanswered(method, time) => {
                format!("the client did not answer {method} within {} s", time.as_secs())
            }
            Self::Endless(rounds) => format!("the upstream still asks for input after {rounds} rounds"),
            Self::Task => "this cannot be run as a task: its upstream knows no tasks of this revision".to_owned(),
            Self::Cancelled => "the request was cancelled".to_owned(),
        }
    }
}
