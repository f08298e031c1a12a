//! `x-mcp-header`: which arguments of a tool are mirrored into `Mcp-Param-*` headers (SEP-2243).
//!
//! Read out of the tool's `inputSchema`, once per listing. A tool whose annotations break a rule must not be shown:
//! one malformed definition would have every client of it sent away by the upstream.

use super::headers::{decode_value, encode_value};
use crate::engine::jsonrpc::Object;
use std::sync::Arc;

const ANNOTATION: &str = "x-mcp-header";

/// Keywords whose value is one schema, or a list of schemas.
const SCHEMAS: [&str; 16] = [
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords whose value is an object of schemas under names that mean nothing.
const NAMED_SCHEMAS: [&str; 5] = [
    "$defs",
    "definitions",
    "dependencies",
    "dependentSchemas",
    "patternProperties",
];

/// One argument that is mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamHeader {
    /// The whole header name in lower case: `mcp-param-region`.
    pub header: Box<str>,
    /// The names of the properties that lead to the value, from `arguments` on; never empty.
    pub path: Box<[Box<str>]>,
}

/// The mirrored arguments of one tool; `None`: nothing is mirrored, as with nearly every tool.
pub type ParamHeaders = Option<Arc<[ParamHeader]>>;

/// Which rule an annotation breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// Not a string, empty, or not a token of RFC 9110.
    #[error("x-mcp-header must be the end of a header name")]
    Name,
    /// Header names have no case.
    #[error("x-mcp-header {0:?} stands twice")]
    Twice(Box<str>),
    /// Only strings, integers and booleans have one text form.
    #[error("x-mcp-header is only for parameters of type string, integer or boolean")]
    Type,
    /// The value could not be found in every call.
    #[error("x-mcp-header stands where not only properties lead to")]
    Unreachable,
}

/// The mirrored arguments that a tool's raw `inputSchema` names.
///
/// # Errors
/// See [`ParamError`]: the tool must not be shown.
pub fn read(input_schema: &str) -> Result<ParamHeaders, ParamError> {
    // A key may be written with escapes.
    if !input_schema.contains(ANNOTATION) && !input_schema.contains("\\u") {
        return Ok(None);
    }
    let mut found = Vec::new();
    walk(input_schema, Some(&mut Vec::new()), &mut found)?;
    Ok((!found.is_empty()).then(|| found.into()))
}

/// Looks at one schema. `path`: the properties that lead to it; `None`: something else does too.
fn walk(schema: &str, mut path: Option<&mut Vec<Box<str>>>, found: &mut Vec<ParamHeader>) -> Result<(), ParamError> {
    let Some(schema) = object(schema) else {
        return Ok(());
    };
    if let Some(annotation) = schema.raw(ANNOTATION) {
        let header = annotated(&schema, annotation, path.as_deref().map(Vec::as_slice), found)?;
        found.push(header);
    }
    for (key, value) in &schema.members {
        if key == "properties" {
            for (name, property) in object(value).unwrap_or_default().members {
                if let Some(path) = path.as_deref_mut() {
                    path.push(name.as_ref().into());
                }
                walk(property, path.as_deref_mut(), found)?;
                if let Some(path) = path.as_deref_mut() {
                    path.pop();
                }
            }
        } else if NAMED_SCHEMAS.contains(&key.as_ref()) {
            for (_, schema) in object(value).unwrap_or_default().members {
                walk(schema, None, found)?;
            }
        } else if SCHEMAS.contains(&key.as_ref()) {
            walk(value, None, found)?;
            for schema in array(value) {
                walk(schema, None, found)?;
            }
        }
    }
    Ok(())
}

fn annotated(
    schema: &Object<'_>,
    annotation: &str,
    path: Option<&[Box<str>]>,
    found: &[ParamHeader],
) -> Result<ParamHeader, ParamError> {
    let name: String = serde_json::from_str(annotation).map_err(|_| ParamError::Name)?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(ParamError::Name);
    }
    let path = path.filter(|path| !path.is_empty()).ok_or(ParamError::Unreachable)?;
    if !matches!(schema.string("type").as_deref(), Some("string" | "integer" | "boolean")) {
        return Err(ParamError::Type);
    }
    let header: Box<str> = format!("mcp-param-{}", name.to_ascii_lowercase()).into();
    if found.iter().any(|other| other.header == header) {
        return Err(ParamError::Twice(name.into()));
    }
    Ok(ParamHeader {
        header,
        path: path.into(),
    })
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl ParamHeader {
    /// The header's value for a call with these raw `arguments`, encoded as a header carries it. `None`: no header, for
    /// there is no value, or null, or none of the three types.
    #[must_use]
    pub fn value(&self, arguments: &str) -> Option<String> {
        let value = self.raw(arguments)?;
        match value.as_bytes().first()? {
            b'"' => {
                let text: String = serde_json::from_str(value).ok()?;
                Some(encode_value(&text))
            }
            b't' | b'f' => Some(value.to_owned()),
            b'-' | b'0'..=b'9' => integer(value),
            _ => None,
        }
    }
}

