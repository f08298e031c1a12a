//! Questions about the clients' sessions: who begins, goes on, ends, and who hears what a client tells.

use super::{Desk, now};
use crate::edge::extproc::Asked;
use crate::engine::exchange::Finding;
use crate::engine::exchange::step::{Addressee, Notice, SessionRef};
use crate::engine::session::past::Begun;
use crate::engine::session::{Binding, Client, Level, Lookup, Recall, SessionKey, SessionStore, Timestamp};
use bytes::Bytes;
use std::sync::Arc;

impl Desk {
    pub(super) fn recall(&self, session: SessionRef) -> Asked {
        Asked::Now(match self.store.recall(session.key, now()) {
            Recall::Live => Finding::Live,
            Recall::Ended => Finding::Ended,
        })
    }

    pub(super) fn introduce(&self, session: SessionRef) -> Asked {
        Asked::Now(match self.store.recall(session.key, now()) {
            Recall::Live => {
                let (client, level) = self.store.client(session.key);
                Finding::Introduced(client, level)
            }
            Recall::Ended => Finding::Ended,
        })
    }

    pub(super) fn start(&self, session: SessionRef, principal: u64, client: Client) -> Asked {
        if !self.may_begin(principal, session.key) {
            return Asked::Now(Finding::SessionsFull);
        }
        Asked::Now(match self.store.start(session.key, session.expires, client) {
            Ok(()) => {
                let (at, version) = (now(), session.version);
                self.store.begun(session.key, Begun { at, version });
                Finding::Live
            }
            Err(_full) => Finding::SessionsFull,
        })
    }

    /// Whether the principal may begin another session.
    fn may_begin(&self, principal: u64, session: SessionKey) -> bool {
        let room = self.room.load();
        let idle = u64::try_from(room.idle.as_millis()).unwrap_or(u64::MAX);
        let before = Timestamp(now().0.saturating_sub(idle));
        self.principals
            .begin(principal, session, room.sessions, before, &self.store)
    }

    pub(super) fn set_level(&self, session: SessionRef, level: Level) -> Asked {
        if !self.store.set_level(session.key, session.expires, level) {
            return Asked::Now(Finding::Ended);
        }
        // Upstream sessions opened later hear it in their handshake.
        for (upstream, binding) in self.store.ties(session.key) {
            self.binder.notify(Notice::Level {
                upstream: upstream.into(),
                binding,
                level,
            });
        }
        Asked::Now(Finding::Live)
    }

    pub(super) fn end(&self, session: SessionRef) -> Asked {
        // It lasted until now.
        self.store.recall(session.key, now());
        let ended = self.store.end(session.key, session.expires);
        if !ended.first {
            return Asked::Now(Finding::Ended);
        }
        self.hub.end(session.key);
        self.mailbox.end(session.key);
        for (upstream, binding) in ended.bindings {
            self.binder.notify(Notice::Close {
                upstream: upstream.into(),
                binding,
            });
        }
        Asked::Later(Box::pin(async move { Finding::EndWritten(ended.written.await) }))
    }

    /// Finds out who hears a client's message, and passes it on.
    pub(super) fn tell(&self, session: SessionKey, to: Addressee, message: Bytes) -> Asked {
        if self.store.recall(session, now()) == Recall::Ended {
            return Asked::Now(Finding::Ended);
        }
        let tie = match to {
            Addressee::Stateless(upstream, binding) => {
                let delegation = self.store.delegation(session, &upstream);
                Some((upstream, Binding { delegation, ..binding }))
            }
            Addressee::Upstream(upstream) => match self.store.lookup(session, &upstream, now()) {
                Lookup::Bound(binding) => Some((upstream, binding)),
                Lookup::Unbound | Lookup::Ended => None,
            },
            Addressee::Exchange(id) => {
                let told = self.mailbox.deliver(session, &id, message);
                return Asked::Now(Finding::Told(told));
            }
            Addressee::Owner(call) if self.mailbox.cancel(session, &call) => return Asked::Now(Finding::Told(true)),
            Addressee::Owner(call) => self.store.owner(session, call.as_bytes()).map(named),
            Addressee::Only => match <[_; 1]>::try_from(self.store.ties(session)) {
                Ok([only]) => Some(named(only)),
                Err(_) => None,
            },
            Addressee::All => {
                for (upstream, binding) in self.store.ties(session).into_iter().map(named) {
                    let message = message.clone();
                    self.binder.notify(Notice::Tell {
                        upstream,
                        binding,
                        message,
                    });
                }
                return Asked::Now(Finding::Told(true));
            }
        };
        let Some((upstream, binding)) = tie else {
            tracing::debug!("Message of a client for an upstream session that is gone.");
            return Asked::Now(Finding::Told(false));
        };
        let binder = Arc::clone(&self.binder);
        Asked::Later(Box::pin(async move { binder.tell(upstream, binding, message).await }))
    }
}

fn named((upstream, binding): (String, Binding)) -> (Arc<str>, Binding) {
    (upstream.into(), binding)
}
