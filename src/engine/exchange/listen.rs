//! A stream that its client holds open: GET of a legacy session, `subscriptions/listen` of a modern client.
//!
//! The head leaves at once, then whatever the hub has for this client, a comment where that is nothing for long. It ends
//! when the client leaves or the hub has said the last of it.

mod voices;

pub(super) use voices::Voices;

use super::decide::task;
use super::event::{HubEvent, RequestHead};
use super::record::Way;
use super::reject::Reject;
use super::step::{Command, End, Listen, Reply, Step};
use super::{BodyMode, Exchange, Phase, Request};
use crate::engine::mcp::Era;
use crate::engine::route::Owner;
use crate::engine::snapshot::{Endpoint, Upstream};
use crate::engine::stream::filter::Task;
use crate::engine::stream::{Filter, Part, say};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// A stream is never silent for longer: clients and what stands between cut silent ones.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// What must be known while the stream is open. As little as can be: there are thousands of them.
#[derive(Debug)]
pub(super) struct Listening {
    /// Raw JSON id of a modern listen; `None`: a legacy GET.
    tag: Option<Bytes>,
}

/// True if a GET can be answered by a stream here: the wiring lets us, and the client can read one.
pub(super) fn is_offered(modes: super::BodyModes, head: &RequestHead) -> bool {
    let wired = match modes.request {
        BodyMode::None | BodyMode::FullDuplex => true,
        BodyMode::Streamed | BodyMode::Buffered | BodyMode::BufferedPartial => false,
    };
    let mut ranges = head
        .headers
        .all("accept")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|range| {
            range
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default()
                .trim_ascii()
        })
        .filter(|range| !range.is_empty())
        .peekable();
    let readable = ranges.peek().is_none()
        || ranges.any(|range| {
            [b"text/event-stream".as_slice(), b"text/*", b"*/*"]
                .iter()
                .any(|known| range.eq_ignore_ascii_case(known))
        });
    wired && readable
}

impl Exchange {
    /// GET of a session that is alive.
    pub(super) fn listen_legacy(&mut self, request: &Request) -> Step {
        let Some(session) = request.sender.session else {
            return self.reject(&Reject::MethodNotAllowed, None);
        };
        let alone = match request.endpoint.upstreams.as_slice() {
            [only] => Some(Arc::clone(&only.name)),
            _ => None,
        };
        let last = request.headers.text("last-event-id").filter(|id| !id.is_empty());
        let subscription = Listen::Session {
            session,
            last: last.map(Into::into),
            alone,
            principal: request.identity.principal.clone(),
        };
        self.open_stream(request, None, Vec::new(), subscription)
    }

    /// `subscriptions/listen`: acknowledged before anything else.
    pub(super) fn listen_modern(&mut self, request: &Request, filter: Filter, voices: &Voices) -> Step {
        if self.modes.request != BodyMode::FullDuplex {
            let setting = "subscriptions/listen needs request_body_mode FULL_DUPLEX_STREAMED";
            return self.reject(&Reject::Wiring(setting), request.id());
        }
        let tag = request.sender.id.clone().unwrap_or_default();
        let kinds = filter.kinds;
        let mut parts = parts(&request.endpoint, filter);
        // Whom nothing lets speak for the client is not asked, and so not acknowledged.
        let silent = |part: &Part| {
            voices
                .iter()
                .any(|(name, voice)| *name == part.upstream && voice.is_none())
        };
        parts.retain(|part| !silent(part));
        let known = voices
            .iter()
            .filter_map(|(name, voice)| Some((Arc::clone(name), voice.clone()?)));
        let first = say::acknowledged(&tag, kinds, &parts);
        let tag = Bytes::copy_from_slice(&tag);
        let subscription = Listen::Modern {
            endpoint: request.endpoint.hash,
            tag: tag.clone(),
            principal: request.identity.principal.clone(),
            kinds,
            parts,
            delegations: known.collect(),
        };
        self.open_stream(request, Some(tag), vec![first], subscription)
    }

    fn open_stream(&mut self, request: &Request, tag: Option<Bytes>, first: Vec<Bytes>, subscription: Listen) -> Step {
        self.record.way = Way::Relay;
        self.record.status = 200;
        let mut replies = vec![Reply::StreamHead {
            status: 200,
            headers: vec![
                ("content-type".into(), Bytes::from_static(b"text/event-stream")),
                ("cache-control".into(), Bytes::from_static(b"no-cache")),
            ],
            metadata: Some(Box::new(self.metadata(request.id(), true))),
        }];
        replies.extend(self.chunk(first));
        self.phase = Phase::Streaming(Box::new(Listening { tag }));
        Step {
            replies,
            commands: vec![Command::Listen(subscription), Command::Arm(KEEP_ALIVE)],
            end: End::Open,
        }
    }

