//! One attempt to list: agreeing on how to speak, reading the lists, comparing what two kinds of clients see.

use super::Keeper;
use crate::edge::http::Target;
use crate::edge::upstream::handshake::{self, Handshake};
use crate::edge::upstream::line::{CAPABLE, Line, Tie};
use crate::edge::upstream::watch::Watch;
use crate::edge::upstream::{Failure, listing, probe};
use crate::engine::catalog::Listing;
use crate::engine::mcp::capabilities::ServerFlags;
use crate::engine::mcp::{Era, Version};
use crate::engine::session::Client;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// What to list, and how it was agreed on.
struct Agreed {
    line: Line,
    listing: Listing,
}

impl Keeper {
    pub(super) async fn attempt(&mut self) -> Result<(Arc<Listing>, Vec<String>), Failure> {
        if !self.target.is_asked_in(self.era) {
            return Err(Failure::NotAsked);
        }
        match self.era {
            Era::Legacy => self.attempt_legacy().await,
            Era::Modern => self.attempt_modern().await,
        }
    }

    /// In the session that is open, or in a new one. An upstream without session ids is greeted each time: it may have
    /// become another.
    async fn attempt_legacy(&mut self) -> Result<(Arc<Listing>, Vec<String>), Failure> {
        if let Some(session) = self.session.clone().filter(|session| session.binding.id.is_some()) {
            match self.list(Agreed::legacy(&self.target, &session)).await {
                Err(failure) if failure.session_may_be_lost() => {
                    self.session = None;
                    self.watch = None;
                }
                listed => return listed,
            }
        }
        let own = capable();
        let session = handshake::open_own(&self.target, &own, self.page_time()).await?;
        let listed = self.list(Agreed::legacy(&self.target, &session)).await;
        if session.binding.id.is_some() || !self.watches(session.flags) {
            let line = Line::own(Arc::clone(&self.target), Tie::Session(session.binding.clone()));
            self.watch = Some(Watch::legacy(line, session.flags));
        }
        self.session = Some(session);
        listed
    }

    async fn attempt_modern(&mut self) -> Result<(Arc<Listing>, Vec<String>), Failure> {
        let discovered = probe::discover(&self.target, self.page_time()).await?;
        let version = discovered.version;
        let flags = discovered.flags;
        let listed = self.list(Agreed::modern(&self.target, discovered)).await;
        if !self.watches(flags) {
            let line = Line::own(Arc::clone(&self.target), Tie::Modern(version));
            self.watch = Some(Watch::modern(line, flags));
        }
        listed
    }

    async fn list(&mut self, agreed: Agreed) -> Result<(Arc<Listing>, Vec<String>), Failure> {
        let Agreed { line, mut listing } = agreed;
        let lists = listing::read(&line, listing.flags, self.page_time()).await?;
        [listing.tools, listing.prompts, listing.resources, listing.templates] = lists.items;
        listing.ttl_ms = lists.ttl_ms;
        listing.public = lists.public;
        let mut warnings = lists.warnings;
        if let Err(failure) = self.reserve(&mut listing).await {
            warnings.push(format!(
                "what it lists for clients that take no requests is not known: {failure}"
            ));
        }
        Ok((Arc::new(listing), warnings))
    }

    /// Marks the tools that the upstream does not list to a client that it may not send requests. Everything was listed
    /// as one that it may.
    async fn reserve(&mut self, listing: &mut Listing) -> Result<(), Failure> {
        // Without a session a legacy upstream knows nothing of who asks.
        if listing.tools.is_empty() || (self.era == Era::Legacy && !listing.stateful) {
            return Ok(());
        }
        let names = listing.tools.iter().map(|tool| &tool.key);
        if !names.eq(self.compared.iter().map(|(name, _)| name)) {
            let plain = self.plain_tools(listing).await?;
            let compared = listing
                .tools
                .iter()
                .map(|tool| (tool.key.clone(), !plain.contains(&tool.key)));
            self.compared = compared.collect();
        }
        for (tool, (_, reserved)) in listing.tools.iter_mut().zip(&self.compared) {
            tool.reserved = *reserved;
        }
        Ok(())
    }

    /// What the upstream lists to a client that it may not send requests, asked in a session of its own.
    async fn plain_tools(&self, listing: &Listing) -> Result<HashSet<Box<str>>, Failure> {
        let session = match self.era {
            Era::Legacy => {
                let plain = Client::default();
                Some(handshake::open_own(&self.target, &plain, self.page_time()).await?)
            }
            Era::Modern => None,
        };
        let tie = match &session {
            Some(session) => Tie::Session(session.binding.clone()),
            None => Tie::Modern(listing.version),
        };
        let line = Line::own(Arc::clone(&self.target), tie);
        let tools_alone = ServerFlags {
            tools: true,
            ..ServerFlags::default()
        };
        let lists = listing::read(&line, tools_alone, self.page_time()).await;
        line.delete(super::FAREWELL).await;
        let [tools, ..] = lists?.items;
        Ok(tools.into_iter().map(|tool| tool.key).collect())
    }

    /// A watch for an upstream that declares this is running.
    fn watches(&self, flags: ServerFlags) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.flags() == flags)
    }

    fn page_time(&self) -> Duration {
        self.target.timeout().list
    }
}

impl Agreed {
    fn legacy(target: &Arc<Target>, session: &Handshake) -> Self {
        Self {
            line: Line::own(Arc::clone(target), Tie::Session(session.binding.clone())),
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

    fn modern(target: &Arc<Target>, discovered: probe::Discovered) -> Self {
        Self {
            line: Line::own(Arc::clone(target), Tie::ModernCapable(discovered.version)),
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
}

/// Who lists: a client that can do everything that upstreams ask of clients. It will not do it: what is asked in its
/// session is refused by `watch`.
fn capable() -> Client {
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
