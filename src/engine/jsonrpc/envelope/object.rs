//! One JSON object as its raw members: unique keys, borrowed values.

use super::EnvelopeError;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Up to this many members, keys are compared one by one.
const FEW: usize = 16;
/// Marks the error that our visitor makes of a key that stands twice.
const TWICE: &str = "\u{0}twice\u{0}";

/// One JSON object whose keys are unique: raw members by decoded key, in the order of the body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'a> {
    /// (decoded key, raw JSON value), in order.
    pub members: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Object<'a> {
    /// Reads `text`, which may be surrounded by white space.
    ///
    /// # Errors
    /// [`EnvelopeError::NotJson`], [`EnvelopeError::DuplicateKey`].
    pub fn read(text: &'a str) -> Result<Self, EnvelopeError> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let members = serde::Deserializer::deserialize_map(&mut reader, Members)
            .and_then(|members| reader.end().map(|()| members))
            .map_err(|error| refused(&error))?;
        Ok(Self { members })
    }

    /// The raw value of `key`.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<&'a str> {
        self.members
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| *value)
    }

    /// The decoded string at `key`; `None` if it is absent or no string ([`Object::raw`] tells which).
    #[must_use]
    pub fn string(&self, key: &str) -> Option<Cow<'a, str>> {
        self.raw(key).and_then(decode)
    }

    /// The members of the object at `key`, with unique keys.
    ///
    /// # Errors
    /// [`EnvelopeError::DuplicateKey`], or [`EnvelopeError::WrongType`] if it is there but not an object.
    pub fn object(&self, key: &str) -> Result<Option<Object<'a>>, EnvelopeError> {
        match self.raw(key) {
            None => Ok(None),
            Some(raw) if raw.starts_with('{') => Self::read(raw).map(Some),
            Some(_) => Err(EnvelopeError::WrongType(match key {
                "params" => "params must be an object",
                "_meta" => "_meta must be an object",
                _ => "an object was expected",
            })),
        }
    }
}

/// The string that a JSON string token stands for; `None` if it is none, or holds half a surrogate pair.
pub(super) fn decode(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
}

/// The raw value of `key` in the object `text`, if it stands there exactly once. Other keys may repeat.
pub(super) fn only<'a>(text: &'a str, key: &'static str) -> Option<&'a str> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let values = serde::Deserializer::deserialize_map(&mut reader, ValuesOf(key)).ok()?;
    reader.end().ok()?;
    match values.as_slice() {
        [value] => Some(value),
        [] | [_, _, ..] => None,
    }
}

fn refused(error: &serde_json::Error) -> EnvelopeError {
    let text = error.to_string();
    match text.split(TWICE).nth(1) {
        Some(key) => EnvelopeError::DuplicateKey(key.to_owned()),
        None => EnvelopeError::NotJson,
    }
}

struct Members;

impl<'a> Visitor<'a> for Members {
    type Value = Vec<(Cow<'a, str>, &'a str)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut members: Self::Value = Vec::with_capacity(4);
        let mut many: HashSet<Cow<'a, str>> = HashSet::new();
        while let Some(Key(key)) = map.next_key()? {
            let twice = if members.len() < FEW {
                members.iter().any(|(known, _)| *known == key)
            } else {
                if many.is_empty() {
                    many.extend(members.iter().map(|(known, _)| known.clone()));
                }
                !many.insert(key.clone())
            };
            if twice {
                return Err(M::Error::custom(format!("{TWICE}{key}{TWICE}")));
            }
            let value: &'a RawValue = map.next_value()?;
            members.push((key, value.get()));
        }
        Ok(members)
    }
}

struct ValuesOf(&'static str);

impl<'a> Visitor<'a> for ValuesOf {
    type Value = Vec<&'a str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut values = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            if key == self.0 {
                let value: &'a RawValue = map.next_value()?;
                values.push(value.get());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(values)
    }
}

/// A key, borrowed where it holds no escapes (serde's own `Cow` always copies).
struct Key<'a>(Cow<'a, str>);

impl<'a> serde::Deserialize<'a> for Key<'a> {
    fn deserialize<D: serde::Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'a> Visitor<'a> for KeyVisitor {
            type Value = Key<'a>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'a str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}
