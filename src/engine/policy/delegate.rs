//! What an upstream is told of its caller: worked out for one identity, as far as that needs nobody else.

use super::identity::{Claims, Identity};
use crate::engine::config::delegated::{OfCaller, PerPrincipal, Source};
use crate::engine::config::template::{Piece, Template};
use crate::engine::config::{Confidential, Delegated};
use bytes::Bytes;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// Longer ones are not headers that servers take.
const MAX_VALUE: usize = 16 << 10;

/// What one upstream is told of its callers. Made once for a snapshot.
#[derive(Debug)]
pub struct Delegate {
    upstream: Arc<str>,
    headers: Vec<(Arc<str>, Template)>,
    credential: Option<Arc<OfCaller>>,
}

/// A header: lower-case name, value.
pub type Header = (Cow<'static, str>, Bytes);

/// What can be said for a caller.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// These headers are all.
    Whole(Vec<Header>),
    /// The credential is still to be had.
    Wanted(Errand),
    /// Nothing: the upstream is not to be called.
    Lacking(Lack),
}

/// A credential to be had from somebody else.
#[derive(Clone, Debug, PartialEq)]
pub struct Errand {
    /// Configured name.
    pub upstream: Arc<str>,
    /// Where it comes from.
    pub from: Arc<OfCaller>,
    /// Whose.
    pub principal: Arc<str>,
    /// The token that the caller has shown, where it is exchanged.
    pub token: Option<Confidential>,
}

/// Why nothing speaks for a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Nobody knows who calls.
    Anonymous,
    /// A claim is missing, or can stand in no header.
    Claim,
    /// The caller has shown no token.
    Token,
    /// Nothing is kept for this principal.
    NotKept,
    /// What is kept for this principal can stand in no header.
    Unreadable,
    /// The token endpoint makes none for this caller.
    Refused,
    /// The token endpoint does not answer, or nothing that is of use.
    Unavailable,
}

impl Lack {
    /// One word for logs and metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Anonymous => "caller_anonymous",
            Self::Claim => "caller_claim_missing",
            Self::Token => "caller_token_missing",
            Self::NotKept => "caller_credential_missing",
            Self::Unreadable => "caller_credential_unreadable",
            Self::Refused => "token_exchange_refused",
            Self::Unavailable => "token_exchange_unavailable",
        }
    }

    /// The caller is not allowed; else it is the gateway that fails.
    #[must_use]
    pub const fn is_of_caller(self) -> bool {
        match self {
            Self::Anonymous | Self::Claim | Self::Token | Self::NotKept | Self::Refused => true,
            Self::Unreadable | Self::Unavailable => false,
        }
    }
}

