//! What to make of an upstream's response headers (design 2, Upstream failures). Used for forwards and for own calls alike.

use crate::engine::exchange::event::{ResponseHead, UpstreamFailure};
use crate::engine::exchange::reject::Trouble;
use crate::engine::mcp::Era;
use crate::engine::snapshot::Routing;

/// The judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine::exchange) enum Verdict {
    /// The client may see it.
    Pass(Media),
    /// Perhaps the upstream session is lost; `otherwise` holds if it is not.
    Suspect {
        /// What to do with the answer if the session is alive.
        otherwise: Settled,
    },
    /// The client gets an error of ours instead.
    Replace(Trouble),
    /// Envoy does not know the cluster, or the route to it (any more, or yet): worth one call of our own.
    NotRouted,
}

/// A judgement without doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine::exchange) enum Settled {
    /// The client may see it.
    Pass(Media),
    /// The client gets an error of ours instead.
    Replace(Trouble),
}

/// Kind of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine::exchange) enum Media {
    /// `application/json`
    Json,
    /// `text/event-stream`
    EventStream,
}

/// What the gateway itself answers where a request arrives that no route took to an upstream.
pub(super) const NOT_ROUTED: u16 = 530;

/// Judges the response headers of a forward: see [`judge`].
pub(in crate::engine::exchange) fn judge_forward(
    routing: Routing,
    era: Era,
    tied: bool,
    head: &ResponseHead,
) -> Verdict {
    if routing == Routing::Route && status(head) == NOT_ROUTED {
        return Verdict::NotRouted;
    }
    judge(era, tied, head)
}

/// Judges response headers that answer a request in `era`; `tied`: it carried an upstream session id.
pub(in crate::engine::exchange) fn judge(era: Era, tied: bool, head: &ResponseHead) -> Verdict {
    if let Some(details) = head.code_details.as_deref()
        && !details.starts_with("via_upstream")
    {
        return from_envoy(details);
    }
    let status = status(head);
    let settled = from_upstream(era, status, media(head));
    match (status, settled) {
        (400 | 404, otherwise) if tied => Verdict::Suspect { otherwise },
        (_, Settled::Pass(media)) => Verdict::Pass(media),
        (_, Settled::Replace(trouble)) => Verdict::Replace(trouble),
    }
}

/// The status code; 0 if unreadable.
pub(in crate::engine::exchange) fn status(head: &ResponseHead) -> u16 {
    head.headers
        .text(":status")
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

/// What kept Envoy from reaching the upstream; `None`: the upstream answered.
pub(in crate::engine::exchange) fn failure_of_envoy(head: &ResponseHead) -> Option<UpstreamFailure> {
    let details = head.code_details.as_deref()?;
    (!details.starts_with("via_upstream")).then(|| failure(details))
}

fn from_envoy(details: &str) -> Verdict {
    if details.starts_with("cluster_not_found") {
        return Verdict::NotRouted;
    }
    Verdict::Replace(Trouble::Failed(failure(details)))
}

fn failure(details: &str) -> UpstreamFailure {
    if details.contains("timeout") {
        UpstreamFailure::TimedOut
    } else {
        UpstreamFailure::Unreachable
    }
}

fn from_upstream(era: Era, status: u16, media: Option<Media>) -> Settled {
    match (status, media) {
        (200, Some(media)) => Settled::Pass(media),
        (401 | 403, _) => Settled::Replace(Trouble::Failed(UpstreamFailure::Unauthorized)),
        // A 404 means "your session is dead" to a legacy client, and it is not.
        (404, _) if era == Era::Legacy => Settled::Replace(Trouble::Status(404)),
        (400.., Some(Media::Json)) => Settled::Pass(Media::Json),
        (400.., _) => Settled::Replace(Trouble::Status(status)),
        (_, _) => Settled::Replace(Trouble::Failed(UpstreamFailure::Garbage)),
    }
}

/// `None`: nothing that an MCP client reads, or nothing at all.
fn media(head: &ResponseHead) -> Option<Media> {
    if head.end {
        return None;
    }
    let essence = head.headers.text("content-type")?.split(';').next()?.trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Some(Media::Json)
    } else if essence.eq_ignore_ascii_case("text/event-stream") {
        Some(Media::EventStream)
    } else {
        None
    }
}
