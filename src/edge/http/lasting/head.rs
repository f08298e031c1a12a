//! The heads of an HTTP/1.1 exchange: ours as bytes, the answer's out of bytes. Pure.

use super::framing::Framing;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

/// Bytes of a head, and lines in it: as much as hyper takes.
const LARGEST: usize = 400 << 10;
const LINES: usize = 100;

/// Why a head is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::edge::http) enum HeadError {
    /// Not what RFC 9112 says.
    #[error("its answer is not HTTP: {0}")]
    Malformed(httparse::Error),
    /// Larger than anybody needs.
    #[error("the head of its answer is larger than {LARGEST} bytes")]
    TooLarge,
    /// The length of the body is told in two ways, or in none that counts.
    #[error("its answer has no length that makes sense")]
    Length,
    /// Something else than HTTP/1.1 was agreed on, though nobody asked for it.
    #[error("its answer changes the protocol")]
    Switched,
}

/// The bytes of a request with its body.
pub(super) fn request(request: &Request<Bytes>) -> Vec<u8> {
    let (uri, headers, body) = (request.uri(), request.headers(), request.body());
    let target = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut wire = format!("{} {target} HTTP/1.1\r\n", request.method()).into_bytes();
    let mut line = |name: &HeaderName, value: &[u8]| {
        wire.extend_from_slice(name.as_str().as_bytes());
        wire.extend_from_slice(b": ");
        wire.extend_from_slice(value);
        wire.extend_from_slice(b"\r\n");
    };
    if !headers.contains_key(HOST) {
        line(&HOST, host(uri).as_bytes());
    }
    for (name, value) in headers {
        line(name, value.as_bytes());
    }
    if request.method() != Method::GET || !body.is_empty() {
        line(&CONTENT_LENGTH, body.len().to_string().as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
    wire.extend_from_slice(body);
    wire
}

/// The port only where it is not the scheme's own.
fn host(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    match (uri.scheme_str(), uri.port_u16()) {
        (_, None) | (Some("http"), Some(80)) | (Some("https"), Some(443)) => host.to_owned(),
        (_, Some(port)) => format!("{host}:{port}"),
    }
}

/// What an answer begins with.
#[derive(Debug, PartialEq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
}

/// Takes bytes until there is a head.
#[derive(Debug, Default)]
pub(super) struct Reader {
    wire: Vec<u8>,
    /// There is no end of a head before here.
    searched: usize,
}

impl Reader {
    /// More bytes; `None`: they are not enough. Heads that say only that another one comes are passed over.
    ///
    /// # Errors
    /// See [`HeadError`].
    pub(super) fn feed(&mut self, more: &[u8]) -> Result<Option<Head>, HeadError> {
        // A peer that speaks something else is found out at once: it may wait for us.
        let first = self.wire.is_empty();
        self.wire.extend_from_slice(more);
        while self.has_blank_line() || first {
            let Some((head, length)) = parse(&self.wire)? else {
                break;
            };
            self.wire.drain(..length);
            self.searched = 0;
            match head.status {
                101 => return Err(HeadError::Switched),
                100..=199 => {}
                _ => return Ok(Some(head)),
            }
        }
        if self.wire.len() > LARGEST {
            return Err(HeadError::TooLarge);
        }
        Ok(None)
    }

    /// What came behind the head.
    pub(super) fn rest(&self) -> &[u8] {
        &self.wire
    }

    /// Whether a line without anything came since the last look.
    fn has_blank_line(&mut self) -> bool {
        let fresh = self.wire.get(self.searched..).unwrap_or_default();
        let found = fresh.windows(2).any(|two| two == b"\n\n") || fresh.windows(3).any(|three| three == b"\n\r\n");
        self.searched = self.wire.len().saturating_sub(2);
        found
    }
}

/// The head at the beginning of `wire`, and its length.
fn parse(wire: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
    let mut lines = [httparse::EMPTY_HEADER; LINES];
    let mut response = httparse::Response::new(&mut lines);
    let httparse::Status::Complete(length) = response.parse(wire).map_err(HeadError::Malformed)? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for line in response.headers.iter() {
        // What httparse lets pass and `http` does not is nothing that we could tell anybody.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(line.name.as_bytes()),
            HeaderValue::from_bytes(line.value),
        ) {
            headers.append(name, value);
        }
    }
    let framing = framing(status, &headers)?;
    let head = Head {
        status,
        headers,
        framing,
    };
    Ok(Some((head, length)))
}

/// RFC 9112, 6.3.
fn framing(status: u16, headers: &HeaderMap) -> Result<Framing, HeadError> {
    if matches!(status, 100..=199 | 204 | 304) {
        return Ok(Framing::Length(0));
    }
    if let Some(coding) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        let last = coding
            .as_bytes()
            .rsplit(|byte| *byte == b',')
            .next()
            .unwrap_or_default();
        return Ok(if last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            Framing::CHUNKED
        } else {
            Framing::Close
        });
    }
    let values = headers.get_all(CONTENT_LENGTH).iter();
    let mut lengths = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let Some(first) = lengths.next() else {
        return Ok(Framing::Close);
    };
    let length = number(first)?;
    if lengths.any(|other| number(other) != Ok(length)) {
        return Err(HeadError::Length);
    }
    Ok(Framing::Length(length))
}

