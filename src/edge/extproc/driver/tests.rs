//! The driver without gRPC: messages through a channel, polls by hand, a scripted backroom.

mod contract;
mod scripted;
mod stage;

use super::*;
use crate::engine::exchange::record::Way;
use crate::engine::exchange::{CallEvent, Finding, ResponseHead};
use crate::engine::mcp::Version;
use crate::engine::session::{Binding, Client};
use crate::engine::snapshot::testing;
use envoy_types::pb::envoy::service::ext_proc::v3::ProcessingRequest;
use stage::*;
use std::time::Duration;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
/// `files` issues no sessions: forwarded without any question.
const READ: &str =
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"files_read","arguments":{"n":1}}}"#;
/// `github` issues sessions: without one of ours the call is relayed with a one-shot session.
const SEARCH: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"github_search"}}"#;

#[tokio::test]
async fn an_answer_is_said_then_the_stream_ends_cleanly() {
    let mut stage = Stage::new();
    stage.say(head("POST", false));
    assert!(stage.poll().is_pending(), "the body is missing");
    stage.say(body(PING, true));
    assert_eq!(stage.replies(), ["immediate 200"]);
    assert_eq!(stage.ending(), Some(Ok(())));
    assert_eq!(stage.backroom.ways(), [Way::Answer]);
}

#[tokio::test]
async fn a_forward_waits_for_the_response_headers() {
    let mut stage = Stage::new();
    stage.say(head("POST", false));
    stage.say(body(READ, true));
    assert_eq!(stage.replies(), ["request headers", "request body, end"]);
    assert!(stage.poll().is_pending(), "the response is still to come");
    stage.say(response_head(200));
    assert_eq!(stage.replies(), ["response headers"]);
    assert_eq!(stage.ending(), Some(Ok(())));
    assert_eq!(stage.backroom.ways(), [Way::Forward]);
}

#[tokio::test]
async fn a_question_may_be_answered_at_once() {
    let mut stage = Stage::new();
    stage.backroom.will_find(Finding::Live);
    stage.say(head("POST", false));
    stage.say(body(INITIALIZE, true));
    assert_eq!(stage.replies(), ["immediate 200"]);
}

#[tokio::test]
async fn a_question_may_be_answered_later() {
    let mut stage = Stage::new();
    stage.say(head("POST", false));
    stage.say(body(INITIALIZE, true));
    assert!(stage.poll().is_pending(), "the question is open");
    stage.backroom.find(Finding::Live);
    assert_eq!(stage.replies(), ["immediate 200"]);
    assert_eq!(stage.ending(), Some(Ok(())));
}

#[tokio::test]
async fn a_relay_says_what_its_call_brings() {
    let mut stage = Stage::new();
    let version = Version::V2025_11_25;
    stage.backroom.will_find(Finding::Bound(Binding::stateless(version)));
    stage.say(head("POST", false));
    stage.say(body(SEARCH, true));
    assert!(stage.poll().is_pending(), "the call runs");
    stage
        .backroom
        .call_event(CallEvent::Head(upstream_head(200, "text/event-stream")));
    stage.backroom.call_event(CallEvent::Chunk("data: {}\n\n".into()));
    assert_eq!(stage.replies(), ["stream head", "stream piece"]);
    stage.backroom.call_event(CallEvent::End);
    assert_eq!(stage.replies(), ["stream piece, end"]);
    assert_eq!(stage.ending(), Some(Ok(())));
}

#[tokio::test]
async fn a_relay_cut_in_the_middle_of_a_document_ends_with_an_error() {
    let mut stage = Stage::new();
    let version = Version::V2025_11_25;
    stage.backroom.will_find(Finding::Bound(Binding::stateless(version)));
    stage.say(head("POST", false));
    stage.say(body(SEARCH, true));
    assert!(stage.poll().is_pending(), "the call runs");
    stage
        .backroom
        .call_event(CallEvent::Head(upstream_head(200, "application/json")));
    stage.backroom.call_event(CallEvent::Chunk(vec![b' '; 2 << 20].into()));
    assert_eq!(stage.replies(), ["stream head", "stream piece"]);
    stage.backroom.call_event(CallEvent::Failed(
        crate::engine::exchange::event::UpstreamFailure::Unreachable,
    ));
    assert_eq!(
        stage.ending(),
        Some(Err(tonic::Code::Aborted)),
        "Envoy must cut the client's connection"
    );
}

