//! A session as bytes in the journal. Pure.
//!
//! ```text
//! live:  1 | expires 8 | client 16 | level 1+n | ties: (name 2+n | version 10 | end)*
//! end:   0, or 1 and id 4+n, or 2 and id 4+n and address 1+n
//! ended: 2 | expires 8
//! live, with subscriptions: 3 | expires 8 | client 16 | level 1+n | number 2 | (name 2+n | URI 4+n)* | ties
//! ```
//!
//! Reading is total: bytes that are no record give `None`, and the session is then one that we never met. Last-use
//! times are not written: a restart counts as a use.

use super::entry::{Entry, Tie};
use super::intern::ClientHash;
use crate::engine::mcp::Version;
use crate::engine::session::{Binding, Delegation, Level, Subscription, Timestamp};
use std::net::SocketAddr;
use std::sync::Arc;

const LIVE: u8 = 1;
const ENDED: u8 = 2;
const SUBSCRIBED: u8 = 3;
/// `YYYY-MM-DD`
const VERSION_LEN: usize = 10;

/// What a record says. Clients and names are interned by whoever reads it.
#[derive(Debug, PartialEq)]
pub(super) enum Record<'a> {
    Live {
        expires: Timestamp,
        client: ClientHash,
        level: Option<Level>,
        /// (upstream, URI)
        subscriptions: Vec<(&'a str, &'a str)>,
        ties: Vec<(&'a str, Binding)>,
    },
    Ended(Timestamp),
}

/// Writes an entry; `client` is the hash of a live one's client.
pub(super) fn encode(entry: &Entry, client: ClientHash) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    match entry {
        Entry::Ended(expires) => {
            out.push(ENDED);
            out.extend(expires.0.to_be_bytes());
        }
        Entry::Live(live) => {
            let subscriptions = live.subscriptions();
            out.push(if subscriptions.is_empty() { LIVE } else { SUBSCRIBED });
            out.extend(live.expires.0.to_be_bytes());
            out.extend(client.0.to_be_bytes());
            encode_level(live.level, &mut out);
            if !subscriptions.is_empty() {
                encode_subscriptions(subscriptions, &mut out);
            }
            live.ties().iter().for_each(|tie| encode_tie(tie, &mut out));
        }
    }
    out
}

/// Levels and versions are written as words: journals outlive releases.
fn encode_level(level: Option<Level>, out: &mut Vec<u8>) {
    let word = level.map_or("", Level::as_str);
    out.push(word.len() as u8);
    out.extend(word.bytes());
}

/// There are at most [`SUBSCRIPTIONS`](crate::engine::session::store::SUBSCRIPTIONS), each within a body's limit.
fn encode_subscriptions(subscriptions: &[Subscription], out: &mut Vec<u8>) {
    let number = u16::try_from(subscriptions.len()).unwrap_or(u16::MAX);
    out.extend(number.to_be_bytes());
    for subscription in subscriptions.iter().take(number.into()) {
        encode_name(&subscription.upstream, out);
        let uri_len = u32::try_from(subscription.uri.len()).unwrap_or(u32::MAX);
        out.extend(uri_len.to_be_bytes());
        out.extend(subscription.uri.bytes().take(uri_len as usize));
    }
}

/// Upstream names are bounded by the configuration.
fn encode_name(name: &str, out: &mut Vec<u8>) {
    let name_len = u16::try_from(name.len()).unwrap_or(u16::MAX);
    out.extend(name_len.to_be_bytes());
    out.extend(name.bytes().take(name_len.into()));
}

fn encode_tie(tie: &Tie, out: &mut Vec<u8>) {
    encode_name(&tie.upstream, out);
    // Ids are bounded by the header limits of HTTP.
    out.extend(tie.version.as_str().bytes());
    let Some(id) = &tie.id else { return out.push(0) };
    let id_len = u32::try_from(id.len()).unwrap_or(u32::MAX);
    out.push(if tie.address.is_some() { 2 } else { 1 });
    out.extend(id_len.to_be_bytes());
    out.extend(id.bytes().take(id_len as usize));
    if let Some(address) = &tie.address {
        let address = address.to_string();
        out.push(address.len() as u8);
        out.extend(address.bytes());
    }
}

/// Reads a record.
pub(super) fn decode(bytes: &[u8]) -> Option<Record<'_>> {
    let mut reader = Reader(bytes);
    let record = match reader.byte()? {
        kind @ (LIVE | SUBSCRIBED) => Record::Live {
            expires: Timestamp(u64::from_be_bytes(reader.array()?)),
            client: ClientHash(u128::from_be_bytes(reader.array()?)),
            level: reader.level()?,
            subscriptions: if kind == SUBSCRIBED {
                reader.subscriptions()?
            } else {
                Vec::new()
            },
            ties: reader.ties()?,
        },
        ENDED => Record::Ended(Timestamp(u64::from_be_bytes(reader.array()?))),
        _ => return None,
    };
    reader.0.is_empty().then_some(record)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn text(&mut self, len: usize) -> Option<&'a str> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        std::str::from_utf8(head).ok()
    }

    fn level(&mut self) -> Option<Option<Level>> {
        match self.byte()? {
            0 => Some(None),
            len => Level::parse(self.text(len.into())?).map(Some),
        }
    }

    fn subscriptions(&mut self) -> Option<Vec<(&'a str, &'a str)>> {
        let number = u16::from_be_bytes(self.array()?);
        (0..number).map(|_| self.subscription()).collect()
    }

    fn subscription(&mut self) -> Option<(&'a str, &'a str)> {
        let name = self.name()?;
        let uri_len = u32::from_be_bytes(self.array()?);
        Some((name, self.text(uri_len as usize)?))
    }

    fn name(&mut self) -> Option<&'a str> {
        let len = u16::from_be_bytes(self.array()?);
        self.text(len.into())
    }

    fn ties(&mut self) -> Option<Vec<(&'a str, Binding)>> {
        let mut ties = Vec::new();
        while !self.0.is_empty() {
            ties.push(self.tie()?);
        }
        Some(ties)
    }

    fn tie(&mut self) -> Option<(&'a str, Binding)> {
        let name = self.name()?;
        let version = Version::parse(self.text(VERSION_LEN)?)?;
        let (id, address) = match self.byte()? {
            0 => (None, None),
            1 => (Some(self.id()?), None),
            2 => (Some(self.id()?), Some(self.address()?)),
            _ => return None,
        };
        let delegation = Delegation::NONE;
        Some((
            name,
            Binding {
                id,
                version,
                address,
                delegation,
                opened: None,
            },
        ))
    }

    fn id(&mut self) -> Option<Arc<str>> {
        let len = u32::from_be_bytes(self.array()?);
        Some(self.text(len as usize)?.into())
    }

    fn address(&mut self) -> Option<SocketAddr> {
        let len = self.byte()?;
        self.text(len.into())?.parse().ok()
    }
}

#[cfg(test)]
mod tests;