fn number(text: &[u8]) -> Result<u64, HeadError> {
    let text = std::str::from_utf8(text.trim_ascii()).map_err(|_| HeadError::Length)?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.ok_or(HeadError::Length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mk_head(wire: &[u8], piece: usize) -> Result<Option<(Head, Vec<u8>)>, HeadError> {
        let mut reader = Reader::default();
        let mut pieces = wire.chunks(piece.max(1));
        while let Some(piece) = pieces.next() {
            if let Some(head) = reader.feed(piece)? {
                let rest = pieces.flatten().copied();
                return Ok(Some((head, reader.rest().iter().copied().chain(rest).collect())));
            }
        }
        Ok(None)
    }

    fn mk_framing(lines: &str) -> Result<Framing, HeadError> {
        let head = mk_head(format!("HTTP/1.1 200 OK\r\n{lines}\r\n").as_bytes(), 1000)?;
        Ok(head.expect("it is complete").0.framing)
    }

    #[test]
    fn a_request_is_what_a_pool_would_send() {
        let mut get = Request::get("http://localhost:81/mcp?a=b")
            .body(Bytes::new())
            .expect("a request");
        get.headers_mut()
            .insert("accept", HeaderValue::from_static("text/event-stream"));
        let expected = "GET /mcp?a=b HTTP/1.1\r\nhost: localhost:81\r\naccept: text/event-stream\r\n\r\n";
        assert_eq!(request(&get), expected.as_bytes());
        let post = Request::post("https://[::1]:443")
            .body(Bytes::from_static(b"{}"))
            .expect("a request");
        let expected = "POST / HTTP/1.1\r\nhost: [::1]\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(request(&post), expected.as_bytes());
        let own = Request::get("http://a/")
            .header("host", "b")
            .body(Bytes::new())
            .expect("a request");
        assert_eq!(request(&own), b"GET / HTTP/1.1\r\nhost: b\r\n\r\n");
    }

    #[test]
    fn a_head_is_found_however_it_comes() {
        let wire = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nx: \xff\r\n\r\ndata: 1\n\n";
        for piece in 1..80 {
            let (head, rest) = mk_head(wire, piece).expect("HTTP").expect("complete");
            assert_eq!(
                (head.status, head.framing, &*rest),
                (200, Framing::Close, b"data: 1\n\n".as_slice())
            );
            assert_eq!(head.headers["content-type"], "text/event-stream");
        }
    }

    #[test]
    fn heads_that_announce_another_one_are_passed_over() {
        let wire = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 404 \r\n\r\n";
        for piece in 1..80 {
            assert_eq!(mk_head(wire, piece).expect("HTTP").expect("complete").0.status, 404);
        }
        assert_eq!(mk_head(b"HTTP/1.1 101 Other\r\n\r\n", 99), Err(HeadError::Switched));
    }

    #[test]
    fn the_length_is_told_in_one_way() {
        assert_eq!(mk_framing(""), Ok(Framing::Close));
        assert_eq!(mk_framing("content-length: 5\r\n"), Ok(Framing::Length(5)));
        assert_eq!(
            mk_framing("content-length: 5, 5\r\ncontent-length: 5\r\n"),
            Ok(Framing::Length(5))
        );
        assert_eq!(
            mk_framing("content-length: 5\r\ntransfer-encoding: Chunked\r\n"),
            Ok(Framing::CHUNKED)
        );
        assert_eq!(mk_framing("transfer-encoding: gzip, chunked\r\n"), Ok(Framing::CHUNKED));
        assert_eq!(mk_framing("transfer-encoding: gzip\r\n"), Ok(Framing::Close));
        for lines in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: +5\r\n",
            "content-length:\r\n",
        ] {
            assert_eq!(mk_framing(lines), Err(HeadError::Length), "{lines:?}");
        }
        let (head, _) = mk_head(b"HTTP/1.1 204 \r\ncontent-length: 5\r\n\r\n", 99)
            .expect("HTTP")
            .expect("complete");
        assert_eq!(head.framing, Framing::Length(0));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        assert!(matches!(
            mk_head(b"SSH-2.0-x\r\n\r\n", 99),
            Err(HeadError::Malformed(_))
        ));
        let endless = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &[b'x'; LARGEST]].concat();
        assert_eq!(mk_head(&endless, 8 << 10), Err(HeadError::TooLarge));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(LINES + 1));
        assert_eq!(
            mk_head(many.as_bytes(), 999),
            Err(HeadError::Malformed(httparse::Error::TooManyHeaders))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(wire: Vec<u8>, piece in 1_usize..9) {
            let _ = mk_head(&wire, piece);
            let _ = mk_head(&[b"HTTP/1.1 200 OK\r\n".as_slice(), &wire, b"\r\n\r\n"].concat(), piece);
        }
    }
}
