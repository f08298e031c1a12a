//! Any events in any order, findings only to what was asked: no panic, nothing is said after the end, and no clean end
//! lets a request pass undecided.

#[path = "../../bench/gateway.rs"]
#[allow(dead_code)]
mod gateway;

use bytes::Bytes;
use gateway::{Gateway, NOW, Story};
use mcp_manifold::engine::exchange::event::{CallEvent, Compared, Finding, HubEvent, UpstreamFailure};
use mcp_manifold::engine::exchange::step::{End, Question, Reply};
use mcp_manifold::engine::exchange::{
    BodyMode, BodyModes, Command, Event, Exchange, Message, RequestHead, ResponseHead,
};
use mcp_manifold::engine::mcp::Version;
use mcp_manifold::engine::session::{Binding, Client};
use std::sync::{Arc, LazyLock};

static GATEWAY: LazyLock<Gateway> = LazyLock::new(Gateway::new);

pub(crate) fn check(input: (u8, Vec<(u8, &[u8])>)) {
    let (start, rest) = input;
    let modes = BodyModes {
        request: if start & 1 == 0 {
            BodyMode::FullDuplex
        } else {
            BodyMode::Buffered
        },
        response: if start & 2 == 0 {
            BodyMode::None
        } else {
            BodyMode::FullDuplex
        },
    };
    let mut exchange = Exchange::new(Arc::clone(&GATEWAY.snapshot), modes, 7, NOW);
    let story = if start & 4 == 0 {
        Story::ToolsCall
    } else {
        Story::Initialize
    };
    let mut headers = GATEWAY.request_headers(story);
    match start >> 3 & 3 {
        1 => headers[0].1 = "GET".to_owned(),
        2 => headers.push(("mcp-protocol-version", "2026-07-28".to_owned())),
        _ => {}
    }
    let head = RequestHead {
        headers: headers.into_iter().collect(),
        ..RequestHead::default()
    };
    let head = Event::Envoy(Message::RequestHeaders(head));

    let (mut decided, mut over) = (false, false);
    let mut question = None;
    let mut handle = |event: Event, question: &mut Option<Question>| {
        let left = matches!(event, Event::Closed);
        let step = exchange.handle(event, NOW);
        assert!(!over || step.replies.is_empty(), "a reply after the end");
        decided |= step.replies.iter().any(decides);
        match step.end {
            End::Open => {}
            End::Done => assert!(over || decided || left, "a clean end before a decision"),
            End::Abort => {}
        }
        over |= step.end != End::Open;
        for command in step.commands {
            if let Command::Ask(asked) = command {
                *question = Some(asked);
            }
        }
    };
    handle(head, &mut question);
    for (kind, bytes) in rest {
        let event = match kind % 20 {
            7..=12 => question.take().map(|asked| Event::Finding(mk_finding(&asked, kind))),
            _ => Some(mk_event(kind, bytes)),
        };
        if let Some(event) = event {
            handle(event, &mut question);
        }
    }
}

/// One of the answers that this question may get.
fn mk_finding(question: &Question, choice: u8) -> Finding {
    let often = !choice.is_multiple_of(3);
    match question {
        Question::Delegate(_) if often => {
            Finding::Delegated(Ok(mcp_manifold::engine::config::Confidential("k3y".into())))
        }
        Question::View(viewer) => Finding::Viewed(Arc::clone(&viewer.endpoint)),
        Question::Delegate(_) => Finding::Delegated(Err(mcp_manifold::engine::policy::delegate::Lack::NotKept)),
        Question::Compare(_) if often => Finding::Compared(Compared::Fits),
        Question::Compare(_) => Finding::Compared(Compared::Wrong),
        Question::Admit(_) => Finding::Admitted(None),
        Question::Hold(_) => Finding::Held,
        Question::Recall(_) | Question::SetLevel { .. } if often => Finding::Live,
        Question::Start { .. } if often => Finding::Live,
        Question::Start { .. } => Finding::SessionsFull,
        Question::Introduce(_) if often => Finding::Introduced(Arc::new(Client::default()), None),
        Question::End(_) => Finding::EndWritten(often),
        Question::Tell { .. } => Finding::Told(often),
        Question::Bind { .. } | Question::OneShot { .. } | Question::Borrow { .. } if often => {
            Finding::Bound(mk_binding())
        }
        Question::Recover { .. } | Question::Renew { .. } if often => Finding::Reopened(mk_binding()),
        Question::Recover { .. } | Question::Renew { .. } if choice.is_multiple_of(2) => Finding::StillThere,
        Question::OneShot { .. } | Question::Borrow { .. } | Question::Recover { .. } | Question::Renew { .. } => {
            Finding::Unbindable(UpstreamFailure::TimedOut)
        }
        Question::Recall(_) | Question::SetLevel { .. } | Question::Introduce(_) | Question::Bind { .. } => {
            Finding::Ended
        }
    }
}

fn decides(reply: &Reply) -> bool {
    match reply {
        Reply::Answer(_)
        | Reply::RequestChunk { .. }
        | Reply::RequestBuffered { .. }
        | Reply::ResponseHeaders(_)
        | Reply::ResponseChunk { .. }
        | Reply::ResponseTrailers => true,
        Reply::StreamChunk { end, .. } => *end,
        Reply::RequestHeaders(_) | Reply::RequestTrailers | Reply::StreamHead { .. } => false,
    }
}

fn mk_event(kind: u8, bytes: &[u8]) -> Event {
    let chunk = Bytes::copy_from_slice(bytes);
    let first = bytes.first().copied().unwrap_or_default();
    let end = first & 1 == 1;
    match kind % 20 {
        0 | 1 => Event::Envoy(Message::RequestBody {
            chunk: Story::ToolsCall.body().into(),
            end: true,
        }),
        2 => Event::Envoy(Message::RequestBody { chunk, end }),
        3 => Event::Envoy(Message::RequestTrailers),
        4 => Event::Envoy(Message::ResponseHeaders(mk_head(first))),
        5 => Event::Envoy(Message::ResponseBody { chunk, end }),
        6 => Event::Envoy(Message::ResponseTrailers),
        13 => Event::Call(CallEvent::Head(mk_head(first))),
        14 => Event::Call(CallEvent::Chunk(chunk)),
        15 => Event::Call(if end {
            CallEvent::End
        } else {
            CallEvent::Failed(UpstreamFailure::Unreachable)
        }),
        16 => Event::Hub(if end {
            HubEvent::Over
        } else {
            HubEvent::Events(vec![chunk])
        }),
        17 => Event::Answered {
            id: "\"mg:1\"".into(),
            message: chunk,
        },
        18 => match first % 3 {
            0 => Event::Timer,
            1 => Event::NoRoom,
            _ => Event::Cancelled,
        },
        _ => Event::Closed,
    }
}

fn mk_head(choice: u8) -> ResponseHead {
    let status = ["200", "202", "400", "404", "500", "503"][usize::from(choice % 6)];
    let media = if choice & 8 == 0 {
        "application/json"
    } else {
        "text/event-stream"
    };
    ResponseHead {
        headers: [(":status", status), ("content-type", media)].into_iter().collect(),
        end: choice & 16 != 0,
        code_details: Some("via_upstream".into()),
    }
}

fn mk_binding() -> Binding {
    Binding {
        id: Some("theirs".into()),
        ..Binding::stateless(Version::V2025_11_25)
    }
}
