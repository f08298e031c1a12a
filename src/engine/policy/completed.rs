//! The arguments that a completion carries: those that its client has settled, and the one that is being typed.
//!
//! Rules see them under their own names, as they see those of a call. What can be read in more than one way is handed on
//! as it came: whoever reads it for a rule refuses it, or the rule fails, which denies.

use crate::engine::jsonrpc::Object;
use crate::engine::jsonrpc::splice::quote;
use bytes::Bytes;

/// Raw JSON objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completed {
    /// What is settled, and what is being typed in place of what was settled under its name.
    pub typed: Bytes,
    /// What is settled alone, where the name that is being typed is among it: an upstream may look at either.
    pub settled: Option<Bytes>,
}

impl Completed {
    /// Of the parameters of `completion/complete`; `None`: they carry no arguments.
    #[must_use]
    pub fn read(params: &Object<'_>) -> Option<Self> {
        let read = Given::read(params);
        let given = match read {
            Ok(given) => given?,
            Err(unclear) => {
                return Some(Self {
                    typed: Bytes::copy_from_slice(unclear.as_bytes()),
                    settled: None,
                });
            }
        };
        let others = given.settled.members.iter().filter(|(name, _)| *name != given.name);
        let others = others.map(|(name, raw)| (name.as_ref(), *raw));
        let is_settled = given.settled.raw(&given.name).is_some();
        let settled = given.settled.members.iter().map(|(name, raw)| (name.as_ref(), *raw));
        Some(Self {
            typed: object(others.chain([(given.name.as_ref(), given.value)])),
            settled: is_settled.then(|| object(settled)),
        })
    }
}

/// What a client says.
struct Given<'a> {
    settled: Object<'a>,
    name: std::borrow::Cow<'a, str>,
    value: &'a str,
}

impl<'a> Given<'a> {
    /// # Errors
    /// What cannot be read in one way only.
    fn read(params: &Object<'a>) -> Result<Option<Self>, &'a str> {
        let context = part(params, "context")?.unwrap_or_default();
        let settled = part(&context, "arguments")?.unwrap_or_default();
        let Some(argument) = part(params, "argument")? else {
            // Nothing is typed: the client is told so by whoever completes.
            return match context.raw("arguments") {
                None | Some("null") => Ok(None),
                Some(raw) => Err(raw),
            };
        };
        match (argument.string("name"), argument.raw("value")) {
            (Some(name), Some(value)) => Ok(Some(Self { settled, name, value })),
            (_, _) => Err(params.raw("argument").unwrap_or_default()),
        }
    }
}

/// The object at `key`; some clients write null where there is none.
fn part<'a>(object: &Object<'a>, key: &str) -> Result<Option<Object<'a>>, &'a str> {
    match object.raw(key) {
        None | Some("null") => Ok(None),
        Some(raw) => Object::read(raw).map(Some).map_err(|_| raw),
    }
}

fn object<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> Bytes {
    let mut text = vec![b'{'];
    for (name, raw) in members {
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(&quote(name));
        text.push(b':');
        text.extend_from_slice(raw.as_bytes());
    }
    text.push(b'}');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(params: &str) -> Option<(String, Option<String>)> {
        let object = Object::read(params).expect("an object");
        let text = |bytes: Bytes| String::from_utf8(bytes.into()).expect("text");
        Completed::read(&object).map(|completed| (text(completed.typed), completed.settled.map(text)))
    }

    #[test]
    fn what_is_typed_stands_beside_what_is_settled() {
        let (typed, settled) = read(
            r#"{"argument":{"name":"to","value":"b\u006fb"},"context":{"arguments":{"from":"ann","amount":"5"}}}"#,
        )
        .expect("arguments");
        assert_eq!(typed, r#"{"from":"ann","amount":"5","to":"b\u006fb"}"#);
        assert_eq!(settled, None);
        let (alone, _) = read(r#"{"argument":{"name":"a\"b","value":""},"context":null}"#).expect("arguments");
        assert_eq!(alone, r#"{"a\"b":""}"#);
    }

    #[test]
    fn a_name_that_is_typed_anew_counts_both_ways() {
        let params = r#"{"argument":{"name":"to","value":"x"},"context":{"arguments":{"\u0074o":"bob","n":"1"}}}"#;
        let (typed, settled) = read(params).expect("arguments");
        assert_eq!(typed, r#"{"n":"1","to":"x"}"#);
        assert_eq!(settled.as_deref(), Some(r#"{"to":"bob","n":"1"}"#));
    }

    #[test]
    fn what_is_unclear_is_handed_on_as_it_came() {
        for (params, unclear) in [
            (
                r#"{"argument":{"name":"a","value":"1","value":"2"}}"#,
                r#"{"name":"a","value":"1","value":"2"}"#,
            ),
            (
                r#"{"argument":{"name":"a","value":"1"},"context":{"arguments":{"b":1,"b":2}}}"#,
                r#"{"b":1,"b":2}"#,
            ),
            (r#"{"argument":{"name":1,"value":"1"}}"#, r#"{"name":1,"value":"1"}"#),
            (r#"{"context":{"arguments":{"b":1}}}"#, r#"{"b":1}"#),
            (r#"{"argument":[1]}"#, "[1]"),
        ] {
            assert_eq!(
                read(params).map(|(typed, _)| typed).as_deref(),
                Some(unclear),
                "{params}"
            );
        }
        assert_eq!(read(r#"{"ref":{}}"#), None);
    }
}