    /// The hub has something for this client.
    pub(super) fn streamed(&mut self, listening: Box<Listening>, event: HubEvent) -> Step {
        match event {
            HubEvent::Events(events) => {
                let replies = self.chunk(events).into_iter().collect();
                self.phase = Phase::Streaming(listening);
                Step {
                    replies,
                    commands: vec![Command::Arm(KEEP_ALIVE)],
                    end: End::Open,
                }
            }
            // The specification's graceful end, so that the client does not take it for a broken stream.
            HubEvent::Drained => {
                let last = listening.tag.as_deref().map_or(say::COME_BACK, say::over);
                self.end_stream(Some(last))
            }
            HubEvent::Over => self.end_stream(None),
        }
    }

    /// Nothing was said for a while.
    pub(super) fn stream_silent(&mut self, listening: Box<Listening>) -> Step {
        self.phase = Phase::Streaming(listening);
        Step {
            replies: vec![Reply::StreamChunk {
                body: vec![COMMENT],
                end: false,
            }],
            commands: vec![Command::Arm(KEEP_ALIVE)],
            end: End::Open,
        }
    }

    fn end_stream(&mut self, last: Option<Bytes>) -> Step {
        self.record.bytes_out += last.as_ref().map_or(0, Bytes::len);
        self.phase = Phase::Done;
        Step {
            replies: vec![Reply::StreamChunk {
                body: last.into_iter().collect(),
                end: true,
            }],
            commands: vec![Command::Disarm],
            end: End::Done,
        }
    }

    fn chunk(&mut self, body: Vec<Bytes>) -> Option<Reply> {
        self.record.bytes_out += body.iter().map(Bytes::len).sum::<usize>();
        (!body.is_empty()).then_some(Reply::StreamChunk { body, end: false })
    }
}

/// Who has to say what for a modern listen. Resources and tasks that nobody owns are left out, and so not
/// acknowledged.
fn parts(endpoint: &Endpoint, filter: Filter) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for uri in filter.uris {
        if let Some((upstream, uri)) = owner(endpoint, Era::Modern, uri)
            && let Some(part) = part_of(&mut parts, upstream)
        {
            part.uris.push(uri);
        }
    }
    for exposed in filter.tasks {
        if let Some((upstream, own)) = task::owned(endpoint, Era::Modern, &exposed)
            && is_usable(upstream)
            && let Some(part) = part_of(&mut parts, upstream)
        {
            let own = own.into();
            part.tasks.push(Task { exposed, own });
        }
    }
    if !filter.more.is_empty() {
        // What this gateway does not know, whoever is of the client's own era may.
        for upstream in endpoint.upstreams.iter().filter(|upstream| is_usable(upstream)) {
            if upstream.modern.is_some()
                && let Some(part) = part_of(&mut parts, upstream)
            {
                part.more.clone_from(&filter.more);
            }
        }
    }
    parts
}

/// Who has to say anything for it.
pub(super) fn concerned(endpoint: &Endpoint, filter: &Filter) -> Vec<Arc<str>> {
    let parts = parts(endpoint, filter.clone());
    parts.into_iter().map(|part| part.upstream).collect()
}

fn part_of<'a>(parts: &'a mut Vec<Part>, upstream: &Arc<Upstream>) -> Option<&'a mut Part> {
    let at = match parts.iter().position(|part| part.upstream == upstream.name) {
        Some(at) => at,
        None => {
            let (era, speech) = upstream.spoken_to(Era::Modern)?;
            parts.push(Part {
                upstream: Arc::clone(&upstream.name),
                era,
                version: speech.version,
                rewrites: upstream.rewrites,
                uris: Vec::new(),
                tasks: Vec::new(),
                more: Box::default(),
            });
            parts.len() - 1
        }
    };
    parts.get_mut(at)
}

/// Who owns a resource, if that can be asked, and how it is called there; of several that might be asked in turn, the
/// first.
fn owner(endpoint: &Endpoint, era: Era, uri: Box<str>) -> Option<(&Arc<Upstream>, Box<str>)> {
    let (index, own) = match endpoint.face(era).routes.subscribable(&uri) {
        Owner::One(target) => (target.upstream, (*target.name).into()),
        Owner::Ask(asked) => (*asked.first()?, uri),
        Owner::None => return None,
    };
    let upstream = endpoint.upstream(index).filter(|upstream| is_usable(upstream))?;
    Some((upstream, own))
}

fn is_usable(upstream: &Upstream) -> bool {
    upstream.enabled && !upstream.secret_missing && upstream.is_listed()
}