impl ParamHeader {
    /// True if `header`, as it came, says what these raw `arguments` say: the same value, or both nothing.
    #[must_use]
    pub fn agrees(&self, header: Option<&[u8]>, arguments: &str) -> bool {
        let (header, expected) = match (header, self.value(arguments)) {
            (None, None) => return true,
            (Some(header), Some(expected)) => (header, expected),
            (Some(_), None) | (None, Some(_)) => return false,
        };
        let (Some(said), Some(meant)) = (decode_value(header), decode_value(expected.as_bytes())) else {
            return false;
        };
        // Integers are compared as numbers (2026-07-28, Server Validation).
        said == meant || self.is_number(arguments) && integer(&said).is_some_and(|said| said == *meant)
    }

    fn is_number(&self, arguments: &str) -> bool {
        let value = self.raw(arguments);
        value.is_some_and(|raw| raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()))
    }

    fn raw<'a>(&self, arguments: &'a str) -> Option<&'a str> {
        let mut value = arguments;
        for name in &self.path {
            value = object(value)?.raw(name)?;
        }
        Some(value)
    }
}

/// A JSON number as a decimal integer; `None` if it is not whole.
fn integer(number: &str) -> Option<String> {
    if number.bytes().all(|byte| matches!(byte, b'-' | b'0'..=b'9')) {
        return Some(number.to_owned());
    }
    // Written with a fraction or an exponent; beyond 2^53 that has no one meaning.
    let number: f64 = number.parse().ok()?;
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then(|| format!("{number:.0}"))
}

/// Lenient: of a key that stands twice the last one counts, as with most parsers.
fn object(raw: &str) -> Option<Object<'_>> {
    let mut object: Object<'_> = serde_json::from_str(raw).ok()?;
    object.members.reverse();
    Some(object)
}

