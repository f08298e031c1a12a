//! Hears what an upstream announces to one caller, for as long as a client of that caller holds a stream open.
//!
//! Where it speaks 2026-07-28 by a listen of our own; else in a session of our own, unless the client's session hears it.

use super::Inner;
use super::table::Key;
use crate::edge::backoff::Backoff;
use crate::edge::http::Target;
use crate::edge::upstream::line::{Line, Speaker, Tie};
use crate::edge::upstream::watch::{News, Watch};
use crate::edge::upstream::{Failure, PAUSES, handshake};
use crate::engine::catalog::Catalog;
use crate::engine::exchange::step::Notice;
use crate::engine::mcp::Version;
use crate::engine::session::{Binding, Client, Delegation};
use std::sync::Arc;
use std::time::Duration;

/// So often it is looked at whether anybody still listens.
const LOOK: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Watcher {
    pub(super) inner: Arc<Inner>,
    pub(super) key: Key,
    pub(super) target: Arc<Target>,
    pub(super) delegation: Delegation,
    /// What it listed for the caller.
    pub(super) catalog: Catalog,
}

impl Watcher {
    /// Whether it says at all what changes.
    pub(super) fn is_of_use(catalog: &Catalog) -> bool {
        let listing = catalog.modern.as_ref().or(catalog.legacy.as_ref());
        listing.is_some_and(|listing| listing.flags.list_changed)
    }

    /// Runs until nobody wants it any more.
    pub(super) async fn run(self) {
        let mut backoff = Backoff::new(PAUSES);
        while self.is_wanted() {
            match Box::pin(self.open()).await {
                Ok((mut watch, session)) => Box::pin(self.hear(&mut watch, session, &mut backoff)).await,
                Err(failure) => {
                    let upstream = &self.key.upstream;
                    tracing::debug!(%upstream, %failure, "Upstream is not watched for a caller.");
                }
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
        self.inner.state().1.unwatched(&self.key, &self.delegation);
    }

    /// Until the session is lost, or nobody listens.
    async fn hear(&self, watch: &mut Watch, _session: Option<Own<'_>>, backoff: &mut Backoff) {
        loop {
            tokio::select! {
                news = watch.next() => match news {
                    News::Changed(kinds) => {
                        backoff.reset();
                        self.inner.changed(&self.key.upstream, &self.key.principal, kinds);
                    }
                    News::SessionLost => return,
                },
                () = tokio::time::sleep(LOOK) => {
                    if !self.is_wanted() {
                        return;
                    }
                }
            }
        }
    }

    async fn open(&self) -> Result<(Watch, Option<Own<'_>>), Failure> {
        let speaker = || Speaker::Caller(self.delegation.clone());
        if let Some(modern) = &self.catalog.modern {
            let line = Line::of(Arc::clone(&self.target), Tie::Modern(modern.version), speaker());
            return Ok((Watch::modern(line, modern.flags), None));
        }
        let client = Client::default();
        let session = handshake::open(&self.target, &client, Version::NEWEST_LEGACY, None, &self.delegation).await?;
        let own = Own {
            watcher: self,
            binding: session.binding.clone(),
        };
        let line = Line::of(Arc::clone(&self.target), Tie::Session(session.binding), speaker());
        Ok((Watch::legacy(line, session.flags), Some(own)))
    }

    /// Somebody listens, who does not hear it anyway, and the credential is the caller's latest.
    fn is_wanted(&self) -> bool {
        let hears = self.catalog.modern.is_none() && self.inner.hears_itself(&self.key);
        let heard = !hears && self.inner.is_heard(&self.key.principal) && self.inner.is_current(&self.target);
        heard && self.inner.state().1.is_latest(&self.key, &self.delegation)
    }
}

/// A session of our own, ended with its watch.
struct Own<'a> {
    watcher: &'a Watcher,
    binding: Binding,
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        let notice = Notice::Close {
            upstream: Arc::clone(&self.watcher.key.upstream),
            binding: self.binding.clone(),
        };
        let target = Arc::clone(&self.watcher.target);
        let _ = self.watcher.inner.notices.send((target, notice));
    }
}
