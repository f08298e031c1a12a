//! What upstreams say in the sessions of clients about their lists, for whoever lists them.
//!
//! Some servers tell a change only to the session that caused it. The gateway's own session there hears nothing, so the
//! streams that it holds for clients pass it on.

use crate::engine::stream::Kinds;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// See the module. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Hearsay {
    /// By configured name. Held for a look-up.
    upstreams: Arc<Mutex<HashMap<Arc<str>, Arc<Rumour>>>>,
}

#[derive(Debug, Default)]
struct Rumour {
    /// Held for a change.
    kinds: Mutex<Kinds>,
    told: Notify,
}

impl Hearsay {
    /// The upstream says that these lists have changed.
    pub fn tell(&self, upstream: &Arc<str>, kinds: Kinds) {
        let rumour = self.of(upstream);
        {
            let mut known = rumour.kinds.lock().unwrap_or_else(PoisonError::into_inner);
            *known = known.or(kinds);
        }
        rumour.told.notify_one();
    }

    /// Waits until something is told of the upstream. Nothing is lost if this is dropped; one hears it.
    pub(super) async fn hear(&self, upstream: &Arc<str>) -> Kinds {
        let rumour = self.of(upstream);
        loop {
            let kinds = std::mem::take(&mut *rumour.kinds.lock().unwrap_or_else(PoisonError::into_inner));
            if !kinds.is_empty() {
                return kinds;
            }
            rumour.told.notified().await;
        }
    }

    fn of(&self, upstream: &Arc<str>) -> Arc<Rumour> {
        let mut upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(upstreams.entry(Arc::clone(upstream)).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_told_is_heard_once_and_by_those_it_concerns() {
        let hearsay = Hearsay::default();
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        let tools = Kinds {
            tools: true,
            ..Kinds::default()
        };
        let prompts = Kinds {
            prompts: true,
            ..Kinds::default()
        };
        hearsay.tell(&one, tools);
        hearsay.tell(&one, prompts);
        assert_eq!(hearsay.hear(&one).await, tools.or(prompts));
        let (heard, ()) = tokio::join!(hearsay.hear(&one), async {
            tokio::task::yield_now().await;
            hearsay.tell(&two, prompts);
            hearsay.tell(&one, tools);
        });
        assert_eq!(heard, tools);
    }
}