fn array(raw: &str) -> Vec<&str> {
    let values: Vec<&serde_json::value::RawValue> = serde_json::from_str(raw).unwrap_or_default();
    values.into_iter().map(serde_json::value::RawValue::get).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schema(properties: &str) -> String {
        format!(r#"{{"type":"object","properties":{{{properties}}}}}"#)
    }

    fn headers(schema: &str) -> Vec<(String, String)> {
        let found = read(schema).unwrap();
        let mut pairs: Vec<_> = found
            .iter()
            .flat_map(|found| found.iter())
            .map(|param| (param.header.to_string(), param.path.join("/")))
            .collect();
        pairs.sort();
        pairs
    }

    #[test]
    fn annotated_properties_are_found_with_their_paths() {
        let schema = schema(
            r#""region":{"type":"string","x-mcp-header":"Region"},"where":{"type":"object","properties":{
                "zone":{"type":"integer","x-mcp-h\u0065ader":"Zone.Id"}}},"query":{"type":"string"}"#,
        );
        let expected = [("mcp-param-region", "region"), ("mcp-param-zone.id", "where/zone")];
        assert_eq!(
            headers(&schema),
            expected.map(|(header, path)| (header.to_owned(), path.to_owned()))
        );
    }

    #[test]
    fn what_only_looks_like_an_annotation_is_none() {
        let name = schema(r#""x-mcp-header":{"type":"object"}"#);
        assert_eq!(read(&name), Ok(None), "a property of that name");
        let data = schema(r#""a":{"type":"object","default":{"x-mcp-header":""},"enum":[{"x-mcp-header":1}]}"#);
        assert_eq!(read(&data), Ok(None), "data");
        assert_eq!(read("[]"), Ok(None));
        assert_eq!(read(r#"{"properties":"x-mcp-header"}"#), Ok(None));
    }

    #[test]
    fn annotations_that_break_a_rule_are_told() {
        let property = |annotation: &str| {
            read(&schema(&format!(
                r#""a":{{"type":"string","x-mcp-header":{annotation}}}"#
            )))
        };
        for name in [
            r#""""#,
            r#""My Region""#,
            r#""a:b""#,
            r#""R\u00e9gion""#,
            r#""a\r\nb""#,
            "7",
            "null",
        ] {
            assert_eq!(property(name), Err(ParamError::Name), "{name}");
        }
        for kind in [r#""number""#, r#""object""#, r#""null""#, r#"["string","null"]"#] {
            let odd = schema(&format!(r#""a":{{"type":{kind},"x-mcp-header":"A"}}"#));
            assert_eq!(read(&odd), Err(ParamError::Type), "{kind}");
        }
        assert_eq!(read(&schema(r#""a":{"x-mcp-header":"A"}"#)), Err(ParamError::Type));
        let twice = r#""a":{"type":"string","x-mcp-header":"Key"},"b":{"type":"string","x-mcp-header":"kEY"}"#;
        assert!(matches!(read(&schema(twice)), Err(ParamError::Twice(_))));
    }

    #[test]
    fn only_a_chain_of_properties_leads_to_an_annotation() {
        let inner = r#"{"type":"string","x-mcp-header":"A"}"#;
        let object = format!(r#"{{"properties":{{"a":{inner}}}}}"#);
        for around in [
            inner.to_owned(),
            format!(r#"{{"$defs":{{"d":{inner}}}}}"#),
            format!(r#"{{"anyOf":[{object}]}}"#),
            format!(r#"{{"then":{object}}}"#),
            schema(&format!(r#""list":{{"type":"array","items":{inner}}}"#)),
            schema(&format!(r#""one":{{"oneOf":[{inner}]}}"#)),
        ] {
            assert_eq!(read(&around), Err(ParamError::Unreachable), "{around}");
        }
    }

    #[test]
    fn values_are_written_as_the_specification_says() {
        let param = ParamHeader {
            header: "mcp-param-a".into(),
            path: ["o".into(), "a".into()].into(),
        };
        let value = |raw: &str| param.value(&format!(r#"{{"x":1,"o":{{"a":{raw}}}}}"#));
        let expect = |text: &str| Some(text.to_owned());
        assert_eq!(value(r#""us-west1""#), expect("us-west1"));
        assert_eq!(value(r#"" padded ""#), expect("=?base64?IHBhZGRlZCA=?="));
        assert_eq!(value("-42"), expect("-42"));
        assert_eq!(value("4.2e1"), expect("42"));
        assert_eq!(value("true"), expect("true"));
        assert_eq!(
            [value("null"), value("4.5"), value("[1]"), value("{}")],
            [None, None, None, None]
        );
        assert_eq!(param.value(r#"{"o":7}"#), None);
        assert_eq!(param.value(""), None);
    }

    #[test]
    fn a_header_agrees_with_the_value_in_the_body() {
        let param = ParamHeader {
            header: "mcp-param-a".into(),
            path: ["a".into()].into(),
        };
        let agrees =
            |header: Option<&str>, raw: &str| param.agrees(header.map(str::as_bytes), &format!(r#"{{"a":{raw}}}"#));
        for (header, raw) in [
            (Some("eu"), r#""\u0065u""#),
            (Some(" =?base64?ZXU=?= "), r#""eu""#),
            (Some("42.0"), "42"),
            (Some("42"), "4.2e1"),
            (Some("true"), "true"),
            (None, "null"),
            (None, "{}"),
        ] {
            assert!(agrees(header, raw), "{header:?} {raw}");
        }
        for (header, raw) in [
            (Some("us"), r#""eu""#),
            (Some("EU"), r#""eu""#),
            (Some("=?base64?%%?="), r#""eu""#),
            (Some("42.0"), r#""42""#),
            (Some("nan"), "42"),
            (Some("True"), "true"),
            (Some("eu"), "null"),
            (None, r#""eu""#),
        ] {
            assert!(!agrees(header, raw), "{header:?} {raw}");
        }
        assert!(param.agrees(None, "{}"));
    }

    proptest! {
        #[test]
        fn any_schema_and_any_arguments_are_taken(schema in "\\PC*", arguments in "\\PC*") {
            let _ = read(&format!("{schema}x-mcp-header"));
            let param = ParamHeader { header: "mcp-param-a".into(), path: ["a".into()].into() };
            let _ = (param.value(&arguments), param.agrees(Some(arguments.as_bytes()), &arguments));
        }
    }
}
