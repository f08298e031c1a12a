//! What tells the lists of two callers apart: the values of what the rules that lists go by read of a caller, and
//! nothing else. Callers with equal values see the same.

use super::rules::Policy;
use super::subject::Caller;
use crate::engine::expression::{Structure, Text, Variable};

/// The values themselves, so that no two audiences are ever taken for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Audience(Box<[u8]>);

impl Audience {
    /// Bytes that it takes in memory.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// All callers see the same.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Policy {
    /// The audience that a caller belongs to.
    #[must_use]
    pub fn audience(&self, caller: &Caller<'_>) -> Audience {
        let mut key = Key(Vec::new());
        for variable in Variable::ALL.into_iter().filter(|variable| self.seen.has(*variable)) {
            match variable {
                Variable::Text(Text::Principal) => key.text(caller.identity.principal.as_deref().unwrap_or_default()),
                Variable::Text(Text::ClientName) => key.text(caller.client_name),
                Variable::Text(Text::ClientVersion) => key.text(caller.client_version),
                Variable::Text(Text::ClientIp) => key.text(caller.ip),
                Variable::Structure(Structure::Roles) => key.texts(&caller.identity.roles),
                Variable::Structure(Structure::Scopes) => key.texts(&caller.identity.scopes),
                Variable::Structure(Structure::Claims) => self.claims(caller, &mut key),
                Variable::Text(
                    Text::Method
                    | Text::ToolName
                    | Text::ToolUpstream
                    | Text::ToolUpstreamName
                    | Text::Prompt
                    | Text::ResourceUri,
                )
                | Variable::Structure(Structure::ToolAnnotations | Structure::Arguments | Structure::Headers) => {}
            }
        }
        Audience(key.0.into())
    }

    fn claims(&self, caller: &Caller<'_>, key: &mut Key) {
        let claims = &caller.identity.claims;
        match self.seen.claims() {
            Some(members) => {
                for member in members {
                    // Without is not the same as null.
                    key.text(&claims.get(&**member).map_or(String::new(), ToString::to_string));
                }
            }
            None => {
                let all = serde_json::to_string(claims).unwrap_or_default();
                key.text(&all);
            }
        }
    }
}

/// Texts, each behind its length.
struct Key(Vec<u8>);

impl Key {
    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn texts(&mut self, texts: &[std::sync::Arc<str>]) {
        self.0.extend_from_slice(&(texts.len() as u64).to_le_bytes());
        for text in texts {
            self.text(text);
        }
    }
}
