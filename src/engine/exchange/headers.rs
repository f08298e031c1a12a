//! HTTP headers as one buffer and where names and values stand in it: reading a message allocates once, not twice for
//! each header.

use bytes::Bytes;
use std::ops::Range;

/// Headers in the order of the wire; names are lower case.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    bytes: Bytes,
    spans: Vec<HeaderSpan>,
}

/// Where one header stands in the buffer.
#[derive(Clone, Debug)]
pub struct HeaderSpan {
    /// Its name, in lower case.
    pub name: Range<usize>,
    /// Its value.
    pub value: Range<usize>,
}

impl Headers {
    /// Headers that stand in `bytes`. A span outside of it is an empty text.
    #[must_use]
    pub const fn within(bytes: Bytes, spans: Vec<HeaderSpan>) -> Self {
        Self { bytes, spans }
    }

    /// The first value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.spans
            .iter()
            .find(|span| self.slice(&span.name) == name.as_bytes())
            .map(|span| self.slice(&span.value))
    }

    /// True if `name` stands exactly once, with exactly this value.
    #[must_use]
    pub fn says_only(&self, name: &str, value: &[u8]) -> bool {
        let mut values = self.all(name);
        values.next() == Some(value) && values.next().is_none()
    }

    /// The first value of `name`, if it is UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of `name`, in order.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.spans
            .iter()
            .filter(move |span| self.slice(&span.name) == name.as_bytes())
            .map(|span| self.slice(&span.value))
    }

    /// Name and value of those whose name is `wanted`, in order. A name that is no text, which HTTP does not know, is
    /// empty.
    pub fn select<'a>(&'a self, wanted: impl Fn(&[u8]) -> bool + 'a) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let selected = self.spans.iter().filter(move |span| wanted(self.slice(&span.name)));
        selected.map(|span| {
            let name = std::str::from_utf8(self.slice(&span.name)).unwrap_or_default();
            (name, self.slice(&span.value))
        })
    }

    /// Those whose name is `wanted`, in the same buffer.
    #[must_use]
    pub fn filtered(&self, wanted: impl Fn(&[u8]) -> bool) -> Self {
        let spans = self.spans.iter().filter(|span| wanted(self.slice(&span.name)));
        Self {
            bytes: self.bytes.clone(),
            spans: spans.cloned().collect(),
        }
    }

    /// Bytes of all names and values.
    #[must_use]
    pub fn size(&self) -> usize {
        let sizes = self.spans.iter().map(|span| span.name.len() + span.value.len());
        sizes.sum()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.spans.len()
    }

    /// There are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Name and value of all, in order, as parts of the buffer.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Bytes)> {
        self.spans.iter().map(|span| {
            let value = self.slice(&span.value);
            (self.slice(&span.name), self.bytes.slice_ref(value))
        })
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    /// Copies them into one buffer, names in lower case.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut bytes = Vec::new();
        let mut spans = Vec::new();
        for (name, value) in pairs {
            let start = bytes.len();
            bytes.extend(name.as_ref().iter().map(u8::to_ascii_lowercase));
            let middle = bytes.len();
            bytes.extend_from_slice(value.as_ref());
            spans.push(HeaderSpan {
                name: start..middle,
                value: middle..bytes.len(),
            });
        }
        Self {
            bytes: bytes.into(),
            spans,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_by_their_lower_case_name_in_order() {
        let headers: Headers = [("Accept", "a"), ("x", ""), ("accept", "b")].into_iter().collect();
        assert_eq!(headers.get("accept"), Some(b"a".as_slice()));
        assert_eq!(headers.all("accept").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(headers.text("x"), Some(""), "present, though empty");
        assert_eq!(headers.get("y"), None);
    }

    #[test]
    fn a_value_that_is_no_text_is_bytes_only() {
        let headers: Headers = [("x", b"\xff".as_slice())].into_iter().collect();
        assert_eq!(headers.get("x"), Some(b"\xff".as_slice()));
        assert_eq!(headers.text("x"), None);
    }

    #[test]
    fn a_span_outside_of_the_buffer_is_empty() {
        let span = HeaderSpan {
            name: 0..1,
            value: 1..9,
        };
        let headers = Headers::within(Bytes::from_static(b"abc"), vec![span]);
        assert_eq!(headers.get("a"), Some(b"".as_slice()));
    }
}
