//! How long the body of an HTTP/1.1 answer is (RFC 9112, 6.3), and which bytes on the wire are its own. Pure; keeps
//! nothing of what comes.

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// As many bytes are still to come.
    Length(u64),
    /// `Transfer-Encoding: chunked`
    Chunked(Chunk),
    /// Until the connection ends.
    Close,
}

/// Where in the chunks we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Before or in the size, which is this much so far; `None`: no digit yet.
    Size(Option<u64>),
    /// Behind the size, before the end of its line.
    Extension(u64),
    /// As many bytes are still to come.
    Data(u64),
    /// The line end behind the data.
    DataEnd,
    /// At the beginning of a line behind the last chunk.
    Trailer,
    /// In such a line.
    InTrailer,
    /// All was said.
    Done,
}

/// The bytes make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::edge::http) enum FramingError {
    /// The size of a chunk is no hexadecimal number, or more than anything can be.
    #[error("a chunk without a size")]
    Size,
    /// A chunk goes on behind its end.
    #[error("a chunk longer than its size")]
    Longer,
    /// The connection ended first.
    #[error("it ended before the answer did")]
    Ended,
}

impl Framing {
    /// Before the first chunk.
    pub(super) const CHUNKED: Self = Self::Chunked(Chunk::Size(None));

    /// All of the body was seen.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }

    /// What of these bytes belongs to the body; what follows it is dropped.
    ///
    /// # Errors
    /// See [`FramingError`]. Then nothing more must be fed.
    pub(super) fn feed(&mut self, wire: &[u8]) -> Result<Vec<u8>, FramingError> {
        match self {
            Self::Close => Ok(wire.to_vec()),
            Self::Length(left) => Ok(take(left, wire).0.to_vec()),
            Self::Chunked(chunk) => chunk.feed(wire),
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// [`FramingError::Ended`]: the body has not.
    pub(super) const fn closed(&self) -> Result<(), FramingError> {
        match self {
            Self::Close | Self::Length(0) | Self::Chunked(Chunk::Done) => Ok(()),
            Self::Length(_) | Self::Chunked(_) => Err(FramingError::Ended),
        }
    }
}

impl Chunk {
    fn feed(&mut self, mut wire: &[u8]) -> Result<Vec<u8>, FramingError> {
        let mut body = Vec::new();
        while let Some((first, rest)) = wire.split_first() {
            *self = match *self {
                Self::Data(mut left) => {
                    let (data, rest) = take(&mut left, wire);
                    body.extend_from_slice(data);
                    wire = rest;
                    *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                    continue;
                }
                Self::Size(size) => in_size(size, *first)?,
                Self::Extension(size) => match first {
                    b'\n' => behind_size(size),
                    _ => Self::Extension(size),
                },
                Self::DataEnd => match first {
                    b'\r' => Self::DataEnd,
                    b'\n' => Self::Size(None),
                    _ => return Err(FramingError::Longer),
                },
                Self::Trailer => match first {
                    b'\r' => Self::Trailer,
                    b'\n' => Self::Done,
                    _ => Self::InTrailer,
                },
                Self::InTrailer => match first {
                    b'\n' => Self::Trailer,
                    _ => Self::InTrailer,
                },
                Self::Done => break,
            };
            wire = rest;
        }
        Ok(body)
    }
}

fn in_size(size: Option<u64>, byte: u8) -> Result<Chunk, FramingError> {
    let digit = char::from(byte).to_digit(16);
    match (digit, byte, size) {
        (Some(digit), _, size) => {
            let larger = size.unwrap_or(0).checked_mul(16).ok_or(FramingError::Size)?;
            Ok(Chunk::Size(Some(larger | u64::from(digit))))
        }
        (None, b'\n', Some(size)) => Ok(behind_size(size)),
        (None, b'\r' | b';' | b' ' | b'\t', Some(size)) => Ok(Chunk::Extension(size)),
        (None, _, _) => Err(FramingError::Size),
    }
}

const fn behind_size(size: u64) -> Chunk {
    match size {
        0 => Chunk::Trailer,
        size => Chunk::Data(size),
    }
}

/// The bytes that are still due, and those behind them.
fn take<'a>(left: &mut u64, wire: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let due = usize::try_from(*left).unwrap_or(usize::MAX).min(wire.len());
    *left -= due as u64;
    wire.split_at(due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mk_body(mut framing: Framing, wire: &[u8], piece: usize) -> Result<(Vec<u8>, bool), FramingError> {
        let mut body = Vec::new();
        for piece in wire.chunks(piece.max(1)) {
            body.extend(framing.feed(piece)?);
        }
        Ok((body, framing.closed().is_ok()))
    }

    #[test]
    fn what_comes_behind_the_length_is_not_of_the_body() {
        for piece in 1..9 {
            assert_eq!(
                mk_body(Framing::Length(3), b"abcdef", piece),
                Ok((b"abc".to_vec(), true))
            );
            assert_eq!(
                mk_body(Framing::Length(7), b"abcdef", piece),
                Ok((b"abcdef".to_vec(), false))
            );
            assert_eq!(mk_body(Framing::Close, b"abc", piece), Ok((b"abc".to_vec(), true)));
        }
    }

    #[test]
    fn chunks_have_sizes_extensions_and_trailers() {
        let wire = b"3\r\nabc\r\n00b ; x=\"y\"\r\n0123456789\n\r\n0\r\nx: y\r\n\r\nmore";
        for piece in 1..40 {
            let body = mk_body(Framing::CHUNKED, wire, piece);
            assert_eq!(body, Ok((b"abc0123456789\n".to_vec(), true)), "pieces of {piece}");
        }
    }

    #[test]
    fn chunks_that_break_off_are_not_the_whole() {
        for wire in ["", "3", "3\r\n", "3\r\nab", "3\r\nabc\r\n", "0\r\n", "0\r\nx: y\r\n"] {
            assert!(
                matches!(mk_body(Framing::CHUNKED, wire.as_bytes(), 2), Ok((_, false))),
                "{wire:?}"
            );
        }
    }

    #[test]
    fn chunks_that_make_no_sense_are_refused() {
        for wire in ["\r\n", "x\r\n", "-1\r\n", ";\r\n", "10000000000000000\r\n"] {
            assert_eq!(
                mk_body(Framing::CHUNKED, wire.as_bytes(), 3),
                Err(FramingError::Size),
                "{wire:?}"
            );
        }
        assert_eq!(mk_body(Framing::CHUNKED, b"1\r\nab\r\n", 3), Err(FramingError::Longer));
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_chunks_are_the_body(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..9),
            piece in 1_usize..40,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(mk_body(Framing::CHUNKED, &wire, piece), Ok((chunks.concat(), true)));
        }

        #[test]
        fn any_bytes_are_taken_and_none_is_added(wire: Vec<u8>, piece in 1_usize..9) {
            if let Ok((body, _)) = mk_body(Framing::CHUNKED, &wire, piece) {
                prop_assert!(body.len() <= wire.len());
            }
        }
    }
}
