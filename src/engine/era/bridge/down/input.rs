//! Requests of a legacy upstream become input that a modern client is asked for, and its answers become responses.
//!
//! The keys of `inputRequests` are ours: `input-1`, `input-2` and so on within one call. What a client brings that it was
//! not asked for is ignored; what is missing, or is no answer of that kind, it is asked for again.

use crate::engine::era::legacy;
use crate::engine::jsonrpc::splice::quote;
use crate::engine::jsonrpc::{Code, Object};
use bytes::Bytes;

/// What an upstream asks a client for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `elicitation/create`
    Elicitation,
    /// `sampling/createMessage`
    Sampling,
    /// `roots/list`
    Roots,
}

impl Wanted {
    /// Reads a method.
    #[must_use]
    pub fn parse(method: &str) -> Option<Self> {
        [Self::Elicitation, Self::Sampling, Self::Roots]
            .into_iter()
            .find(|wanted| wanted.method() == method)
    }

    /// As on the wire.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Elicitation => "elicitation/create",
            Self::Sampling => "sampling/createMessage",
            Self::Roots => "roots/list",
        }
    }

    /// Whether `result` may answer it: the member that every such result has, with its type.
    fn is_answered_by(self, result: &Object<'_>) -> bool {
        let begins = |key: &str, mark: &str| result.raw(key).is_some_and(|raw| raw.starts_with(mark));
        match self {
            Self::Elicitation => begins("action", "\""),
            Self::Sampling => begins("role", "\"") && result.raw("content").is_some(),
            Self::Roots => begins("roots", "["),
        }
    }
}

/// One request of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Raw id; `None`: nobody waits for a response (the upstream has refused its call until the input is there).
    pub id: Option<Box<str>>,
    /// For what.
    pub wanted: Wanted,
    /// Raw `params`.
    pub params: Option<Box<str>>,
}

/// The requests of one upstream call that are not answered yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    open: Vec<(Box<str>, Asked)>,
    count: u32,
}

/// What a client's answers lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// For the upstream, in the order of its requests.
    pub responses: Vec<Bytes>,
    /// Requests without an id that were agreed to.
    pub agreed: u32,
    /// Requests without an id that were turned down.
    pub declined: u32,
}

impl Inputs {
    /// One more request.
    pub fn add(&mut self, asked: Asked) {
        self.count = self.count.saturating_add(1);
        self.open.push((format!("input-{}", self.count).into(), asked));
    }

    /// The upstream no longer waits for the request it called `id`.
    pub fn withdraw(&mut self, id: &str) {
        self.open.retain(|(_, asked)| asked.id.as_deref() != Some(id));
    }

