//! Server-sent events (WHATWG HTML, 9.2), incremental.
//!
//! [`Decoder`] gives events; [`Framer`] gives them with the bytes they came in, so that what needs no change goes on as
//! it came.

mod frame;

pub use frame::{Frame, Framed, Framer, Overlong, first_data, with_id_prefix};

use bytes::Bytes;

/// One event as a stream carries it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SseEvent {
    /// `event:`; empty means `message`.
    pub event: String,
    /// `data:` lines joined by line feeds. Empty in priming events, which only carry an id or a retry time.
    pub data: Bytes,
    /// `id:`, if given.
    pub id: Option<String>,
    /// `retry:` in milliseconds, if given.
    pub retry: Option<u64>,
}

/// Incremental decoder: feed chunks, take events, however the chunks are cut.
///
/// Handles CR, LF, CRLF, comments, a leading byte order mark. An event with no data is given too if it has any other
/// field: whoever reads messages skips what has empty data. What no blank line ends is no event. A line that is whole in
/// its chunk is not copied but for its value.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// The event that is not complete yet.
    open: Open,
    /// The last chunk ended with CR: a LF at the start of the next belongs to it.
    after_cr: bool,
    /// The byte order mark can no longer come.
    begun: bool,
}

#[derive(Debug, Default)]
struct Open {
    event: SseEvent,
    data: Vec<u8>,
    has_data: bool,
    /// Any field was there.
    touched: bool,
}

/// An event grew beyond the limit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("server-sent event larger than {0} bytes")]
pub struct EventTooLarge(pub usize);

impl Decoder {
    /// Takes one chunk and returns the events that it completes.
    ///
    /// # Errors
    /// [`EventTooLarge`] when an event, or a line of any kind, exceeds `limit` bytes; the stream cannot be read on.
    pub fn feed(&mut self, chunk: &[u8], limit: usize) -> Result<Vec<SseEvent>, EventTooLarge> {
        let mut events = Vec::new();
        let mut rest = chunk;
        if self.after_cr && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.after_cr = false;
        }
        while let Some((end, tail)) = memchr::memchr2(b'\r', b'\n', rest).and_then(|at| rest.split_at_checked(at)) {
            self.check(end, limit)?;
            events.extend(self.end_line(end));
            self.after_cr = tail == b"\r";
            rest = match tail {
                [b'\r', b'\n', after @ ..] | [_, after @ ..] => after,
                [] => &[],
            };
        }
        self.check(rest, limit)?;
        self.line.extend_from_slice(rest);
        Ok(events)
    }

    /// Bytes kept of what is not complete yet.
    #[must_use]
    pub fn held(&self) -> usize {
        self.line.len() + self.open.len()
    }

    fn check(&self, more: &[u8], limit: usize) -> Result<(), EventTooLarge> {
        if self.held() + more.len() > limit {
            Err(EventTooLarge(limit))
        } else {
            Ok(())
        }
    }

    /// Takes the line that `end` completes.
    fn end_line(&mut self, end: &[u8]) -> Option<SseEvent> {
        if self.line.is_empty() {
            return self.read_line(end);
        }
        // Not kept for the next line: a stream may wait for hours after a big one.
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(end);
        self.read_line(&line)
    }

    fn read_line(&mut self, mut line: &[u8]) -> Option<SseEvent> {
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if !line.is_empty() {
            self.open.field(line);
            return None;
        }
        let open = std::mem::take(&mut self.open);
        open.touched.then(|| SseEvent {
            data: Bytes::from(open.data),
            ..open.event
        })
    }
}

impl Open {
    /// How many bytes are kept for it.
    fn len(&self) -> usize {
        self.data.len() + self.event.event.len() + self.event.id.as_ref().map_or(0, String::len)
    }

    fn data_line(&mut self, value: &[u8]) {
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
    }

    fn field(&mut self, line: &[u8]) {
        let at = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = line.split_at_checked(at).unwrap_or_default();
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => self.data_line(value),
            b"event" => self.event.event = String::from_utf8_lossy(value).into_owned(),
            b"id" if !value.contains(&0) => self.event.id = Some(String::from_utf8_lossy(value).into_owned()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.event.retry = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
            }
            // Comments have an empty name.
            _ => return,
        }
        self.touched = true;
    }
}

