//! JSON as a value of an expression. Integers stay integers as far as 64 bits reach, so that they compare exactly.

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::Val;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;

pub(super) type Owned = Box<dyn Val>;

/// A value made of JSON.
#[derive(Debug)]
pub struct Tree(pub(super) Owned);

/// Why a text is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The upstream may read the other one.
    #[error("key {0:?} appears twice")]
    DuplicateKey(String),
    /// Half of a surrogate pair, a number that no double holds.
    #[error("holds a text or a number that cannot be read")]
    Unreadable,
}

impl Tree {
    /// Reads JSON; keys must be unique, in every depth.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn read(text: &str) -> Result<Self, TreeError> {
        let unique: Result<Unique, _> = serde_json::from_str(text);
        unique.map(|unique| Self(unique.0)).map_err(|error| {
            let text = error.to_string();
            let twice = text.strip_prefix(TWICE).and_then(|rest| rest.rsplit_once(" at line "));
            twice.map_or(TreeError::Unreadable, |(key, _)| {
                TreeError::DuplicateKey(key.to_owned())
            })
        })
    }

    /// An empty map.
    #[must_use]
    pub fn empty() -> Self {
        Self(Box::new(CelMap::from(HashMap::new())))
    }

    /// A map of texts; of a key that comes twice the last value stays.
    pub fn of_texts<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> Self {
        let pairs = pairs.map(|(key, value)| (CelMapKey::from(key.to_owned()), text(value)));
        Self(Box::new(CelMap::from(pairs.collect::<HashMap<_, _>>())))
    }

    /// A list of texts.
    pub fn of_list<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let texts: Vec<Owned> = texts.map(|one| text(one.to_owned())).collect();
        Self(Box::new(CelList::from(texts)))
    }

    /// An object.
    #[must_use]
    pub fn of_object(object: &serde_json::Map<String, Value>) -> Self {
        Self(map(object))
    }

    /// One value.
    #[must_use]
    pub fn of_value(value: &Value) -> Self {
        Self(convert(value))
    }
}

pub(super) fn text(text: String) -> Owned {
    Box::new(CelString::from(text))
}

fn map(object: &serde_json::Map<String, Value>) -> Owned {
    let members = object.iter();
    let members = members.map(|(key, value)| (CelMapKey::from(key.clone()), convert(value)));
    Box::new(CelMap::from(members.collect::<HashMap<_, _>>()))
}

fn convert(value: &Value) -> Owned {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Box::new(CelInt::from(number)),
            (None, Some(number)) => Box::new(CelUInt::from(number)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(value) => text(value.clone()),
        Value::Array(values) => Box::new(CelList::from(values.iter().map(convert).collect::<Vec<_>>())),
        Value::Object(object) => map(object),
    }
}

/// How the error of a second key begins.
const TWICE: &str = "key twice: ";

/// A value whose objects have unique keys.
struct Unique(Owned);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Build).map(Self)
    }
}

struct Build;

impl<'de> Visitor<'de> for Build {
    type Value = Owned;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Owned, E> {
        Ok(Box::new(CelNull))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Owned, E> {
        Ok(Box::new(CelBool::from(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Owned, E> {
        Ok(Box::new(CelInt::from(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Owned, E> {
        Ok(match i64::try_from(value) {
            Ok(value) => Box::new(CelInt::from(value)),
            Err(_) => Box::new(CelUInt::from(value)),
        })
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Owned, E> {
        Ok(Box::new(CelDouble::from(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Owned, E> {
        Ok(text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Owned, E> {
        Ok(text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Owned, A::Error> {
        let mut list: Vec<Owned> = Vec::new();
        while let Some(Unique(value)) = values.next_element()? {
            list.push(value);
        }
        Ok(Box::new(CelList::from(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Owned, A::Error> {
        let mut map: HashMap<CelMapKey<'static>, Owned> = HashMap::new();
        while let Some(key) = members.next_key::<String>()? {
            let Unique(value) = members.next_value()?;
            if map.insert(CelMapKey::from(key.clone()), value).is_some() {
                return Err(A::Error::custom(format_args!("{TWICE}{key}")));
            }
        }
        Ok(Box::new(CelMap::from(map)))
    }
}
