//! What those are told who may not enter: `WWW-Authenticate` (RFC 6750, RFC 7617), and the document that tells clients
//! where tokens for this gateway come from (RFC 9728).

use crate::engine::config::Authentication;
use bytes::Bytes;
use std::sync::Arc;
use url::Url;

/// Where the document is, before the path of what it describes.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Values of `WWW-Authenticate`, one header each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge(pub Arc<[Bytes]>);

/// Everything that can be said beforehand.
#[derive(Debug, Default)]
pub struct Challenges {
    /// To those who show nothing.
    pub missing: Challenge,
    /// To those who show something that does not count.
    pub invalid: Challenge,
    /// `resource_metadata="..."`; empty where tokens are not asked for.
    metadata: String,
    document: Option<Document>,
}

/// The document and the paths that it stands at.
#[derive(Debug)]
struct Document {
    paths: [String; 2],
    body: Bytes,
}

impl Challenge {
    /// To those who lack these scopes, where nobody says how they are to be had.
    #[must_use]
    pub fn lacking(needed: &[Arc<str>]) -> Self {
        Challenges::default().insufficient(&[], needed)
    }
}

impl Challenges {
    /// For what is known as `public_url`.
    #[must_use]
    pub fn new(config: &Authentication, public_url: &str) -> Self {
        let url = Url::parse(public_url).ok().filter(|_| !config.jwt.is_empty());
        let document = url.as_ref().map(|url| Document::new(config, url, public_url));
        let metadata = url.as_ref().map(metadata).unwrap_or_default();
        let scope = match config.scopes.is_empty() {
            true => String::new(),
            false => format!(", scope=\"{}\"", config.scopes.join(" ")),
        };
        let others = others(config);
        let with = |bearer: String| {
            let bearer = (!config.jwt.is_empty()).then(|| Bytes::from(bearer));
            Challenge(bearer.into_iter().chain(others.iter().cloned()).collect())
        };
        Self {
            missing: with(format!("Bearer {metadata}{scope}")),
            invalid: with(format!(
                "Bearer error=\"invalid_token\", error_description=\"the token is not valid here, or not any more\", \
                 {metadata}{scope}"
            )),
            metadata,
            document,
        }
    }

    /// The well-known document, if it stands at this path.
    #[must_use]
    pub fn document(&self, path: &str) -> Option<Bytes> {
        let document = self.document.as_ref()?;
        let here = document.paths.iter().any(|own| own == path);
        here.then(|| document.body.clone())
    }

    /// To those whose token is good for too little: what every caller needs, and what this needs besides.
    pub(super) fn insufficient(&self, every: &[Arc<str>], needed: &[Arc<str>]) -> Challenge {
        let more = needed.iter().filter(|scope| !every.contains(scope));
        let all: Vec<&str> = every.iter().chain(more).map(|scope| &**scope).collect();
        let mut text = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", all.join(" "));
        if !self.metadata.is_empty() {
            text.push_str(", ");
            text.push_str(&self.metadata);
        }
        Challenge([Bytes::from(text)].into())
    }
}

impl Document {
    fn new(config: &Authentication, url: &Url, resource: &str) -> Self {
        let issuers: Vec<&str> = config.jwt.iter().map(|issuer| issuer.issuer.as_str()).collect();
        let mut document = serde_json::json!({
            "resource": resource,
            "authorization_servers": issuers,
            "bearer_methods_supported": ["header"],
        });
        if !config.scopes.is_empty() {
            document["scopes_supported"] = config.scopes.clone().into();
        }
        Self {
            paths: [WELL_KNOWN.to_owned(), format!("{WELL_KNOWN}{}", own_path(url))],
            body: document.to_string().into(),
        }
    }
}

/// RFC 9728, 3.1: in front of the path, unless that is only `/`.
fn own_path(url: &Url) -> &str {
    match url.path() {
        "/" => "",
        path => path,
    }
}

