//! Dynamic metadata `mcp.manifold`: what access log, rate limits and local reply mappers behind us read.

use crate::engine::exchange::step::Metadata;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};

/// Must be listed in `metadata_options.receiving_namespaces.untyped`, or Envoy drops it in silence.
const NAMESPACE: &str = "mcp.manifold";

/// Integers up to here pass a double unchanged.
const SAFE: u64 = (1 << 53) - 1;

pub(super) fn encode(facts: Metadata) -> Struct {
    let texts = [
        ("method", facts.method.map(String::from)),
        ("tool", facts.tool.map(String::from)),
        ("upstream", facts.upstream.map(|name| name.as_ref().to_owned())),
        ("session", facts.session.map(String::from)),
        ("era", facts.era.map(str::to_owned)),
        ("answered", facts.answered.then(|| "yes".to_owned())),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name, Kind::StringValue(text?))));
    let id = facts.id.as_deref().and_then(id).map(|kind| ("id", kind));
    let namespace = wrap(texts.chain(id));
    wrap([(NAMESPACE, Kind::StructValue(namespace))])
}

fn wrap(kinds: impl IntoIterator<Item = (&'static str, Kind)>) -> Struct {
    let fields = kinds
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), Value { kind: Some(kind) }))
        .collect();
    Struct { fields }
}

/// The id in a form that Envoy prints as it stood in the body, or none: a wrong id is worse than `null`.
fn id(raw: &str) -> Option<Kind> {
    if raw.starts_with('"') {
        return serde_json::from_str(raw).ok().map(Kind::StringValue);
    }
    let magnitude: u64 = raw.strip_prefix('-').unwrap_or(raw).parse().ok()?;
    let spelled_once = magnitude.to_string().len() == raw.trim_start_matches('-').len() && raw != "-0";
    if magnitude > SAFE || !spelled_once {
        return None;
    }
    raw.parse().ok().map(Kind::NumberValue)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_namespace(facts: Metadata) -> Vec<(String, Kind)> {
        let mut whole = encode(facts);
        let Some(Kind::StructValue(namespace)) = whole.fields.remove(NAMESPACE).and_then(|value| value.kind) else {
            panic!("no namespace")
        };
        let mut fields: Vec<_> = namespace
            .fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.kind?)))
            .collect();
        fields.sort_by(|left, right| left.0.cmp(&right.0));
        fields
    }

    #[test]
    fn ids_keep_their_type_and_spelling_or_are_left_out() {
        assert_eq!(id("7"), Some(Kind::NumberValue(7.0)));
        assert_eq!(id("-7"), Some(Kind::NumberValue(-7.0)));
        assert_eq!(id("9007199254740991"), Some(Kind::NumberValue(9_007_199_254_740_991.0)));
        assert_eq!(id(r#""7""#), Some(Kind::StringValue("7".to_owned())));
        assert_eq!(id(r#""\u0041""#), Some(Kind::StringValue("A".to_owned())));
        for doubtful in [
            "9007199254740992",
            "99999999999999999999",
            "1.0",
            "1e3",
            "-0",
            "+1",
            "",
            "-",
            "\"open",
            "--1",
        ] {
            assert_eq!(id(doubtful), None, "{doubtful}");
        }
    }

    #[test]
    fn only_what_is_known_is_said() {
        let facts = Metadata {
            method: Some("tools/call".into()),
            upstream: Some("github".into()),
            answered: false,
            ..Default::default()
        };
        let said = |text: &str| Kind::StringValue(text.to_owned());
        assert_eq!(
            mk_namespace(facts),
            [
                ("method".to_owned(), said("tools/call")),
                ("upstream".to_owned(), said("github")),
            ]
        );
    }

    #[test]
    fn an_answer_of_ours_says_so() {
        let facts = Metadata {
            answered: true,
            ..Default::default()
        };
        assert_eq!(
            mk_namespace(facts),
            [("answered".to_owned(), Kind::StringValue("yes".to_owned()))],
            "local reply mappers leave it alone"
        );
    }
}
