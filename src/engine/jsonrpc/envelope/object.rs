//! One JSON object, read one level deep: decoded keys, raw values.

use super::{EnvelopeError, decode_string};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Up to this many members are compared with each other, more go through a hash set.
const FEW: usize = 16;

/// One JSON object whose keys are unique: raw members by decoded key, in the order of the body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'a> {
    /// (decoded key, raw JSON value), in order.
    pub members: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Object<'a> {
    /// Reads `text`, one JSON object, which may be surrounded by white space.
    ///
    /// # Errors
    /// [`EnvelopeError::DuplicateKey`], or [`EnvelopeError::NotJson`] if it is anything else.
    pub fn read(text: &'a str) -> Result<Self, EnvelopeError> {
        let object = Self::read_unchecked(text).ok_or(EnvelopeError::NotJson)?;
        object.check_unique()?;
        Ok(object)
    }

    /// Like [`Object::read`], but keys may stand twice.
    pub(super) fn read_unchecked(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The raw value of `key`.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<&'a str> {
        self.members.iter().find(|(name, _)| name == key).map(|(_, raw)| *raw)
    }

    /// The decoded string at `key`; `None` if absent or not a string ([`Object::raw`] tells which).
    #[must_use]
    pub fn string(&self, key: &str) -> Option<Cow<'a, str>> {
        decode_string(self.raw(key)?)
    }

    /// The members of the object at `key`, with unique keys.
    ///
    /// # Errors
    /// [`EnvelopeError::DuplicateKey`], or [`EnvelopeError::WrongType`] if it is there but not an object.
    pub fn object(&self, key: &str) -> Result<Option<Object<'a>>, EnvelopeError> {
        match self.raw(key) {
            Some(raw) if raw.starts_with('{') => Self::read(raw).map(Some),
            Some(_) => Err(EnvelopeError::WrongType(match key {
                "_meta" => "_meta must be an object",
                _ => "an object was expected",
            })),
            None => Ok(None),
        }
    }

    /// Refuses a key that stands twice.
    pub(super) fn check_unique(&self) -> Result<(), EnvelopeError> {
        check_unique(self.members.iter().map(|(key, _)| key.as_ref()))
    }
}

/// Refuses the first key that stands twice. Linear in the number of keys, whatever they are.
pub(super) fn check_unique<'k>(keys: impl ExactSizeIterator<Item = &'k str> + Clone) -> Result<(), EnvelopeError> {
    let twice = if keys.len() <= FEW {
        let mut before = keys.clone().enumerate();
        before
            .find(|(index, key)| keys.clone().take(*index).any(|other| other == *key))
            .map(|(_, key)| key)
    } else {
        let mut seen = HashSet::with_capacity(keys.len());
        keys.into_iter().find(|key| !seen.insert(*key))
    };
    twice.map_or(Ok(()), |key| Err(EnvelopeError::DuplicateKey(key.to_owned())))
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not `deserialize_any`: with serde_json's arbitrary_precision, that shows a number as a map.
        deserializer.deserialize_map(Members)
    }
}

/// Collects the members of an object.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            members.push((key, map.next_value::<&'de RawValue>()?.get()));
        }
        Ok(Object { members })
    }
}

/// A decoded key, borrowed where it holds no escapes.
#[derive(serde::Deserialize)]
pub(super) struct Key<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);
