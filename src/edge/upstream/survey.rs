//! One survey of an upstream in one era, for whoever asks: what it says of itself and everything that it lists.

use super::handshake::{self, Handshake};
use super::line::{CAPABLE, Line, Speaker, Tie};
use super::{Failure, listing, probe};
use crate::edge::http::Target;
use crate::engine::catalog::Listing;
use crate::engine::mcp::capabilities::ServerFlags;
use crate::engine::mcp::{Era, Version};
use crate::engine::session::{Client, Delegation};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// For the farewell to a session that was opened for a survey.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// What to list, and how it was agreed on.
pub(super) struct Agreed {
    line: Line,
    listing: Listing,
}

impl Agreed {
    /// In a session that was opened; its binding says who speaks.
    pub(super) fn legacy(target: &Arc<Target>, session: &Handshake) -> Self {
        Self {
            line: Line::new(Arc::clone(target), Tie::Session(session.binding.clone())),
            listing: Listing {
                version: session.binding.version,
                stateful: session.binding.id.is_some(),
                capabilities: session.capabilities.clone(),
                flags: session.flags,
                instructions: session.instructions.clone(),
                ..empty()
            },
        }
    }

    /// Without one, with what speaks for whoever lists.
    pub(super) fn modern(target: &Arc<Target>, discovered: probe::Discovered, speaks: &Delegation) -> Self {
        let (tie, speaker) = (Tie::ModernCapable(discovered.version), Speaker::Caller(speaks.clone()));
        Self {
            line: Line::of(Arc::clone(target), tie, speaker),
            listing: Listing {
                version: discovered.version,
                stateful: false,
                capabilities: discovered.capabilities,
                flags: discovered.flags,
                instructions: discovered.instructions,
                ..empty()
            },
        }
    }

    /// Reads the lists, `page_time` for each page; and what was odd.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(super) async fn read(self, page_time: Duration) -> Result<(Listing, Vec<String>), Failure> {
        let Self { line, mut listing } = self;
        let lists = listing::read(&line, listing.flags, page_time).await?;
        [listing.tools, listing.prompts, listing.resources, listing.templates] = lists.items;
        listing.ttl_ms = lists.ttl_ms;
        listing.public = lists.public;
        Ok((listing, lists.warnings))
    }
}

/// Ends a session that was opened for a look.
pub(super) async fn close(target: &Arc<Target>, session: Handshake) {
    let line = Line::new(Arc::clone(target), Tie::Session(session.binding));
    line.delete(FAREWELL).await;
}

/// Whether clients that take no requests may see less of it. Without a session a legacy upstream knows nothing of who asks.
pub(super) fn has_reserved(listing: &Listing) -> bool {
    !listing.tools.is_empty() && (listing.stateful || listing.version.era() == Era::Modern)
}

/// What the upstream lists to a client that it may not send requests, for whom `speaks` speaks; in the legacy era asked in a
/// session of its own.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn plain_tools(
    target: &Arc<Target>,
    version: Version,
    speaks: &Delegation,
) -> Result<HashSet<Box<str>>, Failure> {
    let time = target.timeout().list;
    let tie = match version.era() {
        Era::Legacy => {
            let plain = Client::default();
            let session = handshake::open(target, &plain, Version::NEWEST_LEGACY, None, speaks).await?;
            Tie::Session(session.binding)
        }
        Era::Modern => Tie::Modern(version),
    };
    let line = Line::of(Arc::clone(target), tie, Speaker::Caller(speaks.clone()));
    let tools_alone = ServerFlags {
        tools: true,
        ..ServerFlags::default()
    };
    let lists = listing::read(&line, tools_alone, time).await;
    line.delete(FAREWELL).await;
    let [tools, ..] = lists?.items;
    Ok(tools.into_iter().map(|tool| tool.key).collect())
}

/// Who lists: a client that can do everything that upstreams ask of clients. It will not do it: what is asked in its
/// session is refused by `watch`.
pub(super) fn capable() -> Client {
    Client {
        capabilities: CAPABLE.into(),
        ..Client::default()
    }
}

fn empty() -> Listing {
    Listing {
        version: Version::NEWEST_LEGACY,
        stateful: false,
        capabilities: "{}".into(),
        flags: ServerFlags::default(),
        instructions: None,
        tools: Vec::new(),
        prompts: Vec::new(),
        resources: Vec::new(),
        templates: Vec::new(),
        ttl_ms: 0,
        public: false,
    }
}
