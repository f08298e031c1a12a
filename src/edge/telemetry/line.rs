//! The audit line: one JSON object, written by hand into a buffer. Pure.
//!
//! What comes from clients is escaped and cut to [`MAX_TEXT`] bytes. Never holds a session id, only its fingerprint.

use crate::engine::exchange::Record;
use crate::engine::exchange::record::{Arguments, Way};
use crate::engine::mcp::Era;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A method, tool or URI is cut here, at the next lower character border.
const MAX_TEXT: usize = 512;

/// Appends the line, its end included.
pub(super) fn write(out: &mut Vec<u8>, record: &Record, elapsed: Duration, now: SystemTime) {
    out.extend_from_slice(b"{\"time\":\"");
    time(out, now);
    out.push(b'"');
    text(out, "principal", record.principal.as_deref());
    text(out, "session", record.session.as_deref());
    text(out, "method", record.method.as_deref());
    text(out, "tool", record.tool.as_deref());
    text(out, "upstream", record.upstream.as_deref());
    text(out, "era", record.era.map(Era::as_str));
    text(out, "way", Some(record.way.as_str()));
    text(out, "verdict", Some(verdict(record.way)));
    text(out, "rule", record.rule.as_deref());
    text(out, "reason", record.reason);
    key(out, "status");
    number(out, record.status);
    key(out, "code");
    match record.code {
        Some(code) => number(out, code),
        None => out.extend_from_slice(b"null"),
    }
    key(out, "ms");
    milliseconds(out, elapsed);
    key(out, "bytesIn");
    number(out, record.bytes_in);
    key(out, "bytesOut");
    number(out, record.bytes_out);
    text(out, "client", record.client.as_deref());
    switch(out, "replayed", record.replayed);
    if let Some(failed) = record.is_error {
        switch(out, "isError", failed);
    }
    if let Some(traced) = &record.trace {
        key(out, "trace");
        out.push(b'"');
        out.extend(traced.own.trace.to_be_bytes().into_iter().flat_map(hex));
        out.push(b'"');
    }
    if let Some(called_with) = &record.arguments {
        arguments(out, called_with);
    }
    out.extend_from_slice(b"}\n");
}

const fn verdict(way: Way) -> &'static str {
    match way {
        Way::Reject => "reject",
        Way::Undecided | Way::Answer | Way::Forward | Way::Relay => "allow",
    }
}

fn switch(out: &mut Vec<u8>, name: &str, value: bool) {
    key(out, name);
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// As a text, so that the bytes are the caller's and the line stays one.
fn arguments(out: &mut Vec<u8>, arguments: &Arguments) {
    key(out, "arguments");
    out.push(b'"');
    match arguments {
        Arguments::Hash(hash) => {
            out.extend_from_slice(b"sha256:");
            out.extend(hash.iter().flat_map(|byte| hex(*byte)));
        }
        Arguments::Full { text, .. } => escape(out, text),
    }
    out.push(b'"');
    if matches!(arguments, Arguments::Full { whole: false, .. }) {
        switch(out, "argumentsCut", true);
    }
}

fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn text(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    key(out, name);
    let Some(value) = value else {
        return out.extend_from_slice(b"null");
    };
    out.push(b'"');
    escape(out, &value[..value.floor_char_boundary(MAX_TEXT)]);
    out.push(b'"');
}

/// Escapes what JSON demands, and DEL besides: lines are read on terminals too.
fn escape(out: &mut Vec<u8>, value: &str) {
    let plain = |byte: &u8| !matches!(byte, 0..0x20 | b'"' | b'\\' | 0x7f);
    if value.as_bytes().iter().all(plain) {
        return out.extend_from_slice(value.as_bytes());
    }
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            0..0x20 | 0x7f => {
                out.extend_from_slice(b"\\u00");
                out.extend(hex(byte));
            }
            byte => out.push(byte),
        }
    }
}

const fn hex(byte: u8) -> [u8; 2] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    [HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]
}

fn number(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// With three decimals.
fn milliseconds(out: &mut Vec<u8>, elapsed: Duration) {
    let micros = elapsed.as_micros();
    number(out, u64::try_from(micros / 1000).unwrap_or(u64::MAX));
    out.push(b'.');
    digits::<3>(out, (micros % 1000) as u64);
}

/// RFC 3339, UTC, milliseconds.
fn time(out: &mut Vec<u8>, now: SystemTime) {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    digits::<4>(out, year);
    out.push(b'-');
    digits::<2>(out, month);
    out.push(b'-');
    digits::<2>(out, day);
    out.push(b'T');
    digits::<2>(out, seconds / 3600 % 24);
    out.push(b':');
    digits::<2>(out, seconds / 60 % 60);
    out.push(b':');
    digits::<2>(out, seconds % 60);
    out.push(b'.');
    digits::<3>(out, since.subsec_millis().into());
    out.push(b'Z');
}

fn digits<const N: usize>(out: &mut Vec<u8>, mut value: u64) {
    let mut buffer = [b'0'; N];
    for digit in buffer.iter_mut().rev() {
        *digit += (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&buffer);
}

/// Year, month, day of a day since 1970. Counts in years that begin in March, so that the leap day is the last.
const fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_BEFORE_1970: u64 = 719_468; // from 0000-03-01
    const ERA: u64 = 146_097; // days in 400 years
    let days = days + DAYS_BEFORE_1970;
    let of_era = days % ERA;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = days / ERA * 400 + year_of_era + (month <= 2) as u64;
    (year, month, day)
}

#[cfg(test)]
mod tests;
