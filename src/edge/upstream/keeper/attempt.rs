//! One attempt to list: agreeing on how to speak, reading the lists, comparing what two kinds of clients see.

use super::Keeper;
use crate::edge::upstream::handshake;
use crate::edge::upstream::line::{Line, Tie};
use crate::edge::upstream::survey::{self, Agreed};
use crate::edge::upstream::watch::Watch;
use crate::edge::upstream::{Failure, probe};
use crate::engine::catalog::Listing;
use crate::engine::mcp::Era;
use crate::engine::mcp::capabilities::ServerFlags;
use std::sync::Arc;
use std::time::Duration;

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
                Err(failure) if failure.session_may_be_lost() => self.lose_session(),
                listed => return listed,
            }
        }
        let own = survey::capable();
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
        let listed = self
            .list(Agreed::modern(&self.target, discovered, self.target.own()))
            .await;
        if !self.watches(flags) {
            let line = Line::own(Arc::clone(&self.target), Tie::Modern(version));
            self.watch = Some(Watch::modern(line, flags));
        }
        listed
    }

    async fn list(&mut self, agreed: Agreed) -> Result<(Arc<Listing>, Vec<String>), Failure> {
        let (mut listing, mut warnings) = agreed.read(self.page_time()).await?;
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
        if !survey::has_reserved(listing) {
            return Ok(());
        }
        let names = listing.tools.iter().map(|tool| &tool.key);
        if !names.eq(self.compared.iter().map(|(name, _)| name)) {
            let plain = survey::plain_tools(&self.target, listing.version, self.target.own()).await?;
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

    /// A watch for an upstream that declares this is running.
    fn watches(&self, flags: ServerFlags) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.flags() == flags)
    }

    fn page_time(&self) -> Duration {
        self.target.timeout().list
    }
}
