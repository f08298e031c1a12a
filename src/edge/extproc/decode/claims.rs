//! What Envoy knows of the caller's token: dynamic metadata of its filter `jwt_authn`, which verified it. No client can send
//! metadata, and without the filter there is none.

use super::super::wire::{Fields, Malformed, Value};
use super::{map_entry, slice};
use crate::engine::policy::Claims;
use serde_json::{Number, Value as Json};
use std::ops::Range;

/// The filter, whose `payload_in_metadata` may be called anything.
const FILTER: &[u8] = b"envoy.filters.http.jwt_authn";
/// Its `header_in_metadata`, where we write the configuration.
const HEADER: &str = "token_header";
/// See [`verified`].
type Verified = (Option<Box<Claims>>, Option<Box<str>>);
/// Claims that nest deeper are no token of anybody's.
const MAX_DEPTH: u32 = 16;

/// The payload of the verified token in `metadata_context`, and the id of the key that it is signed with.
pub(super) fn verified(bytes: &[u8], metadata: Option<Range<usize>>) -> Result<Verified, Malformed> {
    let Some(metadata) = metadata else {
        return Ok((None, None));
    };
    for field in Fields::new(bytes, metadata) {
        // `filter_metadata`
        let (1, Value::Span(entry)) = field? else { continue };
        let (filter, said) = map_entry(bytes, entry)?;
        if slice(bytes, &filter) == FILTER {
            let mut said = object(bytes, said, MAX_DEPTH)?;
            let header = said.remove(HEADER);
            let key = header.as_ref().and_then(|header| header.get("kid")?.as_str());
            return Ok((payload(said).map(Box::new), key.map(Into::into)));
        }
    }
    Ok((None, None))
}

/// Whatever key it stands under: what has an issuer is a payload, a failure has none.
fn payload(said: Claims) -> Option<Claims> {
    let mut objects = said.into_iter().filter_map(|(_, value)| match value {
        Json::Object(claims) => Some(claims),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => None,
    });
    objects.find(|claims| claims.contains_key("iss"))
}

/// `google.protobuf.Struct`
fn object(bytes: &[u8], range: Range<usize>, depth: u32) -> Result<Claims, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let mut object = Claims::new();
    for field in Fields::new(bytes, range) {
        let (1, Value::Span(entry)) = field? else { continue };
        let (name, said) = map_entry(bytes, entry)?;
        object.insert(text(bytes, &name)?, value(bytes, said, depth)?);
    }
    Ok(object)
}

/// `google.protobuf.Value`
fn value(bytes: &[u8], range: Range<usize>, depth: u32) -> Result<Json, Malformed> {
    let mut found = Json::Null;
    for field in Fields::new(bytes, range) {
        found = match field? {
            (2, Value::Fixed(bits)) => number(f64::from_bits(bits)),
            (3, Value::Span(span)) => Json::String(text(bytes, &span)?),
            (4, Value::Number(flag)) => Json::Bool(flag != 0),
            (5, Value::Span(span)) => Json::Object(object(bytes, span, depth)?),
            (6, Value::Span(span)) => Json::Array(list(bytes, span, depth)?),
            (_, Value::Number(_) | Value::Span(_) | Value::Fixed(_)) => Json::Null,
        };
    }
    Ok(found)
}

/// `google.protobuf.ListValue`
fn list(bytes: &[u8], range: Range<usize>, depth: u32) -> Result<Vec<Json>, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let mut list = Vec::new();
    for field in Fields::new(bytes, range) {
        if let (1, Value::Span(span)) = field? {
            list.push(value(bytes, span, depth)?);
        }
    }
    Ok(list)
}

/// Envoy knows doubles only; what is whole was an integer in the token.
#[expect(
    clippy::cast_possible_truncation,
    reason = "whole, and within what a double keeps apart"
)]
fn number(number: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        return Json::from(number as i64);
    }
    Number::from_f64(number).map_or(Json::Null, Json::Number)
}

fn text(bytes: &[u8], range: &Range<usize>) -> Result<String, Malformed> {
    std::str::from_utf8(slice(bytes, range))
        .map(str::to_owned)
        .map_err(|_| Malformed)
}

#[cfg(test)]
mod tests;
