//! Questions about sessions at upstreams: opened, lent, and opened again where they were lost.

use super::{Desk, now};
use crate::edge::extproc::Asked;
use crate::edge::upstream::{Hub, span};
use crate::engine::exchange::Finding;
use crate::engine::exchange::step::{Borrower, SessionRef};
use crate::engine::mcp::Version;
use crate::engine::mcp::trace::TraceContext;
use crate::engine::session::{Binding, Delegation, Lookup, SessionKey, SessionStore};
use std::sync::Arc;

impl Desk {
    pub(super) fn bind(
        &self,
        session: SessionRef,
        upstream: Arc<str>,
        call: &[u8],
        trace: Option<TraceContext>,
    ) -> Asked {
        let known = self.store.lookup(session.key, &upstream, now());
        // Released when the exchange is over, see `record`.
        self.store.hold(session.key, &upstream, call);
        match known {
            Lookup::Bound(binding) => Asked::Now(Finding::Bound(binding)),
            Lookup::Ended => Asked::Now(Finding::Ended),
            Lookup::Unbound => {
                let binder = Arc::clone(&self.binder);
                let hub = self.hub.clone();
                Asked::Later(Box::pin(async move {
                    let found = span::opened_for(trace, binder.bind(session, Arc::clone(&upstream))).await;
                    joined(&hub, session.key, &upstream, found).await
                }))
            }
        }
    }

    pub(super) fn one_shot(
        &self,
        upstream: Arc<str>,
        version: Version,
        delegation: Delegation,
        trace: Option<TraceContext>,
    ) -> Asked {
        let binder = Arc::clone(&self.binder);
        opened(
            trace,
            async move { binder.one_shot(upstream, version, delegation).await },
        )
    }

    pub(super) fn borrow(&self, borrower: Arc<Borrower>, trace: Option<TraceContext>) -> Asked {
        if let Some(finding) = self.binder.lend(&borrower) {
            return Asked::Now(finding);
        }
        let binder = Arc::clone(&self.binder);
        opened(trace, async move { binder.borrow(borrower).await })
    }

    pub(super) fn renew(&self, borrower: Arc<Borrower>, stale: Binding, trace: Option<TraceContext>) -> Asked {
        let binder = Arc::clone(&self.binder);
        opened(trace, async move { binder.renew(borrower, stale).await })
    }

    pub(super) fn recover(
        &self,
        session: Option<SessionRef>,
        upstream: Arc<str>,
        stale: Binding,
        trace: Option<TraceContext>,
    ) -> Asked {
        let binder = Arc::clone(&self.binder);
        let hub = self.hub.clone();
        Asked::Later(Box::pin(async move {
            let found = span::opened_for(trace, binder.recover(session, Arc::clone(&upstream), stale)).await;
            match session {
                Some(session) => joined(&hub, session.key, &upstream, found).await,
                None => found,
            }
        }))
    }
}

/// What takes time, on behalf of this span.
fn opened(span: Option<TraceContext>, opening: impl Future<Output = Finding> + Send + 'static) -> Asked {
    Asked::Later(Box::pin(span::opened_for(span, opening)))
}

/// A tie that has just been made is heard by the session's stream, if it holds one, before the call goes on.
async fn joined(hub: &Hub, session: SessionKey, upstream: &Arc<str>, found: Finding) -> Finding {
    if let Finding::Bound(binding) | Finding::Reopened(binding) = &found {
        hub.join(session, upstream, binding).await;
    }
    found
}
