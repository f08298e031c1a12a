//! What upstreams say, on its way to one client stream. One task for each stream of an upstream.

use super::ear::Ear;
use super::held::Bodies;
use super::pump::{Ended, Flow, Pump, Way};
use crate::edge::backoff::Backoff;
use crate::edge::http::Target;
use crate::edge::upstream::handshake;
use crate::edge::upstream::line::{Line, SMALL, Speaker, Tie};
use crate::edge::upstream::{Hearsay, Views};
use crate::engine::call::inspect::updated;
use crate::engine::call::{Kind, Message, task};
use crate::engine::exchange::step::Notice;
use crate::engine::jsonrpc::splice::quote;
use crate::engine::mcp::Version;
use crate::engine::session::store::SUBSCRIPTIONS;
use crate::engine::session::{Binding, Client, Delegation, SessionKey, SessionStore, Subscription};
use crate::engine::stream::filter::covers;
use crate::engine::stream::pass::{Heard, Names, hear, to_listen, to_session, untagged};
use crate::engine::stream::{Part, say};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// A session of our own hears of updates only from the moment its stream is open.
const OPENING: Duration = Duration::from_secs(1);

/// A session's tie to one upstream, and the client stream that hears what is said there.
pub(super) struct Session {
    pub(super) ear: Arc<Ear>,
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) hearsay: Hearsay,
    /// Whose lists change, where the upstream is listed for each caller.
    pub(super) caller: Option<(Views, Arc<str>)>,
    pub(super) key: SessionKey,
    pub(super) upstream: Arc<str>,
    /// The endpoint's only upstream.
    pub(super) alone: bool,
    /// Clients know its resources by URIs that bear its name.
    pub(super) rewrites: bool,
}

impl Session {
    /// Everything said on the session's own stream. Changed lists stay behind until they were listed again, and updates
    /// that nobody subscribed to.
    pub(super) async fn run(self, pump: Pump) -> Ended {
        let names = Names {
            upstream: &self.upstream,
            alone: self.alone,
            rewrites: self.rewrites,
        };
        pump.run(|frame| {
            let Some(event) = &frame.event else { return Flow::On };
            let message = Message::read(&event.data);
            let wanted = match message.as_ref().map(hear) {
                Some(Heard::Changed(kinds)) => {
                    match &self.caller {
                        Some((views, principal)) => views.changed(&self.upstream, principal, kinds),
                        None => self.hearsay.tell(&self.upstream, kinds),
                    }
                    false
                }
                Some(Heard::Updated(uri)) => self.may_be_subscribed(&uri),
                Some(Heard::Response | Heard::Asked { .. } | Heard::Other) | None => true,
            };
            pushed(!wanted || self.ear.push(to_session(names, frame, event, message.as_ref())))
        })
        .await
    }

    /// What the session subscribed to at an upstream of 2026-07-28, by a listen that the gateway holds for it.
    pub(super) async fn run_listen(self, pump: Pump) -> Ended {
        pump.run(|frame| {
            let Some(event) = &frame.event else { return Flow::On };
            let Some(message) = Message::read(&event.data) else {
                return Flow::On;
            };
            match hear(&message) {
                Heard::Updated(uri) if self.is_subscribed(&uri) => {
                    let exposed = self.rewrites.then(|| updated(&self.upstream, &message)).flatten();
                    let exposed = exposed.as_deref().and_then(Message::read);
                    pushed(self.ear.push(untagged(exposed.as_ref().unwrap_or(&message))))
                }
                Heard::Updated(_) | Heard::Changed(_) | Heard::Response | Heard::Asked { .. } | Heard::Other => {
                    Flow::On
                }
            }
        })
        .await
    }

    /// As [`Session::is_subscribed`]; a session with as many subscriptions as are remembered may have others.
    fn may_be_subscribed(&self, uri: &str) -> bool {
        let subscriptions = self.store.subscriptions(self.key);
        subscriptions.len() >= SUBSCRIPTIONS || are_about(&subscriptions, &self.upstream, uri)
    }

    fn is_subscribed(&self, uri: &str) -> bool {
        are_about(&self.store.subscriptions(self.key), &self.upstream, uri)
    }
}

fn are_about(subscriptions: &[Subscription], upstream: &Arc<str>, uri: &str) -> bool {
    let mut there = subscriptions.iter().filter(|one| one.upstream == *upstream);
    there.any(|one| covers(&one.uri, uri))
}

/// A part of a modern client's listen.
pub(super) struct Listen {
    pub(super) ear: Arc<Ear>,
    pub(super) part: Part,
    /// What speaks for the client.
    pub(super) delegation: Delegation,
    pub(super) notices: mpsc::UnboundedSender<(Arc<Target>, Notice)>,
    pub(super) bodies: Arc<dyn Bodies>,
}

impl Listen {
    /// At a modern upstream: a listen of our own, its frames tagged anew.
    pub(super) async fn run_modern(self, target: Arc<Target>) {
        let version = self.part.version;
        let tie = if self.part.tasks.is_empty() {
            Tie::Modern(version)
        } else {
            Tie::ModernWithTasks(version)
        };
        let line = Line::of(target, tie, Speaker::Caller(self.delegation.clone()));
        let (pump, _) = Pump::new(line, Way::Listen(self.part.members()), &self.bodies);
        pump.run(|frame| {
            let Some(event) = &frame.event else { return Flow::On };
            let Some(message) = Message::read(&event.data) else {
                return Flow::On;
            };
            match hear(&message) {
                Heard::Updated(_) => self.tell(&message),
                // Acknowledged was said by the gateway.
                Heard::Other if !says(&message, say::ACKNOWLEDGED) => self.tell(&message),
                Heard::Other | Heard::Changed(_) | Heard::Response | Heard::Asked { .. } => Flow::On,
            }
        })
        .await;
    }

