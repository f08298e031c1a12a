//! What tonic calls to read and write messages on the stream.

use super::decode::{DecodeError, Inbound, decode};
use super::encode::encode;
use crate::engine::exchange::Reply;
use bytes::Buf;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// For each stream. Most messages from Envoy fit in.
const READ: usize = 2048;
/// For each stream. Most replies fit in, and the allocator keeps blocks of up to 1032 bytes at hand.
const WRITE: usize = 1000;
/// Written replies leave when they are this many bytes.
const FLUSH: usize = 32 << 10;

/// `ProcessingRequest` in, `ProcessingResponse` out. A message that cannot be read is an item: the driver says why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire;

impl Codec for Wire {
    type Encode = Reply;
    type Decode = Result<Inbound, DecodeError>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Wire {
    type Item = Reply;
    type Error = Status;

    fn encode(&mut self, reply: Reply, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        encode(&reply, out);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(WRITE, FLUSH)
    }
}

impl Decoder for Wire {
    type Item = Result<Inbound, DecodeError>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let message = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(decode(&message)))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(READ, FLUSH)
    }
}
