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
    /// See [`Frame::with_data`].
    #[must_use]
    pub fn with_data(&self, data: &[u8]) -> Bytes {
        with_data(&self.raw, data).unwrap_or_else(|| anew(self.event.as_ref(), data))
    }
}

/// The same, not read yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// All bytes since the end of the frame before.
    pub raw: Bytes,
    holds: Holds,
}

/// What there is to read in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// Comments, blank lines, pieces of an event that was let pass.
    Nothing,
    Event,
    /// The first event of a stream may begin with a byte order mark.
    FirstEvent,
}

impl Frame {
    /// What it says.
    #[must_use]
    pub fn event(&self) -> Option<SseEvent> {
        match self.holds {
            Holds::Nothing => None,
            Holds::Event => read(&self.raw, false),
            Holds::FirstEvent => read(&self.raw, true),
        }
    }

    /// True if there may be an event in it.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.holds != Holds::Nothing
    }

    /// The frame with other data; every byte that is not data stays as it is. `data` has as many lines as before: a JSON
    /// token that is replaced by another one never adds one.
    #[must_use]
    pub fn with_data(&self, data: &[u8]) -> Bytes {
        with_data(&self.raw, data).unwrap_or_else(|| anew(self.event().as_ref(), data))
    }
}

/// `None`: the lines do not match.
fn with_data(raw: &[u8], data: &[u8]) -> Option<Bytes> {
    let mut out = Vec::with_capacity(raw.len() + data.len());
    let mut new = data.split(|byte| *byte == b'\n');
    for (at, line) in Lines(raw).enumerate() {
        match value_of(first_without_mark(at == 0, line.text)) {
            Some(value) => {
                let before = line.text.len() - value.len();
                out.extend_from_slice(line.text.get(..before)?);
                out.extend_from_slice(new.next()?);
            }
            None => out.extend_from_slice(line.text),
        }
        out.extend_from_slice(line.end);
    }
    new.next().is_none().then(|| Bytes::from(out))
}

/// An event, or its beginning, with `prefix` before its id; every other byte stays as it is. `None`: it has no id.
#[must_use]
pub fn with_id_prefix(raw: &[u8], prefix: &[u8]) -> Option<Bytes> {
    let mut out: Option<Vec<u8>> = None;
    let mut done = 0;
    for (at, line) in Lines(raw).enumerate() {
        let value = first_without_mark(at == 0, line.text).strip_prefix(b"id:");
        let value = value.map(|value| value.strip_prefix(b" ").unwrap_or(value));
        let end = done + line.text.len() + line.end.len();
        match (value.filter(|value| !value.is_empty()), &mut out) {
            (Some(value), _) => {
                let before = done + line.text.len() - value.len();
                let out = out.get_or_insert_with(|| raw.get(..done).unwrap_or_default().to_vec());
                out.extend_from_slice(raw.get(done..before)?);
                out.extend_from_slice(prefix);
                out.extend_from_slice(raw.get(before..end)?);
            }
            (None, Some(out)) => out.extend_from_slice(raw.get(done..end)?),
            (None, None) => {}
        }
        done = end;
    }
    out.map(Bytes::from)
}

fn anew(event: Option<&SseEvent>, data: &[u8]) -> Bytes {
    super::encode(&SseEvent {
        data: Bytes::copy_from_slice(data),
        ..event.cloned().unwrap_or_default()
    })
}

/// What becomes of an event that is longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlong {
    /// The stream cannot be read on.
    Fails,
    /// It goes on in pieces, unread.
    Passes,
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
    /// The open event goes on in pieces.
    passing: bool,
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
        self.cut(chunk, limit, Overlong::Fails, |frame| {
            let event = frame.event();
            frames.push(Framed { raw: frame.raw, event });
        })?;
        Ok(frames)
    }

    /// The same, each frame given to `take` and read only on demand.
    ///
    /// # Errors
    /// See [`Framer::feed`]; never where an overlong event passes.
    pub fn cut(
        &mut self,
        chunk: &Bytes,
        limit: usize,
        overlong: Overlong,
        mut take: impl FnMut(Frame),
    ) -> Result<(), EventTooLarge> {
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
                    take(self.frame(chunk, taken..at, limit, overlong)?);
                    taken = at;
                }
                Some(b':') => {}
                Some(_) => self.has_fields = true,
            }
        }
        self.line = self.line.or_else(|| chunk.get(at).copied());
        if self.passing {
            whole = chunk.len();
        }
        if (self.passing || !self.has_fields) && taken < whole {
            let still = self.passing;
            take(self.frame(chunk, taken..whole, limit, overlong)?);
            self.passing = still;
            taken = whole;
        }
        let rest = chunk.get(taken..).unwrap_or_default();
        if self.kept.len() + rest.len() <= limit {
            self.kept.extend_from_slice(rest);
            return Ok(());
        }
        let piece = self.frame(chunk, taken..chunk.len(), limit, overlong)?;
        self.passing = true;
        take(piece);
        Ok(())
    }

    /// Lets the open event pass: what is kept of it, and later the rest as it comes, in frames that hold no event.
    pub fn let_pass(&mut self) -> Bytes {
        self.passing = true;
        self.begun = true;
        std::mem::take(&mut self.kept).freeze()
    }

    /// At the end of the stream: the bytes that no blank line ended. They are no event.
    pub fn take_rest(&mut self) -> Bytes {
        let rest = std::mem::take(&mut self.kept).freeze();
        *self = Self::default();
        rest
    }

    /// What is kept of the open event.
    #[must_use]
    pub fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// True unless an event goes on in pieces: a comment may be put in behind what was taken.
    #[must_use]
    pub const fn is_between(&self) -> bool {
        !self.passing
    }

    fn frame(
        &mut self,
        chunk: &Bytes,
        range: std::ops::Range<usize>,
        limit: usize,
        overlong: Overlong,
    ) -> Result<Frame, EventTooLarge> {
        let fits = self.kept.len() + range.len() <= limit;
        if !fits && overlong == Overlong::Fails {
            return Err(EventTooLarge(limit));
        }
        let raw = if self.kept.is_empty() {
            chunk.slice(range)
        } else {
            let mut whole = std::mem::take(&mut self.kept);
            whole.extend_from_slice(chunk.get(range).unwrap_or_default());
            whole.freeze()
        };
        let is_first = !std::mem::replace(&mut self.begun, true);
        let has_fields = std::mem::take(&mut self.has_fields);
        let passes = std::mem::take(&mut self.passing) || !fits;
        let holds = match (has_fields && !passes, is_first) {
            (false, _) => Holds::Nothing,
            (true, false) => Holds::Event,
            (true, true) => Holds::FirstEvent,
        };
        Ok(Frame { raw, holds })
    }
}

/// The value of the first line of data at the beginning of an event that is not complete.
#[must_use]
pub fn first_data(open: &[u8]) -> Option<&[u8]> {
    Lines(open).find_map(|line| value_of(first_without_mark(true, line.text)))
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
mod tests;