/// The event as bytes on the wire. It is always one event: a line break ends the `event` and the `id`, and becomes a line
/// feed in the data, of which it is no part in JSON.
#[must_use]
pub fn encode(event: &SseEvent) -> Bytes {
    let mut wire = Vec::with_capacity(event.data.len() + event.event.len() + 64);
    let mut field = |name: &str, value: &[u8]| {
        wire.extend_from_slice(name.as_bytes());
        wire.extend_from_slice(b": ");
        wire.extend_from_slice(value);
        wire.push(b'\n');
    };
    if !event.event.is_empty() {
        field("event", first_line(&event.event));
    }
    if let Some(id) = &event.id {
        field("id", first_line(id));
    }
    if let Some(retry) = event.retry {
        field("retry", itoa::Buffer::new().format(retry).as_bytes());
    }
    for line in event.data.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.split(|byte| *byte == b'\r').for_each(|line| field("data", line));
    }
    wire.push(b'\n');
    Bytes::from(wire)
}

fn first_line(text: &str) -> &[u8] {
    text.split(['\r', '\n']).next().unwrap_or_default().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 1 << 20;

    fn mk_events(wire: &[u8], chunk: usize) -> Vec<SseEvent> {
        let mut decoder = Decoder::default();
        wire.chunks(chunk.max(1))
            .flat_map(|chunk| decoder.feed(chunk, LIMIT).expect("small"))
            .collect()
    }

    fn event(data: &'static str) -> SseEvent {
        SseEvent {
            data: data.into(),
            ..SseEvent::default()
        }
    }

    #[test]
    fn a_priming_event_has_an_id_and_no_data() {
        let events = mk_events(b": hello\r\nretry: 3000\r\nid: 0/1\r\ndata:\r\n\r\ndata: {}\n\n", 1000);
        assert_eq!(events.len(), 2);
        assert_eq!(
            (events[0].id.as_deref(), events[0].retry, events[0].data.len()),
            (Some("0/1"), Some(3000), 0)
        );
        assert_eq!(events[1].data, "{}");
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        let cases = [
            ("data:a\ndata\ndata:  b\n\n", event("a\n\n b")),
            ("\u{feff}data: a\r\r", event("a")),
            ("other: x\n: y\ndata: a: b\n\n", event("a: b")),
            (
                "event: end\nid: a\0b\nretry: 1s\n\n",
                SseEvent {
                    event: "end".into(),
                    ..event("")
                },
            ),
            (
                "id\ndata: a\n\n",
                SseEvent {
                    id: Some(String::new()),
                    ..event("a")
                },
            ),
        ];
        for (wire, expected) in cases {
            assert_eq!(mk_events(wire.as_bytes(), 1000), [expected], "{wire:?}");
        }
        assert_eq!(mk_events(b"data: unfinished\n", 1000), []);
    }

    #[test]
    fn an_event_without_end_is_bounded() {
        let too_large = |wire: &str| Decoder::default().feed(wire.as_bytes(), 8) == Err(EventTooLarge(8));
        assert!(too_large("data: 0123456789"));
        assert!(too_large(": a comment without end"));
        assert!(too_large("id:0123\nevent:"), "all that is kept counts");
        assert!(!too_large("data:12\n\ndata:34\n\ndata:56"), "each event begins anew");
    }

    #[test]
    fn what_is_encoded_stays_one_event() {
        let odd = SseEvent {
            event: "a\ndata: b".into(),
            id: Some("c\r\n\r\nd".into()),
            ..event("{\r\n\"e\":\r1}")
        };
        let events = mk_events(&encode(&odd), 1000);
        let expected = SseEvent {
            event: "a".into(),
            id: Some("c".into()),
            ..event("{\n\"e\":\n1}")
        };
        assert_eq!(events, [expected]);
    }

    #[test]
    fn comments_alone_make_no_event() {
        assert_eq!(mk_events(b": keep-alive\n\n: keep-alive\n\n", 3), []);
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            wire in "(\u{feff})?((data: [a-z]{0,3}|data:é|id: 1|: c|event: e|retry: 5|x|)(\r\n|\n|\r)){0,12}",
            chunk in 1_usize..9,
            limit in 0_usize..40,
        ) {
            let whole = Decoder::default().feed(wire.as_bytes(), limit);
            let mut decoder = Decoder::default();
            let fed: Result<Vec<_>, _> = wire.as_bytes().chunks(chunk).map(|chunk| decoder.feed(chunk, limit)).collect();
            prop_assert_eq!(fed.map(|events| events.concat()), whole);
        }

        #[test]
        fn what_is_encoded_is_decoded(
            data in "[a-z :\n]{0,20}",
            event in "[a-z ]{0,5}",
            id in proptest::option::of("[a-z ]{0,5}"),
            retry: Option<u64>,
        ) {
            let event = SseEvent { event, data: Bytes::from(data), id, retry };
            prop_assert_eq!(mk_events(&encode(&event), 7), vec![event]);
        }

        #[test]
        fn any_bytes_are_taken(wire: Vec<u8>, chunk in 1usize..9) {
            let _ = mk_events(&wire, chunk);
        }
    }
}