fn metadata(url: &Url) -> String {
    let origin = url.origin().ascii_serialization();
    format!("resource_metadata=\"{origin}{WELL_KNOWN}{}\"", own_path(url))
}

/// What else a caller could show. Bearer comes first: clients read the first one.
fn others(config: &Authentication) -> Vec<Bytes> {
    let mut others = Vec::new();
    if config.basic.is_some() {
        others.push(Bytes::from_static(b"Basic realm=\"mcp\", charset=\"UTF-8\""));
    }
    if let Some(keys) = &config.api_keys
        && others.is_empty()
        && config.jwt.is_empty()
    {
        // A 401 must have a challenge (RFC 9110, 15.5.2); there is no registered one for keys.
        others.push(format!("ApiKey realm=\"mcp\", header=\"{}\"", keys.header).into());
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::{ApiKeys, Issuer, Jwks};

    fn mk_config() -> Authentication {
        Authentication {
            required: true,
            jwt: vec![Issuer {
                issuer: "https://idp".into(),
                audiences: vec![],
                jwks: Jwks::File("jwks.json".into()),
            }],
            api_keys: None,
            basic: None,
            scopes: vec!["mcp:tools".into()],
        }
    }

    fn said(challenge: &Challenge) -> Vec<&str> {
        let values = challenge.0.iter();
        values.map(|value| std::str::from_utf8(value).expect("text")).collect()
    }

    #[test]
    fn a_caller_is_told_where_tokens_come_from() {
        let challenges = Challenges::new(&mk_config(), "https://mcp.example.com/mcp");
        let metadata = "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\"";
        assert_eq!(
            said(&challenges.missing),
            [format!("Bearer {metadata}, scope=\"mcp:tools\"")]
        );
        assert!(said(&challenges.invalid)[0].starts_with("Bearer error=\"invalid_token\""));
        let needed = challenges.insufficient(&["mcp:tools".into()], &["mcp:admin".into(), "mcp:tools".into()]);
        assert_eq!(
            said(&needed),
            [format!(
                "Bearer error=\"insufficient_scope\", scope=\"mcp:tools mcp:admin\", {metadata}"
            )]
        );
    }

    #[test]
    fn the_document_stands_at_both_places() {
        let challenges = Challenges::new(&mk_config(), "https://mcp.example.com/mcp");
        let root = challenges.document(WELL_KNOWN).expect("there");
        assert_eq!(
            challenges.document("/.well-known/oauth-protected-resource/mcp"),
            Some(root.clone())
        );
        assert_eq!(challenges.document("/.well-known/oauth-protected-resource/other"), None);
        let document: serde_json::Value = serde_json::from_slice(&root).expect("JSON");
        assert_eq!(document["resource"], "https://mcp.example.com/mcp");
        assert_eq!(document["authorization_servers"][0], "https://idp");
        assert_eq!(document["scopes_supported"][0], "mcp:tools");
        let bare = Challenges::new(&mk_config(), "https://mcp.example.com/");
        assert!(bare.document(WELL_KNOWN).is_some());
        assert!(said(&bare.missing)[0].contains("/oauth-protected-resource\""));
    }

    #[test]
    fn without_tokens_there_is_no_document_and_another_challenge() {
        let keys = Authentication {
            jwt: vec![],
            scopes: vec![],
            api_keys: Some(ApiKeys {
                header: "x-api-key".into(),
                file: "keys.yaml".into(),
            }),
            ..mk_config()
        };
        let challenges = Challenges::new(&keys, "https://mcp.example.com/mcp");
        assert_eq!(challenges.document(WELL_KNOWN), None);
        assert_eq!(
            said(&challenges.missing),
            ["ApiKey realm=\"mcp\", header=\"x-api-key\""]
        );
        let basic = Authentication {
            basic: Some("htpasswd".into()),
            ..keys
        };
        let challenges = Challenges::new(&basic, "https://mcp.example.com/mcp");
        assert_eq!(said(&challenges.missing), ["Basic realm=\"mcp\", charset=\"UTF-8\""]);
    }
}
