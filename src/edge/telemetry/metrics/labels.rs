//! Label sets. Every value is one of a bounded set.

use crate::engine::exchange::Record;
use crate::engine::exchange::record::Way;
use crate::engine::jsonrpc::code::Code;
use crate::engine::mcp::{Era, Method, Version};
use crate::engine::session::past::{Ending, Past};
use crate::engine::status::StatePart;
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use std::sync::Arc;

/// Labels of `mcp_server_operation_duration_seconds`. An empty value counts as no label.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(super) struct Operation {
    mcp_method_name: &'static str,
    error_type: &'static str,
    gen_ai_tool_name: Option<Arc<str>>,
    mcp_protocol_version: VersionLabel,
}

impl Operation {
    pub(super) const fn new(
        method: MethodLabel,
        error: ErrorType,
        tool: Option<Arc<str>>,
        version: VersionLabel,
    ) -> Self {
        Self {
            mcp_method_name: method.as_str(),
            error_type: error.as_str(),
            gen_ai_tool_name: tool,
            mcp_protocol_version: version,
        }
    }
}

impl EncodeLabelSet for Operation {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        let Self {
            mcp_method_name,
            error_type,
            gen_ai_tool_name,
            mcp_protocol_version,
        } = self;
        ("mcp_method_name", *mcp_method_name).encode(encoder.encode_label())?;
        ("error_type", *error_type).encode(encoder.encode_label())?;
        if let Some(name) = gen_ai_tool_name.as_deref() {
            ("gen_ai_tool_name", name).encode(encoder.encode_label())?;
        }
        mcp_protocol_version.encode(encoder)
    }
}

/// A revision that we know; none where nobody says one.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) struct VersionLabel(pub(super) Option<Version>);

impl VersionLabel {
    /// One more than there are revisions.
    pub(super) const COUNT: usize = Version::ALL.len() + 1;

    pub(super) const fn index(self) -> usize {
        match self.0 {
            Some(version) => version as usize,
            None => Self::COUNT - 1,
        }
    }
}

impl EncodeLabelSet for VersionLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        match self.0 {
            Some(version) => ("mcp_protocol_version", version.as_str()).encode(encoder.encode_label()),
            None => Ok(()),
        }
    }
}

/// Labels of `mcp_client_operation_duration_seconds`: what was asked of whom.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::edge::telemetry) struct Call {
    mcp_method_name: &'static str,
    error_type: &'static str,
    upstream: String,
    #[prometheus(flatten)]
    mcp_protocol_version: VersionLabel,
}

impl Call {
    /// `None`: no upstream was asked. A configured name, so that there are only as many as upstreams.
    pub(in crate::edge::telemetry) fn of(record: &Record) -> Option<Self> {
        let upstream = record.upstream.as_deref()?;
        let asked = match record.way {
            Way::Forward | Way::Relay => true,
            Way::Reject => matches!(
                record.code.map(Code),
                Some(Code::UPSTREAM_UNAVAILABLE | Code::UPSTREAM_TIMEOUT)
            ),
            Way::Undecided | Way::Answer => false,
        };
        asked.then(|| Self {
            mcp_method_name: MethodLabel::of(record).as_str(),
            error_type: ErrorType::of(record).as_str(),
            upstream: upstream.to_owned(),
            mcp_protocol_version: VersionLabel(record.spoken),
        })
    }
}

/// Labels of `mcp_client_session_duration_seconds`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct AtUpstream {
    error_type: &'static str,
    upstream: String,
    #[prometheus(flatten)]
    mcp_protocol_version: VersionLabel,
}

impl AtUpstream {
    pub(super) fn new(upstream: &str, past: &Past) -> Self {
        Self {
            error_type: match past.ending {
                Ending::Closed => "",
                Ending::Lost => "session_lost",
            },
            upstream: upstream.to_owned(),
            mcp_protocol_version: VersionLabel(Some(past.version)),
        }
    }
}

/// A known method, or `other`: notifications, unknown ones, bodies that were never understood.
#[derive(Clone, Copy)]
pub(super) struct MethodLabel(Option<Method>);

impl MethodLabel {
    /// One more than there are methods.
    pub(super) const COUNT: usize = Method::ALL.len() + 1;

    pub(super) const fn of(record: &Record) -> Self {
        Self(record.known)
    }

    pub(super) const fn index(self) -> usize {
        match self.0 {
            Some(method) => method as usize,
            None => Self::COUNT - 1,
        }
    }

    const fn as_str(self) -> &'static str {
        match self.0 {
            Some(method) => method.as_str(),
            None => "other",
        }
    }
}

/// What `error.type` says. Faults of the caller are no errors of a server (conventions for MCP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge::telemetry) enum ErrorType {
    None,
    /// A JSON-RPC code of ours.
    Code(&'static str),
    /// An HTTP status of the upstream.
    Status,
    /// The tool says that it has failed.
    Tool,
}

impl ErrorType {
    pub(in crate::edge::telemetry) fn of(record: &Record) -> Self {
        match record.code.map(Code) {
            None if record.status >= 500 => Self::Status,
            None if record.is_error == Some(true) => Self::Tool,
            None
            | Some(
                Code::PARSE
                | Code::INVALID_REQUEST
                | Code::METHOD_NOT_FOUND
                | Code::INVALID_PARAMS
                | Code::RESOURCE_NOT_FOUND,
            ) => Self::None,
            Some(Code::SESSION_NOT_FOUND) => Self::Code("-32001"),
            Some(Code::HEADER_MISMATCH) => Self::Code("-32020"),
            Some(Code::UNSUPPORTED_VERSION) => Self::Code("-32022"),
            Some(Code::UPSTREAM_UNAVAILABLE) => Self::Code("-31010"),
            Some(Code::DENIED) => Self::Code("-31011"),
            Some(Code::RATE_LIMITED) => Self::Code("-31012"),
            Some(Code::UPSTREAM_TIMEOUT) => Self::Code("-31013"),
            Some(Code::GATEWAY_UNAVAILABLE) => Self::Code("-31014"),
            Some(Code(_)) => Self::Code("_OTHER"),
        }
    }

    pub(in crate::edge::telemetry) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Code(code) => code,
            Self::Status => "5xx",
            Self::Tool => "tool_error",
        }
    }
}

/// Labels of `mcp_manifold_exchanges_total`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Exchanges {
    way: &'static str,
    era: &'static str,
}

impl Exchanges {
    pub(super) fn new(way: Way, era: Option<Era>) -> Self {
        Self {
            way: way.as_str(),
            era: era.map_or("", Era::as_str),
        }
    }
}

/// Labels of `mcp_manifold_rejects_total`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Reject {
    pub(super) reason: &'static str,
}

/// Labels of what concerns one rate limit: a configured name.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct LimitLabel {
    limit: String,
}

impl LimitLabel {
    pub(super) fn new(name: &str) -> Self {
        Self { limit: name.into() }
    }
}

/// Labels of what concerns a part of the state folder.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct StateLabel {
    part: &'static str,
}

impl StateLabel {
    pub(super) const fn new(part: StatePart) -> Self {
        Self { part: part.as_str() }
    }
}

/// Labels of what is known of one upstream.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct UpstreamLabel {
    upstream: String,
}

impl UpstreamLabel {
    pub(super) fn new(name: &str) -> Self {
        Self { upstream: name.into() }
    }
}

/// Labels of `mcp_manifold_build_info`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Build {
    version: &'static str,
}

impl Build {
    pub(super) const THIS: Self = Self {
        version: env!("CARGO_PKG_VERSION"),
    };
}
