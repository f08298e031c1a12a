//! Writes messages as parts that know their length beforehand: protobuf wants it before the content.

use super::kind;
use bytes::{BufMut, Bytes};
use tonic::codec::EncodeBuf;

/// A buffer that can make room at once.
pub(crate) trait Out: BufMut {
    fn reserve(&mut self, bytes: usize);
}

impl Out for EncodeBuf<'_> {
    fn reserve(&mut self, bytes: usize) {
        EncodeBuf::reserve(self, bytes);
    }
}

#[cfg(test)]
impl Out for Vec<u8> {
    fn reserve(&mut self, bytes: usize) {
        Vec::reserve(self, bytes);
    }
}

/// A field, several, or none.
pub(crate) trait Part {
    fn length(&self) -> usize;
    fn put(&self, out: &mut impl BufMut);
}

/// Text or bytes; written even if empty.
pub(crate) struct Text<'a>(pub(crate) u64, pub(crate) &'a [u8]);

/// One field of bytes that are held in pieces.
pub(crate) struct Pieces<'a>(pub(crate) u64, pub(crate) &'a [Bytes]);

/// An integer, bool or enum; 0 is left out, as proto3 has it.
pub(crate) struct Number(pub(crate) u64, pub(crate) u64);

/// A double; written even if 0.
pub(crate) struct Double(pub(crate) u64, pub(crate) f64);

/// A message in a field; written even if empty.
pub(crate) struct Nested<P>(pub(crate) u64, pub(crate) P);

/// See [`each`].
pub(crate) struct Each<'a, T, F> {
    items: &'a [T],
    part: F,
}

/// One part for each item.
pub(crate) const fn each<'a, T, P: Part, F: Fn(&'a T) -> P>(items: &'a [T], part: F) -> Each<'a, T, F> {
    Each { items, part }
}

impl Part for Text<'_> {
    fn length(&self) -> usize {
        head_length(self.0, self.1.len()) + self.1.len()
    }

    fn put(&self, out: &mut impl BufMut) {
        put_head(out, self.0, self.1.len());
        out.put_slice(self.1);
    }
}

impl Pieces<'_> {
    fn content(&self) -> usize {
        self.1.iter().map(Bytes::len).sum()
    }
}

impl Part for Pieces<'_> {
    fn length(&self) -> usize {
        let content = self.content();
        head_length(self.0, content) + content
    }

    fn put(&self, out: &mut impl BufMut) {
        put_head(out, self.0, self.content());
        for piece in self.1 {
            out.put_slice(piece);
        }
    }
}

impl Part for Number {
    fn length(&self) -> usize {
        if self.1 == 0 {
            return 0;
        }
        varint_length(self.0 << 3) + varint_length(self.1)
    }

    fn put(&self, out: &mut impl BufMut) {
        if self.1 != 0 {
            put_varint(out, self.0 << 3 | kind::VARINT);
            put_varint(out, self.1);
        }
    }
}

impl Part for Double {
    fn length(&self) -> usize {
        varint_length(self.0 << 3) + 8
    }

    fn put(&self, out: &mut impl BufMut) {
        put_varint(out, self.0 << 3 | kind::FIXED64);
        out.put_f64_le(self.1);
    }
}

impl<P: Part> Part for Nested<P> {
    fn length(&self) -> usize {
        let content = self.1.length();
        head_length(self.0, content) + content
    }

    fn put(&self, out: &mut impl BufMut) {
        put_head(out, self.0, self.1.length());
        self.1.put(out);
    }
}

impl<'a, T, P: Part, F: Fn(&'a T) -> P> Part for Each<'a, T, F> {
    fn length(&self) -> usize {
        self.items.iter().map(|item| (self.part)(item).length()).sum()
    }

    fn put(&self, out: &mut impl BufMut) {
        for item in self.items {
            (self.part)(item).put(out);
        }
    }
}

impl<P: Part> Part for Option<P> {
    fn length(&self) -> usize {
        self.as_ref().map_or(0, Part::length)
    }

    fn put(&self, out: &mut impl BufMut) {
        if let Some(part) = self {
            part.put(out);
        }
    }
}

impl Part for () {
    fn length(&self) -> usize {
        0
    }

    fn put(&self, _out: &mut impl BufMut) {}
}

impl<A: Part, B: Part> Part for (A, B) {
    fn length(&self) -> usize {
        self.0.length() + self.1.length()
    }

    fn put(&self, out: &mut impl BufMut) {
        self.0.put(out);
        self.1.put(out);
    }
}

const fn head_length(field: u64, content: usize) -> usize {
    varint_length(field << 3) + varint_length(content as u64)
}

fn put_head(out: &mut impl BufMut, field: u64, content: usize) {
    put_varint(out, field << 3 | kind::LENGTH);
    put_varint(out, content as u64);
}

/// Seven bits a byte; 0 takes one too.
const fn varint_length(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

fn put_varint(out: &mut impl BufMut, mut value: u64) {
    while value > 0x7f {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_takes_as_many_bytes_as_were_announced(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_length(value));
        }
    }

    #[test]
    fn lengths_change_where_seven_bits_are_full() {
        for (value, length) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX, 10)] {
            assert_eq!(varint_length(value), length, "{value}");
        }
    }

    #[test]
    fn parts_are_as_long_as_they_say() {
        let pieces = [Bytes::from(vec![1; 100]), Bytes::from(vec![2; 100])];
        let part = (
            Nested(1, (Text(1, b"key"), Some(Number(3, 300)))),
            (Pieces(3, &pieces), (Double(2, 1.5), Number(4, 0))),
        );
        let mut out = Vec::new();
        part.put(&mut out);
        assert_eq!(out.len(), part.length());
    }
}