impl Delegate {
    /// `None`: this upstream hears nothing of its callers.
    #[must_use]
    pub fn new(upstream: &str, config: &Delegated) -> Option<Arc<Self>> {
        let headers = config.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, template)| (name.as_str().into(), template.clone()))
            .collect();
        let credential = config.credential.clone();
        (!headers.is_empty() || credential.is_some()).then(|| {
            Arc::new(Self {
                upstream: upstream.into(),
                headers,
                credential,
            })
        })
    }

    /// Whether this header is the gateway's to set: a client's own never goes on.
    #[must_use]
    pub fn owns(&self, name: &[u8]) -> bool {
        let credential = self.credential.iter().map(|credential| credential.header.as_bytes());
        let headers = self.headers.iter().map(|(name, _)| name.as_bytes());
        headers.chain(credential).any(|own| own == name)
    }

    /// What can be said for this caller, who has shown this `Authorization`.
    #[must_use]
    pub fn say(&self, identity: &Identity, authorization: Option<&[u8]>) -> Said {
        let Some(credential) = &self.credential else {
            return Said::Whole(self.headers(identity));
        };
        let Some(principal) = &identity.principal else {
            return Said::Lacking(Lack::Anonymous);
        };
        let errand = |token| Errand {
            upstream: Arc::clone(&self.upstream),
            from: Arc::clone(credential),
            principal: Arc::clone(principal),
            token,
        };
        match &credential.source {
            Source::Template(template) => match written(template, identity) {
                Some(value) => self.whole(identity, &value),
                None => Said::Lacking(Lack::Claim),
            },
            Source::Forward => match token(identity, authorization) {
                Some(_) => self.whole(identity, &Bytes::copy_from_slice(authorization.unwrap_or_default())),
                None => Said::Lacking(Lack::Token),
            },
            Source::PerPrincipal(_) => Said::Wanted(errand(None)),
            Source::Exchange(_) => match token(identity, authorization) {
                Some(token) => Said::Wanted(errand(Some(token))),
                None => Said::Lacking(Lack::Token),
            },
        }
    }

    /// The same with the credential that was had for it.
    #[must_use]
    pub fn complete(&self, identity: &Identity, credential: &Confidential) -> Said {
        match self.credential.as_ref().and_then(|own| own.value(credential)) {
            Some(value) => self.whole(identity, &value),
            None => Said::Lacking(Lack::Unreadable),
        }
    }

    /// What is said for this caller besides a credential.
    #[must_use]
    pub fn beside(&self, identity: &Identity) -> Vec<Header> {
        self.headers(identity)
    }

    /// The upstream knows its callers by credentials of their own.
    #[must_use]
    pub const fn has_credential(&self) -> bool {
        self.credential.is_some()
    }

    fn whole(&self, identity: &Identity, credential: &Bytes) -> Said {
        let mut headers = self.headers(identity);
        let name = self.credential.iter().map(|credential| credential.header.clone());
        headers.extend(name.map(|name| (name.into(), credential.clone())));
        Said::Whole(headers)
    }

    fn headers(&self, identity: &Identity) -> Vec<Header> {
        let said = self.headers.iter().filter_map(|(name, template)| {
            let value = written(template, identity)?;
            Some((name.to_string().into(), value))
        });
        said.collect()
    }
}

impl OfCaller {
    /// How this credential stands in its header; `None`: it can stand in none.
    #[must_use]
    pub fn value(&self, credential: &Confidential) -> Option<Bytes> {
        let value = match self.scheme() {
            Some(scheme) => format!("{scheme} {}", credential.0),
            None => credential.0.to_string(),
        };
        is_value(&value).then(|| value.into())
    }

    fn scheme(&self) -> Option<&str> {
        match &self.source {
            Source::PerPrincipal(PerPrincipal { scheme, .. }) => scheme.as_deref(),
            Source::Exchange(_) => Some("Bearer"),
            Source::Template(_) | Source::Forward => None,
        }
    }
}

/// The verified token behind `authorization`.
fn token(identity: &Identity, authorization: Option<&[u8]>) -> Option<Confidential> {
    // Passwords stand there too, and what was verified leaves claims.
    if identity.claims.is_empty() {
        return None;
    }
    let text = std::str::from_utf8(authorization?).ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let of_use = scheme.eq_ignore_ascii_case("bearer") && is_value(token) && !token.contains(' ');
    of_use.then(|| Confidential(token.into()))
}

/// `None`: something is missing, or the whole can stand in no header.
fn written(template: &Template, identity: &Identity) -> Option<Bytes> {
    let mut value = String::new();
    for piece in template.pieces() {
        match piece {
            Piece::Text(text) => value.push_str(text),
            Piece::Principal => value.push_str(identity.principal.as_deref()?),
            Piece::Claim(name) => value.push_str(&claim(&identity.claims, name)?),
        }
    }
    is_value(&value).then(|| value.into())
}

/// The claim of this name, else the one at this path of names. Texts, numbers and booleans; an empty text says nothing.
fn claim<'a>(claims: &'a Claims, name: &str) -> Option<Cow<'a, str>> {
    let value = claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        rest.split('.')
            .try_fold(claims.get(first)?, |value, name| value.get(name))
    })?;
    match value {
        Value::String(text) => (!text.is_empty()).then_some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// One line of visible ASCII without blanks around it.
fn is_value(text: &str) -> bool {
    let visible = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    visible && !text.is_empty() && text.len() <= MAX_VALUE && text.trim() == text
}

#[cfg(test)]
mod tests;
