//! What an endpoint asks of its callers, made ready: whose tokens, which keys and names count, and what the others are told.
//!
//! Envoy has verified a token before its claims are looked at here; that issuer and audience are the endpoint's own is
//! checked again, since another Envoy may be wired otherwise. Passwords are compared elsewhere: it takes a tenth of a second.
//!
//! A key is looked up by its SHA-256 in a map whose own hash is keyed by chance: what time tells is about a digest that
//! the caller cannot choose, and it does not depend on how many keys there are.

use super::challenge::{Challenge, Challenges};
use super::identity::{Claims, Identity};
use super::standing::{Standing, Standings};
use crate::engine::config::credential_files::{ApiKey, Password};
use crate::engine::config::{Authentication, Confidential, Issuer, Jwks};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// What the files of `authentication` say.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// `apiKeys.file`
    pub keys: Vec<ApiKey>,
    /// `basic.file`
    pub passwords: Vec<Password>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Credentials({} keys, {} passwords)",
            self.keys.len(),
            self.passwords.len()
        )
    }
}

/// `authentication`, as exchanges need it.
#[derive(Debug)]
pub struct Callers {
    /// The anonymous are refused.
    pub required: bool,
    /// What every token must be good for.
    pub scopes: Vec<Arc<str>>,
    /// What those are told who may not enter.
    pub challenges: Challenges,
    issuers: Vec<Trusted>,
    /// Lower-case name of the header, and the holders by the SHA-256 of their keys.
    keys: Option<(Box<str>, Holders)>,
    /// `None`: passwords are not asked for.
    basic: Option<HashMap<Box<str>, Known>>,
}

/// An issuer whose tokens count, and whom they must be for.
#[derive(Debug)]
struct Trusted {
    issuer: Box<str>,
    audiences: Vec<Box<str>>,
    /// Of its keys.
    standing: Standing,
}

#[derive(Default)]
struct Holders(HashMap<[u8; 32], Arc<Identity>>);

impl fmt::Debug for Holders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} keys", self.0.len())
    }
}

/// Somebody with a password.
#[derive(Debug)]
struct Known {
    identity: Arc<Identity>,
    hash: Confidential,
}

/// A name and a password that somebody gave; whether they fit is to be found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Who they say they are.
    pub name: Arc<str>,
    /// What they prove it with.
    pub password: Confidential,
    /// What it must hash to; of somebody else if nobody has that name, so that time does not tell. `None`: nobody has any.
    pub hash: Option<Confidential>,
    /// Somebody has that name.
    pub known: bool,
}

/// Why claims do not make a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Another issuer, another audience, no subject.
    Token,
    /// Scopes are missing that every caller needs.
    Scopes,
    /// The issuer's keys could not be had for too long, or never.
    Lapsed,
    /// The issuer has taken back the key that it is signed with.
    Retired,
}

impl Callers {
    /// As the configuration says, with what stands in its files.
    #[must_use]
    pub fn new(config: &Authentication, public_url: &str, credentials: &Credentials) -> Self {
        let trusted = |issuer: &Issuer| Trusted {
            issuer: issuer.issuer.as_str().into(),
            audiences: issuer.audiences_or(public_url).into_iter().map(Into::into).collect(),
            standing: match issuer.jwks {
                Jwks::Url { .. } => Standing::UNKNOWN,
                Jwks::File(_) => Standing::default(),
            },
        };
        let keys = config.api_keys.as_ref().map(|keys| {
            let holders = credentials.keys.iter().map(|key| (key.digest, Arc::new(holder(key))));
            (keys.header.as_str().into(), Holders(holders.collect()))
        });
        let basic = config.basic.as_ref().map(|_| {
            let known = credentials.passwords.iter().map(known);
            known.collect()
        });
        Self {
            required: config.required,
            scopes: config.scopes.iter().map(|scope| scope.as_str().into()).collect(),
            challenges: Challenges::new(config, public_url),
            issuers: config.jwt.iter().map(trusted).collect(),
            keys,
            basic,
        }
    }

    /// The same, with what is known of the issuers' keys.
    #[must_use]
    pub fn knowing(mut self, standings: &Standings) -> Self {
        for trusted in &mut self.issuers {
            if let Some(standing) = standings.get(&trusted.issuer) {
                trusted.standing.clone_from(standing);
            }
        }
        self
    }

