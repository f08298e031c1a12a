//! Cuts a stream into events and keeps the bytes of each.
//!
//! All raw bytes in order, with [`Framer::take_rest`] at the end, are the input, however it was chunked. A frame that lies
//! whole in its chunk is a slice of it; so is its data, if it is one line. Comments never wait for the event that follows.

use super::{EventTooLarge, Open, SseEvent};
use bytes::{Bytes, BytesMut};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One event, or comments, as they came.
#[derive(Clone, Debug, PartialEq)]
pub struct Framed {
    /// All bytes since the end of the frame before, the blank line that ends the event included.
    pub raw: Bytes,
    /// What they say; `None`: comments and blank lines only.
    pub event: Option<SseEvent>,
}

impl Framed {
    /// The frame with other data; every byte that is not data stays as it is. `data` has as many lines as before: a JSON
    /// token that is replaced by another one never adds one.
    #[must_use]
    pub fn with_data(&self, data: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(self.raw.len() + data.len());
        let mut new = data.split(|byte| *byte == b'\n');
        for (at, line) in Lines(&self.raw).enumerate() {
            let text = first_without_mark(at == 0, line.text);
            match value_of(text) {
                Some(value) => {
                    let Some(new) = new.next() else { return self.anew(data) };
                    let before = line.text.len() - value.len();
                    out.extend_from_slice(line.text.get(..before).unwrap_or_default());
                    out.extend_from_slice(new);
                }
                None => out.extend_from_slice(line.text),
            }
            out.extend_from_slice(line.end);
        }
        if new.next().is_some() {
            return self.anew(data);
        }
        Bytes::from(out)
    }

    fn anew(&self, data: &[u8]) -> Bytes {
        super::encode(&SseEvent {
            data: Bytes::copy_from_slice(data),
            ..self.event.clone().unwrap_or_default()
        })
    }
}

/// Incremental: feed chunks, take frames.
#[derive(Debug, Default)]
pub struct Framer {
    /// What no frame has taken yet; empty while frames lie whole in their chunks.
    kept: BytesMut,
    /// The line that is not complete yet begins with this byte; `None`: nothing of it came.
    line: Option<u8>,
    /// A line of the open frame is no comment.
    has_fields: bool,
    /// The last chunk ended with CR: a LF at the start of the next belongs to it.
    after_cr: bool,
    /// The byte order mark can no longer come.
    begun: bool,
}

impl Framer {
    /// Takes one chunk and returns the frames that it completes; comments that no event has begun behind are a frame
    /// as soon as their line is complete.
    ///
    /// # Errors
    /// [`EventTooLarge`] when what is not yet a frame exceeds `limit` bytes; the stream cannot be read on.
    pub fn feed(&mut self, chunk: &Bytes, limit: usize) -> Result<Vec<Framed>, EventTooLarge> {
        let mut frames = Vec::new();
        let mut taken = 0;
        let mut at = 0;
        if self.after_cr && !chunk.is_empty() {
            at = usize::from(chunk.first() == Some(&b'\n'));
            self.after_cr = false;
        }
        // Where the last complete line ended.
        let mut whole = at;
        while let Some(found) = memchr::memchr2(b'\r', b'\n', chunk.get(at..).unwrap_or_default()) {
            let end = at + found;
            let first = self.line.take().or_else(|| chunk.get(at..end)?.first().copied());
            at = end + 1;
            if chunk.get(end) == Some(&b'\r') {
                self.after_cr = at == chunk.len();
                at += usize::from(chunk.get(at) == Some(&b'\n'));
            }
            whole = at;
            match first {
                None => {
                    frames.push(self.frame(chunk, taken..at, limit)?);
                    taken = at;
                }
                Some(b':') => {}
                Some(_) => self.has_fields = true,
            }
        }
        if !self.has_fields && taken < whole {
            frames.push(self.frame(chunk, taken..whole, limit)?);
            taken = whole;
        }
        self.line = self.line.or_else(|| chunk.get(at).copied());
        let rest = chunk.get(taken..).unwrap_or_default();
        within(self.kept.len() + rest.len(), limit)?;
        self.kept.extend_from_slice(rest);
        Ok(frames)
    }

