//! The members of one JSON object as raw slices, in order. For what upstreams send; requests are scanned by `jsonrpc`.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// (decoded key, raw value) in the order of the text. Keys may repeat; who must not have that asks for it.
#[derive(Debug, Default)]
pub(crate) struct Members<'a>(pub(crate) Vec<(Key<'a>, &'a RawValue)>);

/// A decoded key, borrowed where it holds no escapes.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Key<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// A key stands twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Twice;

impl<'a> Members<'a> {
    /// Reads `raw`; `None` if it is not one JSON object.
    pub(crate) fn read(raw: &'a str) -> Option<Self> {
        serde_json::from_str(raw).ok()
    }

    /// The raw value of `key`.
    pub(crate) fn unique(&self, key: &str) -> Result<Option<&'a str>, Twice> {
        let mut found = self.0.iter().filter(|(name, _)| name.0 == key);
        let first = found.next().map(|(_, value)| value.get());
        match found.next() {
            Some(_) => Err(Twice),
            None => Ok(first),
        }
    }

    /// The raw value of the last `key`: what most parsers would take.
    pub(crate) fn last(&self, key: &str) -> Option<&'a str> {
        let found = self.0.iter().rfind(|(name, _)| name.0 == key);
        found.map(|(_, value)| value.get())
    }

    /// The decoded string at the last `key`; `None` if absent or not a string.
    pub(crate) fn string(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.last(key)?).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
