//! Reads the fields of one message, in place.

use super::kind;
use std::ops::Range;

/// Not protobuf, or cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf")]
pub(crate) struct Malformed;

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// An integer, bool or enum.
    Number(u64),
    /// Text, bytes or a message: where it stands in the buffer.
    Span(Range<usize>),
    /// The bits of a number of fixed width.
    Fixed(u64),
}

/// The fields of the message that stands at `range` of `bytes`, in order: (number, value).
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    rest: Range<usize>,
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(bytes: &'a [u8], range: Range<usize>) -> Self {
        Self { bytes, rest: range }
    }

    fn field(&mut self) -> Result<(u64, Value), Malformed> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            kind::VARINT => Value::Number(self.varint()?),
            kind::LENGTH => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Span(self.take(length)?)
            }
            kind::FIXED64 => Value::Fixed(self.fixed(8)?),
            kind::FIXED32 => Value::Fixed(self.fixed(4)?),
            // Groups, which nobody writes any more.
            _ => return Err(Malformed),
        };
        Ok((tag >> 3, value))
    }

    fn take(&mut self, length: usize) -> Result<Range<usize>, Malformed> {
        let start = self.rest.start;
        let end = start.checked_add(length).filter(|end| *end <= self.rest.end);
        self.rest.start = end.ok_or(Malformed)?;
        Ok(start..self.rest.start)
    }

    /// Little endian.
    fn fixed(&mut self, width: usize) -> Result<u64, Malformed> {
        let place = self.take(width)?;
        let bytes = self.bytes.get(place).ok_or(Malformed)?;
        Ok(bytes.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        // Nearly all tags and lengths are below 128: one byte.
        if let Some(byte @ 0..0x80) = self.bytes.get(self.rest.start)
            && !self.rest.is_empty()
        {
            self.rest.start += 1;
            return Ok(u64::from(*byte));
        }
        let bytes = self.bytes.get(self.rest.clone()).ok_or(Malformed)?;
        let mut value = 0;
        for (index, byte) in bytes.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest.start += index + 1;
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<(u64, Value), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = 0..0;
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Vec<Result<(u64, Value), Malformed>> {
        Fields::new(bytes, 0..bytes.len()).collect()
    }

    #[test]
    fn numbers_and_spans_are_found() {
        let bytes = [0x50, 0x01, 0x0a, 0x02, b'h', b'i', 0x11, 1, 2, 3, 4, 5, 6, 7, 8];
        let expected = [
            Ok((10, Value::Number(1))),
            Ok((1, Value::Span(4..6))),
            Ok((2, Value::Fixed(0x0807_0605_0403_0201))),
        ];
        assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn a_length_beyond_the_end_is_malformed() {
        assert_eq!(read(&[0x0a, 0x03, b'h', b'i']), [Err(Malformed)]);
        let huge = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read(&huge), [Err(Malformed)]);
    }

    #[test]
    fn a_number_that_does_not_end_is_malformed() {
        assert_eq!(read(&[0x08, 0x80]), [Err(Malformed)]);
        assert_eq!(read(&[0x08; 1]), [Err(Malformed)]);
        assert_eq!(read(&[0xff; 20]), [Err(Malformed)]);
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for field in read(&bytes).into_iter().flatten() {
                if let Value::Span(span) = field.1 {
                    prop_assert!(bytes.get(span).is_some());
                }
            }
        }
    }
}
