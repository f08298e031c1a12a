//! One listing for one caller at one upstream: lists, says so, tries again for whoever holds a stream open.

use super::table::{Key, Listed, State};
use super::{Inner, lister};
use crate::edge::backoff::Backoff;
use crate::edge::http::Target;
use crate::edge::upstream::{Failure, PAUSES};
use crate::engine::catalog::{Catalog, Kind};
use crate::engine::mcp::Era;
use crate::engine::session::Delegation;
use crate::engine::stream::Kinds;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;

/// See the module. A task of its own, so that a caller who leaves takes nothing down that others wait for.
pub(super) struct Flight {
    pub(super) inner: Arc<Inner>,
    pub(super) key: Key,
    pub(super) target: Arc<Target>,
    pub(super) delegation: Delegation,
    /// Of the slot; a younger one has taken over when that is another.
    pub(super) number: u64,
    /// True once it is known what came of it.
    pub(super) done: watch::Sender<bool>,
}

impl Flight {
    pub(super) async fn run(self, earliest: Instant) {
        tokio::time::sleep_until(earliest).await;
        let mut backoff = Backoff::new(PAUSES);
        loop {
            match Box::pin(lister::list(&self.target, &self.delegation, &self.inner.notices)).await {
                Ok(catalog) => return self.land(catalog),
                Err(failure) => {
                    if !self.fail(&failure) {
                        return;
                    }
                    tokio::time::sleep(backoff.next_wait()).await;
                    let wanted = self.inner.is_heard(&self.key.principal);
                    if !wanted || !self.inner.is_current(&self.target) {
                        return self.rest();
                    }
                }
            }
        }
    }

    fn land(&self, catalog: Catalog) {
        let kinds = listed_kinds(&catalog);
        let told = {
            let mut state = self.inner.state();
            let (bounds, table) = &mut *state;
            let stamp = table.number();
            let Some(slot) = table.flown(&self.key, &self.delegation, self.number) else {
                return;
            };
            let said = std::mem::take(&mut slot.said);
            let missed = std::mem::take(&mut slot.missed);
            let again = std::mem::take(&mut slot.again);
            slot.state = State::Listed(Listed::new(catalog, stamp, Instant::now()));
            table.shrink(bounds);
            let told = if missed { said.or(kinds) } else { said };
            (told, again)
        };
        self.done.send_replace(true);
        self.inner.watch(&self.key);
        match told {
            (kinds, true) => self.inner.changed(&self.key.upstream, &self.key.principal, kinds),
            (kinds, false) if !kinds.is_empty() => self.inner.announce(&self.key.principal, kinds),
            (_, false) => {}
        }
    }

    /// It is tried again after a while; until then nobody waits. False: somebody else has taken over.
    fn fail(&self, failure: &Failure) -> bool {
        let upstream = &self.key.upstream;
        tracing::debug!(%upstream, %failure, "Upstream was not listed for a caller.");
        {
            let mut state = self.inner.state();
            let Some(slot) = state.1.flown(&self.key, &self.delegation, self.number) else {
                return false;
            };
            slot.give_up_waiting();
        }
        self.done.send_replace(true);
        true
    }

    /// It is tried again when somebody comes.
    fn rest(&self) {
        let mut state = self.inner.state();
        if let Some(slot) = state.1.flown(&self.key, &self.delegation, self.number) {
            slot.state = State::Failed { at: Instant::now() };
        }
    }
}

/// The lists that are not empty.
fn listed_kinds(catalog: &Catalog) -> Kinds {
    let has = |kind| {
        let listings = [Era::Legacy, Era::Modern].into_iter();
        listings
            .filter_map(|era| catalog.listing(era))
            .any(|listing| !listing.items(kind).is_empty())
    };
    Kinds {
        tools: has(Kind::Tools),
        prompts: has(Kind::Prompts),
        resources: has(Kind::Resources) || has(Kind::Templates),
    }
}
