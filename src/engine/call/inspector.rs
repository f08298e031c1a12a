//! An event stream of an upstream on its way to a legacy client: event by event, each as it came or with other ids.
//!
//! An event that needs no change goes out with its raw bytes, without having been read; comments never wait. A long
//! result is let pass while it comes: only what may be a request is held until it is whole, and no longer than
//! [`LONGEST`]: nobody asks a client more than that. Where ids of tasks are rewritten, results are held too, for they may
//! name a task.

use super::inspect::{self, Outcome};
use super::message::Message;
use super::task;
use crate::engine::sse::{Frame, Framer, Overlong, first_data, with_id_prefix};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// A longer event passes unread.
const LONGEST: usize = 16 << 20;
/// An open event of so many bytes is looked at: is it a result?
const LONG: usize = 16 << 10;
/// Where it says so, it does within this many bytes.
const BEGINNING: usize = 1024;

/// One stream.
#[derive(Debug)]
pub struct Inspector {
    upstream: Arc<str>,
    rewrites: Rewrites,
    /// Stands before the ids of events.
    event_ids: Option<Box<str>>,
    framer: Framer,
}

/// What is rewritten besides the ids of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rewrites {
    /// The ids of tasks.
    tasks: bool,
    /// The URIs of updated resources.
    uris: bool,
}

impl Inspector {
    /// For a stream of this upstream.
    #[must_use]
    pub fn new(upstream: Arc<str>) -> Self {
        Self {
            upstream,
            rewrites: Rewrites::default(),
            event_ids: None,
            framer: Framer::default(),
        }
    }

    /// For a stream of this upstream, one of several, that may speak of tasks.
    #[must_use]
    pub fn with_tasks(upstream: Arc<str>) -> Self {
        let mut inspector = Self::new(upstream);
        inspector.rewrites.tasks = true;
        inspector
    }

    /// The same for an upstream whose resources clients know by URIs that bear its name.
    #[must_use]
    pub const fn naming_resources(mut self) -> Self {
        self.rewrites.uris = true;
        self
    }

    /// The same, with `prefix` before the ids of its events, so that they say which upstream can resume the stream.
    #[must_use]
    pub fn naming_events(self, prefix: String) -> Self {
        Self {
            event_ids: Some(prefix.into()),
            ..self
        }
    }

    /// The same for an answer that is one JSON message.
    #[must_use]
    pub fn whole(&self, message: Bytes) -> Bytes {
        if !self.rewrites.concern(&message) {
            return message;
        }
        self.rewrites.apply(&self.upstream, &message).unwrap_or(message)
    }

    /// Takes a chunk; what goes on of the stream now. Empty: what came is not a whole event yet.
    pub fn pass(&mut self, chunk: &Bytes) -> Bytes {
        let Self {
            upstream,
            rewrites,
            event_ids,
            framer,
        } = self;
        let named = |raw: &Bytes| with_id_prefix(raw, event_ids.as_deref()?.as_bytes());
        let mut out = Out::after(chunk, framer.kept().is_empty());
        let cut = framer.cut(chunk, LONGEST, Overlong::Passes, |frame| {
            let new = rewrites.frame(upstream, &frame);
            let id = frame
                .is_event()
                .then(|| named(new.as_ref().unwrap_or(&frame.raw)))
                .flatten();
            match id.or(new) {
                Some(new) => out.replace(&new),
                None => out.push(&frame.raw),
            }
        });
        debug_assert!(cut.is_ok(), "what is overlong passes");
        if framer.kept().len() > LONG && !rewrites.tasks && is_result(framer.kept()) {
            let beginning = framer.let_pass();
            match named(&beginning) {
                Some(new) => out.replace(&new),
                None => out.push(&beginning),
            }
        }
        out.finish()
    }

    /// The stream is over: what no blank line ended.
    pub fn rest(&mut self) -> Bytes {
        self.framer.take_rest()
    }

    /// Bytes kept of an event that is not whole yet.
    #[must_use]
    pub fn held(&self) -> usize {
        self.framer.kept().len()
    }

    /// True between two events: a comment may be put in.
    #[must_use]
    pub const fn is_between(&self) -> bool {
        self.framer.is_between()
    }
}

impl Rewrites {
    /// The event as the client sees it; `None`: as it is.
    fn frame(self, upstream: &str, frame: &Frame) -> Option<Bytes> {
        let asks = || !is_result(&frame.raw) && inspect::may_ask(&frame.raw);
        if !frame.is_event() || !(asks() || self.concern(&frame.raw)) {
            return None;
        }
        let event = frame.event()?;
        Some(frame.with_data(&self.apply(upstream, &event.data)?))
    }

    /// True if something besides a request in these bytes may have to be rewritten.
    fn concern(self, bytes: &[u8]) -> bool {
        self.tasks && task::concerns(bytes) || self.uris && inspect::may_update(bytes)
    }

