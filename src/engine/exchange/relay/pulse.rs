//! What has to be known of an event stream that goes out as it comes: where comments may stand, and what is owed to the
//! client if it breaks off.
//!
//! Reads lines, not messages: the stream is not to wait. Wrong about a message that says `"method"` in odd places, or
//! whose word is cut in two by a chunk; all it decides then is whether the client hears of a broken stream in an event or
//! by the end of its connection.

use memchr::memmem;

/// The state at the end of what has passed.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    line: Line,
    /// The event so far has data.
    data: bool,
    /// It has a method: a request or a notification, not the response.
    method: bool,
    /// The response has passed.
    answered: bool,
    /// Events have ids: the client may take the stream up again at the upstream.
    resumable: bool,
}

/// The line so far.
#[derive(Debug, Default)]
struct Line {
    /// Its first bytes.
    head: [u8; 5],
    /// All of its bytes.
    len: usize,
    /// There is more than blanks behind the first five.
    value: bool,
}

impl Pulse {
    /// Takes note of what passes.
    pub(super) fn feel(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some((text, after)) = memchr::memchr(b'\n', rest).and_then(|at| rest.split_at_checked(at)) {
            self.text(text);
            self.end_line();
            rest = after.get(1..).unwrap_or_default();
        }
        self.text(rest);
    }

    /// Nothing may be put in: a line is not complete.
    pub(super) const fn mid_line(&self) -> bool {
        self.line.len > 0
    }

    /// Whether the stream may end here for good: the client has its response, or can ask the upstream for the rest.
    pub(super) const fn may_break_off(&self) -> bool {
        self.answered || self.resumable
    }

    fn text(&mut self, text: &[u8]) {
        let line = &mut self.line;
        let free = line.head.get_mut(line.len..).unwrap_or_default();
        let (head, value) = text.split_at(free.len().min(text.len()));
        free.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        line.len += text.len();
        line.value |= !value.trim_ascii().is_empty();
        self.method = self.method || memmem::find(text, br#""method""#).is_some();
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.resumable |= line.head.starts_with(b"id:");
        self.data |= line.value && line.head == *b"data:";
        if line.len == 0 || (line.len == 1 && line.head.first() == Some(&b'\r')) {
            self.answered |= self.data && !self.method;
            (self.data, self.method) = (false, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(chunks: &[&str]) -> Pulse {
        let mut pulse = Pulse::default();
        chunks.iter().for_each(|chunk| pulse.feel(chunk.as_bytes()));
        pulse
    }

    #[test]
    fn a_comment_stands_between_lines_only() {
        for (stream, mid_line) in [
            ("", false),
            ("data: {", true),
            ("data: {}\n", false),
            ("data: {}\r\n\r\n", false),
            ("data: {}\n\n", false),
            (": c", true),
        ] {
            assert_eq!(after(&[stream]).mid_line(), mid_line, "{stream:?}");
        }
    }

    #[test]
    fn a_stream_that_owes_the_response_may_not_break_off() {
        for owing in [
            &["data: {\"method\":\"notifications/progress\"}\n\n"][..],
            &["data: {\"method\":\"a\"}\r\n\r\n: c\n\n"],
            &["data: {\"result\":{}}\n"],
            &["data:\n\n"],
            &["data: \"me", "thod\"", "\ndata: \"method\"\n\n"],
        ] {
            assert!(!after(owing).may_break_off(), "{owing:?}");
        }
        for whole in [
            &["data: {\"method\":\"a\"}\n\ndata: {\"result\":{}}\n\n"][..],
            &["event: message\r\nda", "ta: {\"re", "sult\":{}}\r\n", "\r\n"],
            &["id: 1\ndata:\n\n"],
            &["i", "d", ": 1\n"],
        ] {
            assert!(after(whole).may_break_off(), "{whole:?}");
        }
    }
}
