//! Listens for `*/list_changed`: on the GET stream of a legacy discovery session, or by `subscriptions/listen`.
//!
//! Opens the stream again when it ends, with backoff. What may have changed while there was no stream counts as changed.
//! [`Watch::next`] may be dropped at any time and loses nothing but an attempt to connect.

use super::answer::Message;
use super::line::Line;
use crate::edge::backoff::Backoff;
use crate::edge::http::{Media, Response};
use crate::engine::mcp::capabilities::ServerFlags;
use crate::engine::sse::Decoder;
use crate::engine::stream::Kinds;
use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of one event.
const EVENT: usize = 1 << 20;
/// Some servers send no headers before the first event, and that may be hours.
const OPENING: Duration = Duration::from_secs(24 * 60 * 60);
/// A stream that lived shorter was refused rather than broken.
const LIVED: Duration = Duration::from_secs(5);
/// For an answer to a request of the upstream.
const ANSWERING: Duration = Duration::from_secs(5);

/// What a watch noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The lists may have changed; these the upstream itself said so of.
    Changed(Kinds),
    /// The upstream does not know the session any more.
    SessionLost,
}

/// Watches one upstream in one era.
#[derive(Debug)]
pub(super) struct Watch {
    line: Line,
    flags: ServerFlags,
    call: Call,
    stage: Stage,
    backoff: Backoff,
    /// A stream was open before this one.
    again: bool,
}

#[derive(Debug)]
enum Call {
    /// GET
    Legacy,
    /// `subscriptions/listen` with these members.
    Modern(String),
}

#[derive(Debug)]
enum Stage {
    /// The upstream offers no stream.
    Off,
    Closed {
        until: Instant,
    },
    Open(Box<Stream>),
}

#[derive(Debug)]
struct Stream {
    response: Response,
    decoder: Decoder,
    since: Instant,
    waiting: VecDeque<Heard>,
}

/// What an event means to us.
#[derive(Debug, PartialEq)]
enum Heard {
    Changed(Kinds),
    /// A request of the upstream: the answer to give.
    Asked(String),
}

impl Watch {
    /// For a legacy discovery session.
    pub(super) fn legacy(line: Line, flags: ServerFlags) -> Self {
        Self::new(line, flags, Call::Legacy)
    }

    /// For an upstream that speaks the modern era.
    pub(super) fn modern(line: Line, flags: ServerFlags) -> Self {
        Self::new(line, flags, Call::Modern(filter(flags)))
    }

    fn new(line: Line, flags: ServerFlags, call: Call) -> Self {
        let stage = if flags.list_changed || line.target().stays_connected() {
            Stage::Closed { until: Instant::now() }
        } else {
            Stage::Off
        };
        Self {
            line,
            flags,
            call,
            stage,
            backoff: Backoff::new(crate::edge::upstream::PAUSES),
            again: false,
        }
    }

    /// What the upstream declared when this began.
    pub(super) const fn flags(&self) -> ServerFlags {
        self.flags
    }

    /// Waits until something is noticed; for ever, where nothing ever will be.
    pub(super) async fn next(&mut self) -> News {
        loop {
            match &mut self.stage {
                Stage::Off => pending::<()>().await,
                Stage::Closed { until } => {
                    tokio::time::sleep_until(*until).await;
                    if let Some(news) = self.connect().await {
                        return news;
                    }
                }
                Stage::Open(stream) => match stream.next().await {
                    Some(Heard::Changed(kinds)) => return News::Changed(kinds),
                    Some(Heard::Asked(answer)) => {
                        self.line.say(answer, ANSWERING).await;
                    }
                    None => {
                        if self.close() {
                            return News::Changed(Kinds::default());
                        }
                    }
                },
            }
        }
    }

