//! What nobody waits for: errands for [`super::Notices`], and messages of clients that pass beside them.

use super::{Inner, OVERHEAD};
use crate::edge::http::Target;
use crate::edge::upstream::notices;
use crate::edge::upstream::pool::Free;
use crate::engine::exchange::step::Notice;
use crate::engine::session::Binding;
use std::sync::Arc;

impl Inner {
    pub(super) fn close(&self, upstream: Arc<str>, binding: Binding) {
        self.notify(Notice::Close { upstream, binding });
    }

    pub(super) fn notify(&self, notice: Notice) {
        let upstream = match &notice {
            Notice::Relist { upstream } => {
                if let Some(target) = self.target(upstream) {
                    target.doubt();
                }
                return;
            }
            // For the hub and the session map, which the desk tells.
            Notice::Changed { .. } | Notice::Delegated { .. } | Notice::Refreshed { .. } | Notice::Spent(_) => return,
            Notice::Return { borrower, .. } => &borrower.upstream,
            Notice::Close { upstream, .. }
            | Notice::Level { upstream, .. }
            | Notice::Cancelled { upstream, .. }
            | Notice::Tell { upstream, .. } => upstream,
        };
        let Some(target) = self.target(upstream) else { return };
        let notice = match notice {
            Notice::Return { borrower, binding } => match self.pool.take_back(borrower, binding, target) {
                Some(oldest) => return self.close_at(oldest),
                None => return,
            },
            notice @ Notice::Tell { .. } => return self.say_beside(target, notice),
            notice @ (Notice::Close { .. }
            | Notice::Relist { .. }
            | Notice::Changed { .. }
            | Notice::Delegated { .. }
            | Notice::Refreshed { .. }
            | Notice::Spent(_)
            | Notice::Level { .. }
            | Notice::Cancelled { .. }) => notice,
        };
        // Nobody takes it any more: the gateway ends.
        let _ = self.notices.send((target, notice));
    }

    /// Passes a message of a client on beside the queue: calls wait for some of them, and one slow upstream must not hold
    /// up what another one waits for.
    fn say_beside(&self, target: Arc<Target>, notice: Notice) {
        let len = match &notice {
            Notice::Tell { message, .. } => message.len(),
            Notice::Close { .. }
            | Notice::Return { .. }
            | Notice::Relist { .. }
            | Notice::Changed { .. }
            | Notice::Delegated { .. }
            | Notice::Refreshed { .. }
            | Notice::Spent(_)
            | Notice::Level { .. }
            | Notice::Cancelled { .. } => 0,
        };
        let weight = u32::try_from(len + OVERHEAD).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.beside).try_acquire_many_owned(weight) else {
            tracing::warn!(upstream = %target.name(), "Message of a client was dropped: too many are on their way.");
            return;
        };
        self.runtime.spawn(async move {
            let _room = room;
            notices::carry_out(target, notice).await;
        });
    }

    pub(super) fn close_at(&self, free: Free) {
        let Free { binding, target, .. } = free;
        let upstream = Arc::clone(target.name());
        let _ = self.notices.send((target, Notice::Close { upstream, binding }));
    }
}