    /// The caller whose token says this, signed with the key of this id, where that is told.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn of_claims(&self, claims: Claims, key: Option<&str>) -> Result<Identity, Unfit> {
        let text = |key| claims.get(key).and_then(Value::as_str);
        let issuer = text("iss").unwrap_or_default();
        let trusted = self.issuers.iter().find(|trusted| *trusted.issuer == *issuer);
        let subject = text("sub").filter(|subject| !subject.is_empty());
        let (Some(trusted), Some(subject)) = (trusted, subject) else {
            return Err(Unfit::Token);
        };
        // Envoy looks whether it has passed. On Envoy Gateway it cannot be told to ask for one.
        let ends = claims.get("exp").is_some_and(Value::is_number);
        if !ends || !trusted.is_meant_by(claims.get("aud")) {
            return Err(Unfit::Token);
        }
        if trusted.standing.lapsed {
            return Err(Unfit::Lapsed);
        }
        if trusted.standing.is_retired(key) {
            return Err(Unfit::Retired);
        }
        let identity = Identity {
            principal: Some(format!("{issuer}|{subject}").into()),
            roles: roles(&claims),
            scopes: scopes(&claims),
            claims,
        };
        let has = |scope| identity.scopes.contains(scope);
        if self.scopes.iter().all(has) {
            Ok(identity)
        } else {
            Err(Unfit::Scopes)
        }
    }

    /// Lower-case name of the header that carries keys; `None`: there are no keys.
    #[must_use]
    pub fn key_header(&self) -> Option<&str> {
        self.keys.as_ref().map(|(header, _)| &**header)
    }

    /// The holder of this key.
    #[must_use]
    pub fn holder(&self, key: &[u8]) -> Option<Arc<Identity>> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let (_, holders) = self.keys.as_ref()?;
        holders.0.get(&digest).map(Arc::clone)
    }

    /// Names and passwords are asked for.
    #[must_use]
    pub const fn takes_passwords(&self) -> bool {
        self.basic.is_some()
    }

    /// What there is to find out about a name and a password.
    #[must_use]
    pub fn claimed(&self, name: &str, password: &str) -> Claimed {
        let basic = self.basic.as_ref();
        let known = basic.and_then(|basic| basic.get(name));
        let decoy = || basic.and_then(|basic| basic.values().next());
        Claimed {
            name: name.into(),
            password: Confidential(password.into()),
            hash: known.or_else(decoy).map(|somebody| somebody.hash.clone()),
            known: known.is_some(),
        }
    }

    /// Who has this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Arc<Identity>> {
        let known = self.basic.as_ref()?.get(name)?;
        Some(Arc::clone(&known.identity))
    }

    /// What a caller is told who lacks scopes: all that are needed, at once.
    #[must_use]
    pub fn insufficient(&self, needed: &[Arc<str>]) -> Challenge {
        self.challenges.insufficient(&self.scopes, needed)
    }
}

impl Identity {
    /// The caller that these claims would be of, if their token were good: for explanations only.
    #[must_use]
    pub fn supposed(claims: Claims) -> Self {
        let text = |key: &str| claims.get(key).and_then(Value::as_str);
        let principal = match (text("iss"), text("sub")) {
            (Some(issuer), Some(subject)) => Some(format!("{issuer}|{subject}")),
            (None, subject) => subject.map(str::to_owned),
            (Some(_), None) => None,
        };
        Self {
            principal: principal.map(Arc::from),
            roles: roles(&claims),
            scopes: scopes(&claims),
            claims,
        }
    }
}

impl Trusted {
    /// `aud` is one text or several (RFC 7519, 4.1.3).
    fn is_meant_by(&self, audience: Option<&Value>) -> bool {
        let own = |value: &Value| {
            let text = value.as_str().unwrap_or_default();
            self.audiences.iter().any(|own| **own == *text)
        };
        match audience {
            Some(Value::Array(several)) => several.iter().any(own),
            Some(one) => own(one),
            None => false,
        }
    }
}

fn holder(key: &ApiKey) -> Identity {
    Identity {
        principal: Some(format!("key:{}", key.name).into()),
        roles: key.roles.clone(),
        ..Identity::default()
    }
}

fn known(password: &Password) -> (Box<str>, Known) {
    let identity = Identity {
        principal: Some(format!("user:{}", password.name).into()),
        ..Identity::default()
    };
    let known = Known {
        identity: Arc::new(identity),
        hash: Confidential(Arc::clone(&password.hash)),
    };
    ((*password.name).into(), known)
}

/// `roles`, and what Keycloak calls realm roles.
fn roles(claims: &Claims) -> Vec<Arc<str>> {
    let realm = claims.get("realm_access").and_then(|realm| realm.get("roles"));
    let listed = [claims.get("roles"), realm].into_iter().flatten();
    let roles = listed.filter_map(Value::as_array).flatten();
    roles.filter_map(Value::as_str).map(Arc::from).collect()
}

/// `scope` (RFC 8693, 4.2), or `scp` as some write it: words in one text, or a list.
fn scopes(claims: &Claims) -> Vec<Arc<str>> {
    let mut scopes = Vec::new();
    for value in ["scope", "scp"].into_iter().filter_map(|key| claims.get(key)) {
        match value {
            Value::String(words) => scopes.extend(words.split_ascii_whitespace().map(Arc::from)),
            Value::Array(list) => scopes.extend(list.iter().filter_map(Value::as_str).map(Arc::from)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
        }
    }
    scopes
}

#[cfg(test)]
mod tests;