    /// Opens the stream, or says why there will be none.
    async fn connect(&mut self) -> Option<News> {
        let opened = match &self.call {
            Call::Legacy => self.line.listen(None, OPENING).await,
            Call::Modern(members) => self.line.open("subscriptions/listen", members, OPENING).await,
        };
        let response = match opened {
            Ok(response) => response,
            Err(failure) => {
                tracing::debug!(upstream = %self.line.target().name(), %failure, "Watching failed.");
                self.retry();
                return None;
            }
        };
        match response.status() {
            200..=299 if response.media() == Media::EventStream => {
                self.stage = Stage::Open(Box::new(Stream::new(response)));
                // What happened between two streams was heard by nobody.
                std::mem::replace(&mut self.again, true).then_some(News::Changed(Kinds::default()))
            }
            400 | 404 if self.line.has_session() => {
                self.stage = Stage::Off;
                Some(News::SessionLost)
            }
            401 | 403 | 429 | 500.. => {
                self.retry();
                None
            }
            _ => {
                self.stage = Stage::Off;
                None
            }
        }
    }

    /// The stream has ended. True if that may mean something: it had lived.
    fn close(&mut self) -> bool {
        let lived = matches!(&self.stage, Stage::Open(stream) if stream.since.elapsed() >= LIVED);
        if lived {
            self.backoff.reset();
        }
        self.retry();
        lived
    }

    fn retry(&mut self) {
        let until = Instant::now() + self.backoff.next_wait();
        self.stage = Stage::Closed { until };
    }
}

impl Stream {
    fn new(response: Response) -> Self {
        Self {
            response,
            decoder: Decoder::default(),
            since: Instant::now(),
            waiting: VecDeque::new(),
        }
    }

    /// The next event of meaning; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some(heard) = self.waiting.pop_front() {
                return Some(heard);
            }
            let chunk = self.response.chunk().await?.ok()?;
            let events = self.decoder.feed(&chunk, EVENT).ok()?;
            self.waiting.extend(events.iter().filter_map(|event| hear(&event.data)));
        }
    }
}

/// The kinds to hear of, as members of `params`.
fn filter(flags: ServerFlags) -> String {
    let kinds = [
        (flags.tools, "toolsListChanged"),
        (flags.prompts, "promptsListChanged"),
        (flags.resources, "resourcesListChanged"),
    ];
    let wanted = kinds.iter().filter(|(declared, _)| *declared);
    let members: Vec<String> = wanted.map(|(_, name)| format!(r#""{name}":true"#)).collect();
    format!(r#""notifications":{{{}}}"#, members.join(","))
}

fn hear(data: &[u8]) -> Option<Heard> {
    let message: Message<'_> = serde_json::from_slice(data).ok()?;
    let method = message.method?;
    match (&*method, message.id) {
        (method, None) => Kinds::of(method).map(Heard::Changed),
        ("ping", Some(id)) => Some(Heard::Asked(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#))),
        (_, Some(id)) => Some(Heard::Asked(format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"not offered by this client"}}}}"#
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_list_changes_count_as_changes() {
        let changed = br#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#;
        let prompts = Kinds {
            prompts: true,
            ..Kinds::default()
        };
        assert_eq!(hear(changed), Some(Heard::Changed(prompts)));
        assert_eq!(hear(br#"{"jsonrpc":"2.0","method":"notifications/message"}"#), None);
        assert_eq!(hear(b"garbage"), None);
    }

    #[test]
    fn a_ping_of_the_upstream_is_answered_with_its_own_id() {
        let answer = r#"{"jsonrpc":"2.0","id":"p-1","result":{}}"#.to_owned();
        let ping = br#"{"jsonrpc":"2.0","id":"p-1","method":"ping"}"#;
        assert_eq!(hear(ping), Some(Heard::Asked(answer)));
    }

    #[test]
    fn only_declared_kinds_are_asked_for() {
        let flags = ServerFlags {
            tools: true,
            resources: true,
            ..ServerFlags::default()
        };
        assert_eq!(
            filter(flags),
            r#""notifications":{"toolsListChanged":true,"resourcesListChanged":true}"#
        );
    }
}