#[tokio::test]
async fn a_call_is_read_only_as_fast_as_its_replies_are_taken() {
    let mut stage = Stage::new();
    let version = Version::V2025_11_25;
    stage.backroom.will_find(Finding::Bound(Binding::stateless(version)));
    stage.say(head("POST", false));
    stage.say(body(SEARCH, true));
    assert!(stage.poll().is_pending(), "the call runs");
    stage
        .backroom
        .call_event(CallEvent::Head(upstream_head(200, "text/event-stream")));
    for _ in 0..10 {
        stage.backroom.call_event(CallEvent::Chunk("data: {}\n\n".into()));
    }
    for taken in 1..=11 {
        assert!(stage.poll().is_ready());
        assert_eq!(
            stage.backroom.taken(),
            taken,
            "what nobody takes is not read: the upstream has to wait"
        );
    }
}

#[tokio::test]
async fn a_collected_answer_counts_and_one_without_room_is_refused() {
    let mut stage = Stage::new();
    let version = Version::V2025_11_25;
    stage.backroom.will_find(Finding::Bound(Binding::stateless(version)));
    let mut first = head("POST", false);
    first.protocol_config = Some(modes(2, 0));
    stage.say(first);
    stage.say(body(SEARCH, true));
    assert_eq!(stage.replies(), ["request headers"]);
    stage
        .backroom
        .call_event(CallEvent::Head(upstream_head(200, "application/json")));
    stage.backroom.call_event(CallEvent::Chunk(vec![b' '; 1 << 19].into()));
    assert!(stage.poll().is_pending(), "it is not complete");
    assert!(stage.backroom.bodies.used() > 1 << 19);
    stage.backroom.call_event(CallEvent::Chunk(vec![b' '; 1 << 19].into()));
    assert_eq!(stage.replies(), ["immediate 503"]);
    assert_eq!(stage.ending(), Some(Ok(())));
    assert_eq!(stage.backroom.bodies.used(), 0);
}