    /// At a legacy upstream: a session of our own, subscribed, for as long as the listen lives.
    pub(super) async fn run_legacy(self, target: Arc<Target>) {
        let mut backoff = Backoff::new(crate::edge::upstream::PAUSES);
        loop {
            match self.live(&target).await {
                Some(Ended::SessionLost) | None => tokio::time::sleep(backoff.next_wait()).await,
                Some(Ended::Stopped | Ended::Closed | Ended::NoStream) => return,
            }
        }
    }

    /// One life of that session. `None`: it could not be opened.
    async fn live(&self, target: &Arc<Target>) -> Option<Ended> {
        let time = target.timeout().list;
        let (client, version) = (Client::default(), self.part.version);
        let opened = handshake::open(target, &client, version, None, &self.delegation).await;
        let binding = match opened {
            Ok(handshake) => handshake.binding,
            Err(failure) => {
                tracing::debug!(upstream = %target.name(), %failure, "Session for a listen was not opened.");
                return None;
            }
        };
        let own = Own {
            target: Arc::clone(target),
            binding: binding.clone(),
            notices: self.notices.clone(),
        };
        let line = || Line::new(Arc::clone(target), Tie::Session(binding.clone()));
        let (pump, first) = Pump::new(line(), Way::Get, &self.bodies);
        let reading = pump.run(|frame| {
            let Some(event) = &frame.event else { return Flow::On };
            let Some(message) = Message::read(&event.data) else {
                return Flow::On;
            };
            match hear(&message) {
                Heard::Updated(uri) if self.part.concerns(&uri) => self.tell(&message),
                Heard::Asked { id, method } => Flow::Say(refused(id, &method).into()),
                Heard::Updated(_) | Heard::Changed(_) | Heard::Response | Heard::Other => Flow::On,
            }
        });
        let (ended, ()) = tokio::join!(reading, subscribe(line(), &self.part.uris, Some(first), time));
        drop(own);
        Some(ended)
    }

    fn tell(&self, message: &Message<'_>) -> Flow {
        let tag = self.ear.tag().map_or(b"null".as_slice(), |tag| tag);
        let exposed = self.part.exposes_tasks();
        let renamed = exposed.then(|| task::to_client(&self.part.upstream, message)).flatten();
        let updated = || updated(&self.part.upstream, message);
        let renamed = renamed.or_else(|| self.part.rewrites.then(updated).flatten());
        let renamed = renamed.as_deref().and_then(Message::read);
        let event = to_listen(tag, renamed.as_ref().unwrap_or(message));
        pushed(event.is_none_or(|event| self.ear.push(event)))
    }
}

const fn pushed(heard: bool) -> Flow {
    if heard { Flow::On } else { Flow::Stop }
}

fn says(message: &Message<'_>, name: &str) -> bool {
    match &message.kind {
        Kind::Notification { method } => method == name,
        Kind::Request { .. } | Kind::Response { .. } => false,
    }
}

/// `resources/subscribe` for each, once `opened` says so. One that is refused changes nothing for the others.
async fn subscribe(line: Line, uris: &[Box<str>], opened: Option<watch::Receiver<bool>>, time: Duration) {
    if let Some(mut opened) = opened {
        let _ = tokio::time::timeout(OPENING, opened.wait_for(|opened| *opened)).await;
    }
    for uri in uris {
        let members = format!(r#""uri":{}"#, String::from_utf8_lossy(&quote(uri)));
        if let Err(failure) = line.request("resources/subscribe", &members, SMALL, time).await {
            tracing::debug!(upstream = %line.target().name(), %failure, "Subscription was not taken.");
        }
    }
}

/// The answer to a request in a session of our own: we can nothing but `ping`.
fn refused(id: &str, method: &str) -> String {
    if method == "ping" {
        return format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
    }
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"not offered by this client"}}}}"#)
}

/// A session of our own: ended however its task ends.
struct Own {
    target: Arc<Target>,
    binding: Binding,
    notices: mpsc::UnboundedSender<(Arc<Target>, Notice)>,
}

impl Drop for Own {
    fn drop(&mut self) {
        let notice = Notice::Close {
            upstream: Arc::clone(self.target.name()),
            binding: self.binding.clone(),
        };
        let _ = self.notices.send((Arc::clone(&self.target), notice));
    }
}

impl Session {
    /// The line of the session's tie.
    pub(super) fn tied(&self, target: Arc<Target>, binding: &Binding) -> Line {
        Line::of(target, Tie::Session(binding.clone()), self.speaker())
    }

    /// The line to a modern upstream.
    pub(super) fn modern(&self, target: Arc<Target>, version: Version) -> Line {
        Line::of(target, Tie::Modern(version), self.speaker())
    }

    /// A stream may be opened again long after what spoke for its client then has grown old.
    fn speaker(&self) -> Speaker {
        let (store, key, upstream) = (Arc::clone(&self.store), self.key, Arc::clone(&self.upstream));
        Speaker::Latest(Arc::new(move || store.delegation(key, &upstream)))
    }
}
