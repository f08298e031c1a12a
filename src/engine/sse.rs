//! Server-sent events (WHATWG HTML, 9.2), incremental.

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

/// Incremental decoder: feed chunks, take events. Handles CR, LF, CRLF, comments, a leading byte order mark, empty data.
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
    /// [`EventTooLarge`] when an unfinished event exceeds `limit` bytes.
    pub fn feed(&mut self, chunk: &[u8], limit: usize) -> Result<Vec<SseEvent>, EventTooLarge> {
        let mut events = Vec::new();
        let mut rest = chunk;
        if self.after_cr && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.after_cr = false;
        }
        while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
            let (head, tail) = rest.split_at(at);
            self.line.extend_from_slice(head);
            self.check(limit)?;
            rest = match tail {
                [b'\r', b'\n', after @ ..] => after,
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [_, after @ ..] => after,
                [] => &[],
            };
            events.extend(self.end_line());
        }
        self.line.extend_from_slice(rest);
        self.check(limit)?;
        Ok(events)
    }

    fn check(&self, limit: usize) -> Result<(), EventTooLarge> {
        if self.line.len() + self.open.data.len() > limit {
            Err(EventTooLarge(limit))
        } else {
            Ok(())
        }
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
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
    fn field(&mut self, line: &[u8]) {
        let (name, value) = match memchr::memchr(b':', line) {
            Some(0) => return,
            Some(at) => {
                let value = line.get(at + 1..).unwrap_or_default();
                (
                    line.get(..at).unwrap_or_default(),
                    value.strip_prefix(b" ").unwrap_or(value),
                )
            }
            None => (line, &[][..]),
        };
        match name {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            b"event" => self.event.event = String::from_utf8_lossy(value).into_owned(),
            b"id" if !value.contains(&0) => self.event.id = Some(String::from_utf8_lossy(value).into_owned()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.event.retry = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
            }
            _ => return,
        }
        self.touched = true;
    }
}

/// The event as bytes on the wire.
#[must_use]
pub fn encode(event: &SseEvent) -> Bytes {
    let mut wire = Vec::with_capacity(event.data.len() + 32);
    let mut field = |name: &str, value: &[u8]| {
        wire.extend_from_slice(name.as_bytes());
        wire.extend_from_slice(b": ");
        wire.extend_from_slice(value);
        wire.push(b'\n');
    };
    if !event.event.is_empty() {
        field("event", event.event.as_bytes());
    }
    if let Some(id) = &event.id {
        field("id", id.as_bytes());
    }
    if let Some(retry) = event.retry {
        field("retry", retry.to_string().as_bytes());
    }
    for line in event.data.split(|byte| *byte == b'\n') {
        field("data", line);
    }
    wire.push(b'\n');
    Bytes::from(wire)
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
    fn an_event_without_end_is_bounded() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(b"data: 0123456789", 8), Err(EventTooLarge(8)));
    }

    #[test]
    fn comments_alone_make_no_event() {
        assert_eq!(mk_events(b": keep-alive\n\n: keep-alive\n\n", 3), vec![]);
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(wire in "((data: [a-z]{0,3}|id: 1|: c|event: e|retry: 5|x|)(\r\n|\n|\r)){0,12}".prop_map(String::into_bytes), chunk in 1usize..9) {
            prop_assert_eq!(mk_events(&wire, chunk), mk_events(&wire, 10_000));
        }

        #[test]
        fn what_is_encoded_is_decoded(data in "[a-z\n]{0,20}", event in "[a-z]{0,5}", id in proptest::option::of("[a-z]{1,5}")) {
            let event = SseEvent { event, data: Bytes::from(data), id, retry: None };
            prop_assert_eq!(mk_events(&encode(&event), 7), vec![event]);
        }

        #[test]
        fn any_bytes_are_taken(wire: Vec<u8>, chunk in 1usize..9) {
            let _ = mk_events(&wire, chunk);
        }
    }
}