    /// Nothing is asked for.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// How much is asked for.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.open.len()
    }

    /// Bytes held.
    #[must_use]
    pub fn held(&self) -> usize {
        let params = self.open.iter().filter_map(|(_, asked)| asked.params.as_ref());
        params.map(|params| params.len()).sum()
    }

    /// The message that asks the client for all of it; `id` is raw, `state` is sealed.
    #[must_use]
    pub fn required(&self, id: &str, state: &str) -> Bytes {
        let mut text = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"input_required","requestState":"{state}","inputRequests":{{"#
        );
        for (at, (key, asked)) in self.open.iter().enumerate() {
            let gap = if at > 0 { "," } else { "" };
            text.push_str(&format!(r#"{gap}"{key}":{{"method":"{}""#, asked.wanted.method()));
            if let Some(params) = &asked.params {
                text.push_str(r#","params":"#);
                text.push_str(params);
            }
            text.push('}');
        }
        text.push_str("}}}");
        Bytes::from(text)
    }

    /// Takes the client's raw `inputResponses`. What is answered is no longer open.
    pub fn answered(&mut self, responses: Option<&str>) -> Answers {
        let responses = responses.and_then(|raw| Object::read(raw).ok()).unwrap_or_default();
        let mut answers = Answers::default();
        self.open.retain(|(key, asked)| {
            let Some(raw) = responses.raw(key) else { return true };
            let Some(answer) = Answer::read(asked.wanted, raw) else {
                return true;
            };
            match (&asked.id, answer) {
                (Some(id), Answer::Result(result)) => answers.responses.push(legacy::result(id, result)),
                (Some(id), Answer::Error(error)) => answers.responses.push(legacy::error(id, error)),
                (None, Answer::Result(result)) if accepts(result) => answers.agreed += 1,
                (None, Answer::Result(_) | Answer::Error(_)) => answers.declined += 1,
            }
            false
        });
        answers
    }

    /// A response to each request that is still open, saying that none will come.
    #[must_use]
    pub fn given_up(&self) -> Vec<Bytes> {
        let ids = self.open.iter().filter_map(|(_, asked)| asked.id.as_deref());
        ids.map(|id| legacy::refusal(id, Code::INVALID_REQUEST, "the client did not answer"))
            .collect()
    }
}

/// One value of `inputResponses`.
enum Answer<'a> {
    Result(&'a str),
    Error(&'a str),
}

impl<'a> Answer<'a> {
    /// The specification knows bare results only. An error object is understood too: a client that failed has nothing
    /// else to say, and the upstream shall hear it.
    fn read(wanted: Wanted, raw: &'a str) -> Option<Self> {
        let object = Object::read(raw).ok()?;
        if wanted.is_answered_by(&object) {
            return Some(Self::Result(raw));
        }
        let error = object.raw("error").unwrap_or(raw);
        let is_error = Object::read(error).is_ok_and(|error| {
            let code = error.raw("code").unwrap_or_default();
            code.parse::<i64>().is_ok() && error.string("message").is_some()
        });
        is_error.then_some(Self::Error(error))
    }
}

fn accepts(result: &str) -> bool {
    Object::read(result).is_ok_and(|result| result.string("action").as_deref() == Some("accept"))
}

/// `text` as a JSON string token.
pub(super) fn token(text: &str) -> String {
    String::from_utf8_lossy(&quote(text)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn asked(id: &str, wanted: Wanted, params: Option<&str>) -> Asked {
        Asked {
            id: Some(id.into()),
            wanted,
            params: params.map(Into::into),
        }
    }

    fn three() -> Inputs {
        let mut inputs = Inputs::default();
        inputs.add(asked("0", Wanted::Elicitation, Some(r#"{ "message":"m" }"#)));
        inputs.add(asked("\"b\"", Wanted::Sampling, Some(r#"{"maxTokens":1}"#)));
        inputs.add(asked("2", Wanted::Roots, None));
        inputs
    }

    #[test]
    fn all_that_is_open_is_asked_for_at_once() {
        let expected = r#"{"jsonrpc":"2.0","id":"x","result":{"resultType":"input_required","requestState":"S","inputRequests":{"input-1":{"method":"elicitation/create","params":{ "message":"m" }},"input-2":{"method":"sampling/createMessage","params":{"maxTokens":1}},"input-3":{"method":"roots/list"}}}}"#;
        assert_eq!(three().required("\"x\"", "S"), expected);
    }

    #[test]
    fn answers_go_to_the_requests_they_belong_to() {
        let mut inputs = three();
        let answers = inputs.answered(Some(
            r#"{"input-3":{"roots":[]},"other":{"action":"accept"},"input-1":{"action":"accept", "content":{"n":1.0}}}"#,
        ));
        assert_eq!(
            answers.responses,
            [
                r#"{"jsonrpc":"2.0","id":0,"result":{"action":"accept", "content":{"n":1.0}}}"#,
                r#"{"jsonrpc":"2.0","id":2,"result":{"roots":[]}}"#
            ]
        );
        assert_eq!(inputs.len(), 1, "what is missing is asked for again");
        inputs.add(asked("9", Wanted::Roots, None));
        let text = inputs.required("1", "S");
        let text = std::str::from_utf8(&text).expect("text");
        assert!(text.contains("\"input-2\"") && text.contains("\"input-4\""), "{text}");
    }

    #[test]
    fn what_is_no_answer_of_that_kind_is_missing() {
        for odd in [
            "null",
            "[]",
            "7",
            r#"{"input-1":7,"input-2":null,"input-3":[]}"#,
            r#"{"input-1":{"roots":[]},"input-2":{"role":"user"},"input-3":{"roots":{}}}"#,
            r#"{"input-1":{"method":"elicitation/create","result":{"action":"accept"}}}"#,
            r#"{"input-1":{"error":"no"},"input-2":{"error":{"code":1.5,"message":"no"}},"input-3":{"code":1}}"#,
        ] {
            let mut inputs = three();
            assert_eq!(inputs.answered(Some(odd)), Answers::default(), "{odd}");
            assert_eq!(inputs, three(), "{odd}");
        }
        assert_eq!(three().answered(None), Answers::default());
    }

    #[test]
    fn errors_are_told_to_the_upstream() {
        let answers = three().answered(Some(
            r#"{"input-1":{"error":{"code":-1,"message":"rejected","data":{}}},"input-2":{"code":-2,"message":"failed"}}"#,
        ));
        assert_eq!(
            answers.responses,
            [
                r#"{"jsonrpc":"2.0","id":0,"error":{"code":-1,"message":"rejected","data":{}}}"#,
                r#"{"jsonrpc":"2.0","id":"b","error":{"code":-2,"message":"failed"}}"#
            ]
        );
    }

    #[test]
    fn a_withdrawn_request_is_no_longer_asked_for() {
        let mut inputs = three();
        inputs.withdraw("\"b\"");
        inputs.withdraw("\"0\"");
        assert_eq!(inputs.len(), 2, "the raw ids count");
        assert_eq!(inputs.given_up().len(), 2);
    }

    proptest! {
        #[test]
        fn meaning_survives_the_round_trip(params in ".{0,9}", answer in ".{0,9}", id: u32) {
            let mut inputs = Inputs::default();
            inputs.add(asked(&id.to_string(), Wanted::Elicitation, Some(&json!({"message": params}).to_string())));
            let required: Value = serde_json::from_slice(&inputs.required("1", "S")).unwrap();
            prop_assert_eq!(&required["result"]["inputRequests"]["input-1"]["params"]["message"], &json!(params));
            let result = json!({"action": "accept", "content": {"a": answer}});
            let answers = inputs.answered(Some(&json!({"input-1": result}).to_string()));
            let response: Value = serde_json::from_slice(&answers.responses[0]).unwrap();
            prop_assert_eq!(&response["id"], &json!(id));
            prop_assert_eq!(&response["result"], &result);
        }

        #[test]
        fn any_answers_are_taken(raw in ".{0,60}") {
            let _ = three().answered(Some(&raw));
        }
    }
}
