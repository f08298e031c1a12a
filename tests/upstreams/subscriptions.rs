//! Who hears of changed lists: legacy sessions on their GET stream, modern ones on `subscriptions/listen`.

use crate::state::locked;
use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::{Peer, RoleServer, SubscriptionContext, SubscriptionSink};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Tools,
    Prompts,
}

#[derive(Default)]
pub(crate) struct Watchers {
    sessions: Mutex<Vec<(Peer<RoleServer>, Wanted)>>,
    streams: Mutex<HashMap<u64, SubscriptionSink>>,
    next: Mutex<u64>,
}

/// The URIs that one legacy session has subscribed to.
pub(crate) type Wanted = Arc<Mutex<HashSet<String>>>;

impl Watchers {
    /// A legacy session that has been opened.
    pub(crate) fn add_session(&self, peer: Peer<RoleServer>, wanted: Wanted) {
        locked(&self.sessions).push((peer, wanted));
    }

    /// Keeps a modern stream until its client closes it.
    pub(crate) async fn hold(&self, context: SubscriptionContext) {
        let key = {
            let mut next = locked(&self.next);
            *next += 1;
            *next
        };
        locked(&self.streams).insert(key, context.sink().clone());
        context.cancelled().await;
        locked(&self.streams).remove(&key);
    }

    /// Tells everybody; whoever is gone does not matter.
    pub(crate) async fn tell(&self, changed: Changed) {
        let streams: Vec<_> = locked(&self.streams).values().cloned().collect();
        for stream in streams {
            let _gone = match changed {
                Changed::Tools => stream.notify_tool_list_changed().await,
                Changed::Prompts => stream.notify_prompt_list_changed().await,
            };
        }
        for (peer, _) in self.open_sessions() {
            let _gone = match changed {
                Changed::Tools => peer.notify_tool_list_changed().await,
                Changed::Prompts => peer.notify_prompt_list_changed().await,
            };
        }
    }

    /// Tells the sessions and streams that asked for this resource.
    pub(crate) async fn tell_updated(&self, uri: &str) {
        let streams: Vec<_> = locked(&self.streams).values().cloned().collect();
        for stream in streams {
            let _not_asked_for = stream.notify_resource_updated(uri).await;
        }
        for (peer, wanted) in self.open_sessions() {
            if locked(&wanted).contains(uri) {
                let update = ResourceUpdatedNotificationParam::new(uri);
                let _gone = peer.notify_resource_updated(update).await;
            }
        }
    }

    fn open_sessions(&self) -> Vec<(Peer<RoleServer>, Wanted)> {
        let mut sessions = locked(&self.sessions);
        sessions.retain(|(peer, _)| !peer.is_transport_closed());
        sessions.clone()
    }
}