    fn apply(self, upstream: &str, data: &[u8]) -> Option<Bytes> {
        let message = Message::read(data)?;
        let updated = self.uris.then(|| inspect::updated(upstream, &message));
        if let Some(data) = updated.flatten() {
            return Some(data);
        }
        let outcome = if self.tasks {
            inspect::to_client_with_tasks(upstream, &message)
        } else {
            inspect::to_client(upstream, &message)
        };
        match outcome {
            Outcome::Pass => None,
            Outcome::Replace(data) => Some(data),
        }
    }
}

/// True if the event, of which this is at least the beginning, says early that it is a response.
fn is_result(event: &[u8]) -> bool {
    let beginning = event.get(..BEGINNING).unwrap_or(event);
    first_data(beginning).is_some_and(inspect::begins_response)
}

/// What goes on of one chunk: a part of the chunk itself while that is all, else joined.
struct Out<'a> {
    chunk: &'a Bytes,
    /// So many bytes of the chunk, from its beginning, are what goes on; `None`: see `joined`.
    whole: Option<usize>,
    joined: BytesMut,
}

impl<'a> Out<'a> {
    /// `fresh`: nothing of an earlier chunk waits to go on before this one.
    fn after(chunk: &'a Bytes, fresh: bool) -> Self {
        Self {
            chunk,
            whole: fresh.then_some(0),
            joined: BytesMut::new(),
        }
    }

    fn push(&mut self, raw: &Bytes) {
        match &mut self.whole {
            Some(len) => *len += raw.len(),
            None => self.joined.extend_from_slice(raw),
        }
    }

    fn replace(&mut self, new: &Bytes) {
        if let Some(len) = self.whole.take() {
            self.joined.extend_from_slice(self.chunk.get(..len).unwrap_or_default());
        }
        self.joined.extend_from_slice(new);
    }

