//! `input_required` (MRTR, SEP-2322): what an upstream asks of the client before it answers.

use crate::engine::jsonrpc::Object;
use crate::engine::jsonrpc::splice::quote;
use bytes::Bytes;

/// A result that asks. At least one of the two is there.
#[derive(Clone, Debug, PartialEq)]
pub struct InputRequired {
    /// In the order of the result.
    pub requests: Vec<InputRequest>,
    /// `requestState`, the raw token: it goes back as it is.
    pub state: Option<Bytes>,
}

/// One of its questions.
#[derive(Clone, Debug, PartialEq)]
pub struct InputRequest {
    /// The upstream's key for it, a JSON string token.
    pub key: Bytes,
    /// Which request of a server it stands for.
    pub method: ServerMethod,
    /// `params`, a raw object.
    pub params: Option<Bytes>,
}

/// The requests that a server may have for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerMethod {
    /// `elicitation/create`
    Elicit,
    /// `sampling/createMessage`
    Sample,
    /// `roots/list`
    Roots,
}

impl ServerMethod {
    /// As it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Elicit => "elicitation/create",
            Self::Sample => "sampling/createMessage",
            Self::Roots => "roots/list",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let all = [Self::Elicit, Self::Sample, Self::Roots];
        all.into_iter().find(|method| method.as_str() == name)
    }
}

impl InputRequired {
    /// Reads a raw result whose `resultType` says so; `None` if it asks nothing, or something that no client knows.
    #[must_use]
    pub fn read(result: &Object<'_>) -> Option<Self> {
        let state = match result.raw("requestState") {
            None | Some("null") => None,
            Some(raw) => Some(raw).filter(|raw| raw.starts_with('"')).map(copy).map(Some)?,
        };
        let requests = match result.raw("inputRequests") {
            None | Some("null") => Vec::new(),
            Some(raw) => {
                let asked = Object::read(raw).ok()?;
                let read = asked.members.iter().map(|(key, raw)| request(key, raw));
                read.collect::<Option<_>>()?
            }
        };
        (state.is_some() || !requests.is_empty()).then_some(Self { requests, state })
    }
}

fn request(key: &str, raw: &str) -> Option<InputRequest> {
    let request = Object::read(raw).ok()?;
    let method = ServerMethod::parse(&request.string("method")?)?;
    let params = request.raw("params").filter(|raw| raw.starts_with('{')).map(copy);
    if params.is_none() && method != ServerMethod::Roots {
        return None;
    }
    Some(InputRequest {
        key: quote(key),
        method,
        params,
    })
}

fn copy(raw: &str) -> Bytes {
    Bytes::copy_from_slice(raw.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(result: &str) -> Option<InputRequired> {
        InputRequired::read(&Object::read(result).expect("an object"))
    }

    #[test]
    fn questions_keep_their_order_and_the_state_its_bytes() {
        let asked = read(
            r#"{"inputRequests":{"b":{"method":"roots/list"},"a\n":{"params":{ "x":1.0 },"method":"elicitation/create"}},"requestState":"\u0041"}"#,
        )
        .expect("it asks");
        let request = |key: &'static str, method, params: Option<&'static str>| InputRequest {
            key: key.into(),
            method,
            params: params.map(Into::into),
        };
        assert_eq!(
            asked.requests,
            [
                request(r#""b""#, ServerMethod::Roots, None),
                request(r#""a\n""#, ServerMethod::Elicit, Some(r#"{ "x":1.0 }"#)),
            ]
        );
        assert_eq!(asked.state.as_deref(), Some(br#""\u0041""#.as_slice()));
    }

    #[test]
    fn one_that_asks_nothing_or_nonsense_is_none() {
        for result in [
            r#"{"inputRequests":{}}"#,
            r#"{"requestState":7}"#,
            r#"{"inputRequests":[]}"#,
            r#"{"inputRequests":{"a":{"method":"ping"}}}"#,
            r#"{"inputRequests":{"a":{"method":"sampling/createMessage"}}}"#,
        ] {
            assert_eq!(read(result), None, "{result}");
        }
        assert!(
            read(r#"{"inputRequests":{},"requestState":""}"#).is_some(),
            "state alone is enough"
        );
    }
}