    /// At the end of the stream: the bytes that no blank line ended. They are no event.
    pub fn take_rest(&mut self) -> Bytes {
        let rest = std::mem::take(&mut self.kept).freeze();
        *self = Self::default();
        rest
    }

    /// How many bytes are kept.
    #[must_use]
    pub fn held(&self) -> usize {
        self.kept.len()
    }

    fn frame(&mut self, chunk: &Bytes, range: std::ops::Range<usize>, limit: usize) -> Result<Framed, EventTooLarge> {
        within(self.kept.len() + range.len(), limit)?;
        let raw = if self.kept.is_empty() {
            chunk.slice(range)
        } else {
            let mut whole = std::mem::take(&mut self.kept);
            whole.extend_from_slice(chunk.get(range).unwrap_or_default());
            whole.freeze()
        };
        let is_first = !std::mem::replace(&mut self.begun, true);
        let event = std::mem::take(&mut self.has_fields)
            .then(|| read(&raw, is_first))
            .flatten();
        Ok(Framed { raw, event })
    }
}

const fn within(len: usize, limit: usize) -> Result<(), EventTooLarge> {
    if len > limit { Err(EventTooLarge(limit)) } else { Ok(()) }
}

/// What the lines of a frame say.
fn read(raw: &Bytes, is_first: bool) -> Option<SseEvent> {
    let mut open = Open::default();
    let mut only: Option<Bytes> = None;
    let mut lines = 0_usize;
    for (at, line) in Lines(raw).enumerate() {
        let text = first_without_mark(is_first && at == 0, line.text);
        let Some(value) = value_of(text) else {
            if !text.is_empty() {
                open.field(text);
            }
            continue;
        };
        lines += 1;
        match only.take() {
            None if lines == 1 => only = Some(raw.slice_ref(value)),
            None => open.data_line(value),
            Some(before) => {
                open.data_line(&before);
                open.data_line(value);
            }
        }
    }
    (open.touched || lines > 0).then(|| SseEvent {
        data: only.unwrap_or_else(|| Bytes::from(open.data)),
        ..open.event
    })
}

fn first_without_mark(is_first: bool, line: &[u8]) -> &[u8] {
    match line.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) if is_first => rest,
        Some(_) | None => line,
    }
}

/// The value of a data line.
fn value_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        value @ [] => Some(value),
        [..] => None,
    }
}

/// One line and what ends it.
struct Line<'a> {
    text: &'a [u8],
    end: &'a [u8],
}