#[tokio::test]
async fn an_event_that_is_not_whole_counts_and_without_room_its_stream_is_cut() {
    let snapshot = testing::two_upstreams();
    let mut stage = Stage::with(Arc::clone(&snapshot));
    let version = Version::V2025_11_25;
    stage.backroom.will_find(Finding::Bound(Binding::stateless(version)));
    let mut first = head_in_session(&snapshot);
    first.protocol_config = Some(modes(4, 4));
    stage.say(first);
    stage.say(body(SEARCH, true));
    assert_eq!(stage.replies(), ["request headers", "request body, end"]);
    stage.say(event_stream_head());
    assert_eq!(stage.replies(), ["response headers"]);
    let half = "x".repeat(1 << 19);
    let asks = format!(r#"data: {{"id":0,"method":"sampling/createMessage","params":{{"a":"{half}"#);
    stage.say(response_body(&asks, false));
    assert!(stage.poll().is_pending(), "it is not whole");
    assert_eq!(stage.backroom.bodies.used(), asks.len());
    stage.say(response_body(&asks, false));
    assert_eq!(stage.ending(), Some(Err(tonic::Code::Aborted)));
    assert_eq!(stage.backroom.bodies.used(), 0);
}

#[tokio::test]
async fn what_a_later_question_has_replaced_is_not_answered_any_more() {
    let snapshot = testing::mk_snapshot(&[testing::mk_tasks("a"), testing::mk_tasks("b")]);
    let tied = |id: &str| Binding {
        id: Some(id.into()),
        ..Binding::stateless(Version::V2025_11_25)
    };
    let mut stage = Stage::with(Arc::clone(&snapshot));
    stage.backroom.will_find(Finding::Bound(tied("of-a")));
    stage.say(head_in_session(&snapshot));
    stage.say(body(r#"{"jsonrpc":"2.0","id":1,"method":"tasks/list"}"#, true));
    assert!(stage.poll().is_pending(), "a is called");
    stage
        .backroom
        .call_event(CallEvent::Head(upstream_head(404, "application/json")));
    assert!(stage.poll().is_pending());
    assert_eq!(stage.backroom.question(), Some("recover"), "is the session lost?");
    stage.backroom.will_find(Finding::Bound(tied("of-b")));
    stage.backroom.call_event(CallEvent::Failed(
        crate::engine::exchange::event::UpstreamFailure::Unreachable,
    ));
    assert!(stage.poll().is_pending(), "b is called");
    stage.backroom.find(Finding::Reopened(tied("of-a-again")));
    assert!(stage.poll().is_pending());
    assert_eq!(
        stage.backroom.called(),
        ["a of-a", "b of-b"],
        "nobody sees the session of another upstream"
    );
}

#[tokio::test]
async fn a_client_that_leaves_early_gets_no_clean_end() {
    let mut stage = Stage::new();
    stage.say(head("POST", false));
    stage.say(body(&PING[..9], false));
    assert!(stage.poll().is_pending());
    assert_eq!(stage.backroom.bodies.used(), 9);
    stage.leave();
    assert_eq!(stage.ending(), Some(Err(tonic::Code::Cancelled)));
    assert_eq!(stage.backroom.bodies.used(), 0);
    assert_eq!(stage.backroom.ways(), [Way::Undecided]);
}

#[tokio::test]
async fn a_dropped_stream_is_recorded_and_gives_everything_back() {
    let mut stage = Stage::new();
    stage.say(head("POST", false));
    stage.say(body(&PING[..9], false));
    assert!(stage.poll().is_pending());
    assert_eq!(stage.backroom.gate.open(), 1);
    let backroom = stage.close();
    assert_eq!(backroom.ways(), [Way::Undecided]);
    assert_eq!((backroom.bodies.used(), backroom.gate.open()), (0, 0));
}

#[tokio::test]
async fn a_dropped_relay_closes_what_it_opened() {
    let mut stage = Stage::new();
    let binding = Binding {
        id: Some("theirs".into()),
        ..Binding::stateless(Version::V2025_11_25)
    };
    stage.backroom.will_find(Finding::Bound(binding));
    stage.say(head("POST", false));
    stage.say(body(SEARCH, true));
    assert!(stage.poll().is_pending(), "the call runs");
    let backroom = stage.close();
    assert_eq!(backroom.notices(), 1, "the one-shot upstream session is ended");
}

#[tokio::test]
async fn a_stream_without_any_message_is_no_exchange() {
    let mut stage = Stage::new();
    stage.leave();
    assert_eq!(stage.ending(), Some(Err(tonic::Code::Cancelled)));
    assert!(stage.backroom.ways().is_empty());
}

#[tokio::test]
async fn a_body_without_room_is_refused() {
    let mut stage = Stage::new();
    stage.backroom.bodies.set_limit(PING.len() - 1);
    stage.say(head("POST", false));
    stage.say(body(&PING[..9], false));
    stage.say(body(&PING[9..], true));
    assert_eq!(stage.replies(), ["immediate 503"]);
    assert_eq!(stage.ending(), Some(Ok(())));
    assert_eq!(stage.backroom.bodies.used(), 0);
    assert_eq!(stage.backroom.ways(), [Way::Reject]);
}

#[tokio::test]
async fn a_forwarded_body_moves_to_the_replay_budget() {
    let mut stage = Stage::new();
    stage.say(head("POST", false));
    stage.say(body(READ, true));
    assert_eq!(stage.replies().len(), 2);
    assert_eq!(stage.backroom.bodies.used(), 0);
    assert!(stage.backroom.replay.used() > 0);
    stage.say(response_head(200));
    assert_eq!(stage.replies().len(), 1);
    assert_eq!(stage.backroom.replay.used(), 0);
}

#[tokio::test]
async fn a_body_without_room_for_a_replay_is_forwarded_all_the_same() {
    let mut stage = Stage::new();
    stage.backroom.replay.set_limit(1);
    stage.say(head("POST", false));
    stage.say(body(READ, true));
    assert_eq!(stage.replies(), ["request headers", "request body, end"]);
    assert_eq!(stage.backroom.replay.used(), 0);
    assert_eq!(stage.backroom.bodies.used(), 0);
}

#[tokio::test]
async fn a_draining_gateway_refuses_the_first_message() {
    let mut stage = Stage::new();
    stage.backroom.gate.drain();
    stage.say(head("POST", false));
    assert_eq!(stage.replies(), ["immediate 503"]);
    assert_eq!(stage.ending(), Some(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_refused_in_time() {
    let mut stage = Stage::new();
    stage.say(head("POST", false));
    assert!(stage.poll().is_pending());
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(stage.replies(), ["immediate 408"]);
}

#[tokio::test]
async fn a_filter_in_observability_mode_is_an_error() {
    let mut stage = Stage::new();
    stage.say(ProcessingRequest {
        observability_mode: true,
        ..head("POST", false)
    });
    assert_eq!(stage.ending(), Some(Err(tonic::Code::FailedPrecondition)));
}

#[tokio::test]
async fn buffered_bodies_are_asked_for_first() {
    let mut stage = Stage::new();
    let mut first = head("POST", false);
    first.protocol_config = Some(modes(2, 0));
    stage.say(first);
    assert_eq!(stage.replies(), ["request headers"]);
    stage.say(body(READ, true));
    assert_eq!(stage.replies(), ["request body, whole"]);
}

fn upstream_head(status: u16, media: &str) -> ResponseHead {
    let status = status.to_string();
    ResponseHead {
        headers: [(":status", status.as_str()), ("content-type", media)]
            .into_iter()
            .collect(),
        code_details: Some("via_upstream".into()),
        ..ResponseHead::default()
    }
}

/// A call to an upstream of 2026-07-28 alone, for a legacy client that can say which roots it has.
fn mk_bridged() -> Stage {
    let upstream = testing::mk_upstream("github").modern(testing::mk_modern(&["search"]));
    let snapshot = testing::mk_snapshot(&[upstream]);
    let stage = Stage::with(Arc::clone(&snapshot));
    let client = Client {
        capabilities: r#"{"roots":{}}"#.into(),
        ..Client::default()
    };
    stage.backroom.will_find(Finding::Introduced(client.into(), None));
    stage.say(head_in_session(&snapshot));
    stage.say(body(SEARCH, true));
    stage
}

#[tokio::test]
async fn what_a_client_says_in_other_exchanges_reaches_the_one_that_asked() {
    const ASKED: &str =
        r#"data: {"id":7,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}}}}"#;
    let id = r#"answer "mg:0000000000000000.1.0""#;
    let mut stage = mk_bridged();
    assert!(stage.poll().is_pending(), "the upstream works");
    let head = || CallEvent::Head(upstream_head(200, "text/event-stream"));
    stage.backroom.call_event(head());
    let chunk = |text: &str| CallEvent::Chunk(format!("{text}\n\n").into());
    stage.backroom.call_event(chunk(ASKED));
    assert_eq!(stage.replies(), ["stream head", "stream piece"]);
    assert!(
        stage
            .backroom
            .post(id, r#"{"id":"mg:0000000000000000.1.0","result":{"roots":[]}}"#)
    );
    assert!(stage.poll().is_pending(), "the call is made again");
    stage.backroom.call_event(head());
    stage.backroom.call_event(chunk(r#"data: {"id":"x","result":{}}"#));
    stage.backroom.call_event(CallEvent::End);
    assert_eq!(stage.replies(), ["stream piece", "stream piece, end"]);
    assert_eq!(stage.ending(), Some(Ok(())));
}

#[tokio::test]
async fn a_cancel_ends_a_call_and_leaving_does_not() {
    let mut stage = mk_bridged();
    assert!(stage.poll().is_pending(), "the upstream works");
    assert!(stage.backroom.post("cancel 7", ""));
    assert_eq!(stage.replies(), ["stream head", "stream piece, end"]);
    assert!(!stage.close().outlived());

    let mut stage = mk_bridged();
    assert!(stage.poll().is_pending(), "the upstream works");
    stage.leave();
    let _ = stage.poll();
    assert!(stage.close().outlived());
}
