//! Who gets what the event stream of one connection says. No I/O, no clock.
//!
//! A response goes to the call with its id, progress to the call with its token. What else an upstream says does not tell
//! which call it belongs to: requests and logs go to the latest call that may have caused them, everything about lists
//! and resources to the listener, as does what finds no call. A ping is answered here.

use super::pipe::{Inlet, Outlet, Piece, Stuck, pipe};
use crate::edge::http::HttpError;
use crate::engine::call::{Kind, Message};
use crate::engine::mcp::Method;
use bytes::Bytes;

/// Bytes on their way to the listener.
const NEWS: usize = 1 << 20;
/// Bytes kept for a listener that may come.
const KEPT: usize = 64 << 10;
/// Calls that nobody waits for any more, remembered so that their late responses are not taken for those of others.
const LEFT: usize = 64;

/// A JSON-RPC id or progress token, however it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Decoded.
    Text(String),
    /// Anything else, raw.
    Other(Box<str>),
}

impl Key {
    /// Of a raw JSON token.
    pub(super) fn of(raw: &str) -> Self {
        match serde_json::from_str(raw) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Other(raw.into()),
        }
    }
}

/// A call in flight.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) id: Key,
    pub(super) token: Option<Key>,
    /// The upstream may have something to say to the client meanwhile.
    pub(super) converses: bool,
    pub(super) inlet: Inlet,
}

impl Flight {
    /// The flight of a request, if it is one.
    pub(super) fn of(message: &Message<'_>, inlet: Inlet) -> Option<Self> {
        let Kind::Request { id, method } = &message.kind else {
            return None;
        };
        let meta = message.params.object("_meta").ok().flatten();
        let token = meta.and_then(|meta| meta.raw("progressToken"));
        Some(Self {
            id: Key::of(id),
            token: token.map(Key::of),
            converses: converses(method),
            inlet,
        })
    }
}

/// What the gateway asks on its own behalf is not listened to but for its response.
fn converses(method: &str) -> bool {
    matches!(
        Method::parse(method),
        Some(Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead | Method::Complete | Method::TasksResult)
    )
}

/// See the module.
#[derive(Debug)]
pub(super) struct Board {
    flights: Vec<(Flight, Stage)>,
    news: Inlet,
    /// Where news wait while there is no listener.
    unheard: Option<Outlet>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing came for it yet.
    Silent,
    /// Something came.
    Begun,
}

impl Board {
    pub(super) fn new() -> Self {
        let (news, unheard) = pipe(NEWS);
        Self {
            flights: Vec::new(),
            news,
            unheard: Some(unheard),
        }
    }

    /// Adds a call.
    ///
    /// # Errors
    /// The call itself: there is one with this id, and who would tell their responses apart?
    pub(super) fn begin(&mut self, flight: Flight) -> Result<(), Flight> {
        if self.flights.iter().any(|(other, _)| other.id == flight.id) {
            return Err(flight);
        }
        let left = |(flight, _): &(Flight, Stage)| flight.inlet.is_closed();
        if self.flights.iter().filter(|entry| left(entry)).count() > LEFT {
            let oldest = self.flights.iter().position(left);
            oldest.map(|at| self.flights.remove(at));
        }
        self.flights.push((flight, Stage::Silent));
        Ok(())
    }

    /// Ends a call about which the stream has said nothing yet.
    pub(super) fn cut(&mut self, id: &Key, piece: Piece) {
        let silent = |(flight, stage): &(Flight, Stage)| flight.id == *id && *stage == Stage::Silent;
        if let Some(at) = self.flights.iter().position(silent) {
            let (flight, _) = self.flights.remove(at);
            // Nobody waits any more.
            let _ = flight.inlet.push(piece);
        }
    }

    /// Ends all calls.
    pub(super) fn fail(&mut self, error: &HttpError) {
        for (flight, _) in self.flights.drain(..) {
            let _ = flight.inlet.push(Piece::Failed(error.clone()));
        }
    }

    /// The news, for one listener; `None` if there is one.
    pub(super) fn listen(&mut self) -> Option<Outlet> {
        if self.unheard.is_none() && self.news.is_closed() {
            self.renew();
        }
        self.unheard.take()
    }

    /// Hands on one message; what is to be POSTed in return.
    pub(super) fn hear(&mut self, data: &Bytes) -> Option<Bytes> {
        let message = Message::read(data)?;
        match &message.kind {
            Kind::Response { id, .. } => {
                let id = Key::of((*id)?);
                self.respond(&id, data.clone());
                None
            }
            Kind::Request { id, method } if method == "ping" => {
                Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#).into())
            }
            Kind::Request { .. } => {
                self.tell(self.latest(), data.clone());
                None
            }
            Kind::Notification { method } => {
                let at = match &**method {
                    "notifications/progress" => message.params.raw("progressToken").and_then(|raw| self.with(raw)),
                    "notifications/tools/list_changed"
                    | "notifications/prompts/list_changed"
                    | "notifications/resources/list_changed"
                    | "notifications/resources/updated" => None,
                    _ => self.latest(),
                };
                self.tell(at, data.clone());
                None
            }
        }
    }

    fn respond(&mut self, id: &Key, data: Bytes) {
        if let Some(at) = self.flights.iter().position(|(flight, _)| flight.id == *id) {
            let (flight, _) = self.flights.remove(at);
            if flight.inlet.push(Piece::Last(data)) == Err(Stuck::Full) {
                overflow(&flight);
            }
        }
    }

    /// The latest call that may have caused what an upstream says.
    fn latest(&self) -> Option<usize> {
        let may = |(flight, _): &(Flight, Stage)| flight.converses && !flight.inlet.is_closed();
        self.flights.iter().rposition(may)
    }

    /// The call with this progress token.
    fn with(&self, raw: &str) -> Option<usize> {
        let token = Key::of(raw);
        let has = |(flight, _): &(Flight, Stage)| flight.token.as_ref() == Some(&token);
        self.flights.iter().rposition(has)
    }

    /// To the call at this place, else to the listener.
    fn tell(&mut self, at: Option<usize>, data: Bytes) {
        let Some(at) = at.filter(|at| *at < self.flights.len()) else {
            return self.publish(data);
        };
        let Some((flight, stage)) = self.flights.get_mut(at) else {
            return;
        };
        *stage = Stage::Begun;
        if flight.inlet.push(Piece::Message(data)) == Err(Stuck::Full) {
            overflow(flight);
            self.flights.remove(at);
        }
    }

    fn publish(&mut self, data: Bytes) {
        if let Some(unheard) = &mut self.unheard {
            while !self.news.fits(&data, KEPT) && unheard.waiting().is_some() {}
        }
        // A listener that is too slow is cut off, one that left is gone: the next one begins here.
        if self.news.push(Piece::Message(data.clone())).is_err() {
            self.renew();
            let _ = self.news.push(Piece::Message(data));
        }
    }

    fn renew(&mut self) {
        let (news, unheard) = pipe(NEWS);
        self.news = news;
        self.unheard = Some(unheard);
    }
}

fn overflow(flight: &Flight) {
    let words = "more came at once than can be held".to_owned();
    let _ = flight.inlet.push(Piece::Failed(HttpError::BrokenOff(words)));
}

#[cfg(test)]
mod tests;
