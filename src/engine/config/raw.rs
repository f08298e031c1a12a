//! The file as serde sees it, a section at a time: key for key what the contract shows, nothing filled in.
//!
//! Absent means absent; defaults and meaning are given by `gateway` and `upstream`.

use super::scalar::{Count, Size, Span};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `tls:` of the listener
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with cert and key")]
pub(super) struct ListenTls {
    pub(super) cert: File,
    pub(super) key: File,
}

/// `{ file: PATH }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "{ file: PATH }")]
pub(super) struct File {
    pub(super) file: PathBuf,
}

/// `{ env: NAME }` or `{ file: PATH }`
#[derive(Debug)]
pub(super) enum Secret {
    Env(String),
    File(PathBuf),
}

/// `session:`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub(super) struct Session {
    pub(super) keys: Vec<Secret>,
    pub(super) idle: Option<Span>,
    pub(super) lifetime: Option<Span>,
    pub(super) parked: Option<Span>,
    pub(super) store: Option<String>,
}

/// `limits:`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub(super) struct Limits {
    pub(super) body: Option<Size>,
    pub(super) bodies: Option<Size>,
    pub(super) receive: Option<Span>,
    pub(super) replay: Option<Size>,
    pub(super) depth: Option<Count>,
    pub(super) streams: Option<Count>,
    pub(super) sessions: Option<Count>,
    pub(super) sessions_per_principal: Option<Count>,
    pub(super) calls_per_session: Option<Count>,
    pub(super) calls_per_principal: Option<Count>,
    pub(super) streams_per_principal: Option<Count>,
    pub(super) headers: Option<Size>,
}

/// `lists:`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub(super) struct Lists {
    pub(super) first: Option<Span>,
    pub(super) keep_last_good: Option<Span>,
    pub(super) refresh: Option<Span>,
    pub(super) principals: Option<Count>,
    pub(super) principal_age: Option<Span>,
}

/// `envoy:`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub(super) struct Envoy {
    pub(super) concurrency: Option<Count>,
    pub(super) admin: Option<String>,
    pub(super) response_phase: Option<bool>,
    pub(super) access_log: Option<AccessLog>,
    pub(super) metadata: Option<bool>,
    pub(super) routes: Vec<String>,
}

/// `accessLog:`
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected true, false or a file")]
pub(super) enum AccessLog {
    Switch(bool),
    File(PathBuf),
}

/// One of `upstreams:`
#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "a mapping with name and url"
)]
pub(super) struct Upstream {
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) credential: Option<Credential>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) timeout: Timeout,
    pub(super) tls: UpstreamTls,
    pub(super) enabled: Option<bool>,
    pub(super) resources: Resources,
    pub(super) via: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) eras: Option<String>,
    pub(super) listing: Option<String>,
    pub(super) merge: Option<bool>,
    pub(super) circuit_breaker: Option<super::protection::RawBreaker>,
    pub(super) outlier_detection: Option<super::protection::RawOutlier>,
}

/// `credential:`
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "a mapping with header and value, or forward, perPrincipal, exchange"
)]
pub(super) struct Credential {
    pub(super) header: Option<String>,
    pub(super) value: Option<CredentialValue>,
    pub(super) forward: Option<bool>,
    pub(super) per_principal: Option<PerPrincipal>,
    pub(super) exchange: Option<Exchange>,
    pub(super) discovery: Option<Secret>,
}

/// A secret, or a text with placeholders.
#[derive(Debug)]
pub(super) enum CredentialValue {
    Secret(Secret),
    Text(NotShown),
}

/// Perhaps the secret itself, written into the wrong place.
pub(super) struct NotShown(pub(super) String);

impl std::fmt::Debug for NotShown {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("(not shown)")
    }
}

/// `perPrincipal:`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with dir")]
pub(super) struct PerPrincipal {
    pub(super) dir: PathBuf,
    pub(super) header: Option<String>,
    pub(super) scheme: Option<String>,
}

/// `exchange:`
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "a mapping with tokenUrl, clientId, clientSecret"
)]
pub(super) struct Exchange {
    pub(super) token_url: String,
    pub(super) client_id: String,
    pub(super) client_secret: Secret,
    pub(super) audience: Option<String>,
    pub(super) resource: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) ca: Option<File>,
}

/// `timeout:`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a mapping with connect, call, list")]
pub(super) struct Timeout {
    pub(super) connect: Option<Span>,
    pub(super) call: Option<Span>,
    pub(super) list: Option<Span>,
}

/// `tls:` of an upstream
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "{ ca: { file: PATH } }")]
pub(super) struct UpstreamTls {
    pub(super) ca: Option<File>,
}

/// `resources:`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a mapping with rewrite, probe")]
pub(super) struct Resources {
    pub(super) rewrite: Option<bool>,
    pub(super) probe: Option<bool>,
}

/// What is wrong where a secret should be named.
pub(super) const NO_SECRET: &str = "expected { env: NAME } or { file: PATH }, not the secret itself";

impl<'de> Deserialize<'de> for Secret {
    /// Errors never show what was found: it may be the secret itself, written into the wrong place.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(&Value::deserialize(deserializer)?).ok_or_else(|| D::Error::custom(NO_SECRET))
    }
}

impl Secret {
    fn of(value: &Value) -> Option<Self> {
        let map = value.as_object()?;
        match (map.get("env"), map.get("file"), map.len()) {
            (Some(Value::String(name)), None, 1) if is_variable(name) => Some(Self::Env(name.clone())),
            (None, Some(Value::String(path)), 1) if !path.is_empty() => Some(Self::File(path.into())),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for CredentialValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Value::String(text) = value {
            return Ok(Self::Text(NotShown(text)));
        }
        let secret = Secret::of(&value).map(Self::Secret);
        secret.ok_or_else(|| D::Error::custom(NO_SECRET))
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