    fn finish(self) -> Bytes {
        match self.whole {
            Some(len) => self.chunk.slice(..len),
            None => self.joined.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mk_inspector() -> Inspector {
        Inspector::new("up".into())
    }

    fn seen(wire: &[u8], chunk: usize) -> Vec<u8> {
        let mut inspector = mk_inspector();
        let mut out = Vec::new();
        for chunk in wire.chunks(chunk) {
            out.extend_from_slice(&inspector.pass(&Bytes::copy_from_slice(chunk)));
        }
        out.extend_from_slice(&inspector.rest());
        out
    }

    #[test]
    fn what_needs_no_change_is_not_copied() {
        let chunk = Bytes::from_static(b": c\n\nid: 1\ndata: {\"id\":1,\"result\":{}}\n\n");
        assert_eq!(mk_inspector().pass(&chunk).as_ptr(), chunk.as_ptr());
        let open = Bytes::from_static(b"data: 1\n\ndata: 2\n");
        let mut inspector = mk_inspector();
        let passed = inspector.pass(&open);
        assert_eq!((passed.as_ptr(), passed.len()), (open.as_ptr(), 9));
        assert_eq!(inspector.pass(&Bytes::from_static(b"\n")), "data: 2\n\n");
    }

    #[test]
    fn a_request_among_others_gets_an_id_of_ours() {
        let wire = "data: {\"id\":1,\"method\":\"ping\"}\n\n";
        let mut inspector = mk_inspector();
        let chunk = Bytes::from(format!("data: 1\n\nid: 7\r\n{wire}: c\n"));
        let expected = "data: 1\n\nid: 7\r\ndata: {\"id\":\"mm:up:1\",\"method\":\"ping\"}\n\n: c\n";
        assert_eq!(inspector.pass(&chunk), expected);
    }

    #[test]
    fn a_long_result_passes_while_it_comes() {
        let mut inspector = mk_inspector();
        let long = "x".repeat(LONG);
        let head = Bytes::from(format!(
            "id: 1\ndata: {{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"{long}"
        ));
        assert_eq!(inspector.pass(&head), head);
        let more = Bytes::from_static(b"xxxx");
        assert_eq!(inspector.pass(&more).as_ptr(), more.as_ptr());
        let expected = "\"}\n\ndata: {\"id\":\"mm:up:2\",\"method\":\"ping\"}\n\n";
        let chunk = expected.replace("\"mm:up:2\"", "2");
        assert_eq!(inspector.pass(&chunk.into()), expected, "the next event is read again");
    }

    #[test]
    fn ids_of_tasks_are_rewritten_where_that_is_wanted() {
        let related = |id: &str| format!(r#""_meta":{{"io.modelcontextprotocol/related-task":{{"taskId":"{id}"}}}}"#);
        let wire = |task: &str, request: &str| {
            let asked = format!(
                r#"{{"id":{request},"method":"elicitation/create","params":{{{}}}}}"#,
                related(task)
            );
            let begun = format!(r#"{{"id":1,"result":{{"task":{{"taskId":"{task}","status":"working"}}}}}}"#);
            format!("id: 1\ndata: {asked}\n\n: c\n\ndata: {begun}\n\n")
        };
        let mut inspector = Inspector::with_tasks("up".into());
        let long = format!("data: {{\"id\":1,\"result\":{{\"x\":\"{}\",", "x".repeat(LONG));
        let (plain, expected) = (wire("t", "7"), wire("mt:up:t", "\"mm:up:7\""));
        assert_eq!(inspector.pass(&plain.clone().into()), expected);
        assert_eq!(
            inspector.pass(&long.clone().into()),
            "",
            "a result may name its task at its end"
        );
        let end = |task: &str| format!("{}}}}}\n\n", related(task));
        assert_eq!(inspector.pass(&end("t").into()), long + &end("mt:up:t"));
        assert_eq!(mk_inspector().pass(&plain.into()), expected.replace("mt:up:", ""));
        let whole = Bytes::from(r#"{"id":1,"result":{"taskId":"t","status":"working"}}"#);
        assert_eq!(
            inspector.whole(whole.clone()),
            r#"{"id":1,"result":{"taskId":"mt:up:t","status":"working"}}"#
        );
        assert_eq!(mk_inspector().whole(whole.clone()).as_ptr(), whole.as_ptr());
    }

    #[test]
    fn an_updated_resource_is_named_as_clients_know_it() {
        let mut inspector = mk_inspector().naming_resources();
        let wire = |uri: &str| {
            let updated = format!(r#"{{"method":"notifications/resources/updated","params":{{"uri":"{uri}"}}}}"#);
            format!("id: 1\ndata: {updated}\n\ndata: {{\"id\":1,\"result\":{{\"uri\":\"ui://a\"}}}}\n\n")
        };
        assert_eq!(inspector.pass(&wire("ui://a").into()), wire("ui://up/a"));
        assert_eq!(mk_inspector().pass(&wire("ui://a").into()), wire("ui://a"));
    }

    #[test]
    fn ids_of_events_say_who_can_resume_the_stream() {
        let mut inspector = mk_inspector().naming_events("me:up:".into());
        let chunk =
            Bytes::from("id: 0\ndata:\n\n: id: 1\n\nid: 2\ndata: {\"id\":1,\"method\":\"ping\"}\n\ndata: 3\n\n");
        let expected = "id: me:up:0\ndata:\n\n: id: 1\n\nid: me:up:2\ndata: {\"id\":\"mm:up:1\",\"method\":\"ping\"}\n\ndata: 3\n\n";
        assert_eq!(inspector.pass(&chunk), expected);
        let long = format!("id: 4\ndata: {{\"id\":1,\"result\":\"{}", "x".repeat(LONG));
        assert_eq!(
            inspector.pass(&long.clone().into()),
            long.replace("id: 4", "id: me:up:4")
        );
    }

    #[test]
    fn a_long_request_is_held_until_it_is_whole() {
        let mut inspector = mk_inspector();
        let long = "x".repeat(LONG);
        let expected = format!("data: {{\"id\":\"mm:up:1\",\"method\":\"m\",\"params\":{{\"a\":\"{long}");
        let head = expected.replace("\"mm:up:1\"", "1");
        assert_eq!(inspector.pass(&head.into()), "");
        assert_eq!(inspector.pass(&"\"}}\n\n".into()), expected + "\"}}\n\n");
    }

    const EVENTS: &str = "((data: (\\{\"id\":[0-9],\"method\":\"ping\"\\}|\\{\"id\":1,\"result\":\\{\\}\\}|x)|id: 1|: c|event: e|)(\r\n|\n|\r)){0,12}";

    proptest! {
        #[test]
        fn chunking_changes_nothing(wire in EVENTS, chunk in 1_usize..40) {
            prop_assert_eq!(seen(wire.as_bytes(), chunk), seen(wire.as_bytes(), 10_000));
        }

        #[test]
        fn streams_without_requests_are_untouched(wire in EVENTS, chunk in 1_usize..40) {
            let wire = wire.replace("method", "nothing");
            prop_assert_eq!(seen(wire.as_bytes(), chunk), wire.as_bytes());
        }

        #[test]
        fn only_ids_are_replaced(wire in EVENTS, chunk in 1_usize..40) {
            let out = String::from_utf8(seen(wire.as_bytes(), chunk)).unwrap();
            let back = (0..10).fold(out, |text, id| text.replace(&format!("\"mm:up:{id}\""), &id.to_string()));
            prop_assert_eq!(back, wire);
        }

        #[test]
        fn any_bytes_are_taken(wire: Vec<u8>, chunk in 1_usize..9) {
            prop_assert_eq!(seen(&wire, chunk), wire);
        }
    }
}
