//! Dynamic metadata `mcp.manifold`: what access log, rate limits and local reply mappers behind us read.

use crate::edge::extproc::wire::{Double, Nested, Part, Text, each};
use crate::engine::exchange::step::Metadata;
use bytes::BufMut;
use std::borrow::Cow;

/// Must be listed in `metadata_options.receiving_namespaces.untyped`, or Envoy drops it in silence.
const NAMESPACE: &[u8] = b"mcp.manifold";

/// Integers up to here pass a double unchanged.
const SAFE: u64 = (1 << 53) - 1;

/// What there is to say.
pub(super) struct Facts<'a>([Option<(&'static str, Said<'a>)>; 8]);

/// A `google.protobuf.Value`.
#[derive(Clone, Debug, PartialEq)]
enum Said<'a> {
    Text(Cow<'a, str>),
    Number(f64),
}

impl<'a> Facts<'a> {
    pub(super) fn of(facts: &'a Metadata) -> Self {
        let text = |name, value: Option<&'a str>| value.map(|value| (name, Said::Text(value.into())));
        Self([
            text("method", facts.method.as_deref()),
            text("tool", facts.tool.as_deref()),
            text("upstream", facts.upstream.as_deref()),
            text("session", facts.session.as_deref()),
            text("era", facts.era),
            text("principal", facts.principal.as_deref()),
            text("answered", facts.answered.then_some("yes")),
            facts.id.as_deref().and_then(id).map(|id| ("id", id)),
        ])
    }

    /// A `Struct` with one entry, whose value (field 5: `struct_value`) is the `Struct` of all facts.
    pub(super) fn part(&self) -> impl Part {
        let facts = each(&self.0, |fact| {
            fact.as_ref().map(|(name, said)| entry(name.as_bytes(), said))
        });
        entry(NAMESPACE, Nested(5, facts))
    }
}

/// An entry of a `Struct`: `{1: key, 2: Value}`
fn entry(key: &[u8], value: impl Part) -> impl Part {
    Nested(1, (Text(1, key), Nested(2, value)))
}

impl Part for &Said<'_> {
    fn length(&self) -> usize {
        match self {
            Said::Text(text) => Text(3, text.as_bytes()).length(),
            Said::Number(number) => Double(2, *number).length(),
        }
    }

    fn put(&self, out: &mut impl BufMut) {
        match self {
            Said::Text(text) => Text(3, text.as_bytes()).put(out),
            Said::Number(number) => Double(2, *number).put(out),
        }
    }
}

/// The id in a form that Envoy prints as it stood in the body, or none: a wrong id is worse than `null`.
fn id(raw: &str) -> Option<Said<'_>> {
    if raw.starts_with('"') {
        return serde_json::from_str(raw)
            .ok()
            .map(|text: String| Said::Text(text.into()));
    }
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    let magnitude: u64 = digits.parse().ok()?;
    let spelled_so = itoa::Buffer::new().format(magnitude) == digits && raw != "-0";
    if magnitude > SAFE || !spelled_so {
        return None;
    }
    raw.parse().ok().map(Said::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_type_and_spelling_or_are_left_out() {
        assert_eq!(id("7"), Some(Said::Number(7.0)));
        assert_eq!(id("-7"), Some(Said::Number(-7.0)));
        assert_eq!(id("9007199254740991"), Some(Said::Number(9_007_199_254_740_991.0)));
        assert_eq!(id(r#""7""#), Some(Said::Text("7".into())));
        assert_eq!(id(r#""\u0041""#), Some(Said::Text("A".into())));
        let doubtful = [
            "9007199254740992",
            "99999999999999999999",
            "1.0",
            "1e3",
            "-0",
            "+1",
            "007",
            "",
            "-",
            "\"open",
            "--1",
        ];
        for raw in doubtful {
            assert_eq!(id(raw), None, "{raw}");
        }
    }
}