/// Goes through lines that end with CR, LF or CRLF; the last one may end with nothing.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let at = memchr::memchr2(b'\r', b'\n', self.0).unwrap_or(self.0.len());
        let (text, tail) = self.0.split_at_checked(at)?;
        let (end, rest) = match tail {
            [b'\r', b'\n', ..] => tail.split_at_checked(2)?,
            [_, ..] => tail.split_at_checked(1)?,
            [] => (tail, tail),
        };
        self.0 = rest;
        Some(Line { text, end })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Decoder;
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 1 << 20;

    /// The frames of `wire` cut into chunks, and the rest.
    fn mk_frames(wire: &[u8], chunk: usize) -> (Vec<Framed>, Bytes) {
        let mut framer = Framer::default();
        let mut frames = Vec::new();
        for chunk in wire.chunks(chunk) {
            frames.extend(framer.feed(&Bytes::copy_from_slice(chunk), LIMIT).expect("small"));
        }
        (frames, framer.take_rest())
    }

    #[test]
    fn a_frame_within_a_chunk_is_not_copied() {
        let chunk = Bytes::from_static(b"id: 1\ndata: {}\n\ndata: [\ndata: ]\n\n");
        let frames = Framer::default().feed(&chunk, LIMIT).expect("small");
        let [one, two] = frames.as_slice() else {
            panic!("{frames:?}")
        };
        assert_eq!(one.raw, "id: 1\ndata: {}\n\n");
        assert_eq!(one.raw.as_ptr(), chunk.as_ptr());
        let data = &one.event.as_ref().expect("an event").data;
        assert_eq!(data.as_ptr(), chunk.slice(12..).as_ptr(), "the data is a slice too");
        assert_eq!(two.event.as_ref().expect("an event").data, "[\n]");
    }

    #[test]
    fn a_comment_does_not_wait_for_an_event() {
        let mut framer = Framer::default();
        let mut feed = |text: &'static str| {
            let frames = framer.feed(&Bytes::from_static(text.as_bytes()), LIMIT).expect("small");
            frames.into_iter().map(|frame| frame.raw).collect::<Vec<_>>()
        };
        assert_eq!(feed(": keep-alive\n"), [": keep-alive\n"]);
        assert_eq!(feed("\n"), ["\n"]);
        assert_eq!(feed(": a\r"), [": a\r"]);
        assert_eq!(feed("\n: half"), ["\n"]);
        assert_eq!(
            feed(" of it\ndata: 1\n"),
            Vec::<Bytes>::new(),
            "an event has begun behind it"
        );
        assert_eq!(feed("\n"), [": half of it\ndata: 1\n\n"]);
    }

    #[test]
    fn other_data_changes_nothing_else() {
        let wire = "\u{feff}data:[\r: c\r\nid: 7\nx: y\ndata:  1]\r\n\r\n";
        let (frames, _) = mk_frames(wire.as_bytes(), 1000);
        let changed = frames[0].with_data(b"[\n \"mm\"]");
        assert_eq!(changed, wire.replace(" 1]", " \"mm\"]"));
    }

    #[test]
    fn data_with_more_lines_is_still_one_event() {
        let (frames, _) = mk_frames(b"id: 7\ndata: 1\n\n", 1000);
        assert_eq!(frames[0].with_data(b"1\n2"), "id: 7\ndata: 1\ndata: 2\n\n");
    }

    #[test]
    fn a_frame_without_end_is_bounded() {
        let chunk = Bytes::from_static(b"data: 0123456789");
        assert_eq!(Framer::default().feed(&chunk, 15), Err(EventTooLarge(15)));
        let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\ndata: 3");
        assert!(Framer::default().feed(&chunk, 9).is_ok(), "each frame begins anew");
    }

    const WIRE: &str =
        "(\u{feff})?((data: [a-z]{0,3}|data|data:é|id: 1|: c|:|event: e|retry: 5|x|)(\r\n|\n|\r)){0,12}[a-z:]{0,3}";

    proptest! {
        #[test]
        fn raws_and_rest_are_the_input_and_say_what_the_decoder_says(wire in WIRE, chunk in 1_usize..9) {
            let (frames, rest) = mk_frames(wire.as_bytes(), chunk);
            let raws: Vec<&[u8]> = frames.iter().map(|frame| frame.raw.as_ref()).chain([rest.as_ref()]).collect();
            prop_assert_eq!(raws.concat(), wire.as_bytes());
            let mut decoder = Decoder::default();
            let events = decoder.feed(wire.as_bytes(), LIMIT).expect("small");
            let framed: Vec<SseEvent> = frames.iter().filter_map(|frame| frame.event.clone()).collect();
            prop_assert_eq!(framed, events);
        }

        #[test]
        fn the_same_data_gives_the_same_bytes(wire in WIRE, chunk in 1_usize..9) {
            for frame in mk_frames(wire.as_bytes(), chunk).0 {
                if let Some(event) = frame.event.as_ref().filter(|event| !event.data.is_empty()) {
                    prop_assert_eq!(frame.with_data(&event.data), &frame.raw);
                }
            }
        }

        #[test]
        fn any_bytes_are_taken(wire: Vec<u8>, chunk in 1_usize..9) {
            let (frames, rest) = mk_frames(&wire, chunk);
            let raws: Vec<&[u8]> = frames.iter().map(|frame| frame.raw.as_ref()).chain([rest.as_ref()]).collect();
            prop_assert_eq!(raws.concat(), wire);
        }
    }
}
