//! `authentication:`: who may call, and how callers show who they are.
//!
//! Tokens are verified by Envoy, keys and passwords by the processor. What the files named here say is read by
//! [`super::credential_files`].

use super::file::{Findings, Sections};
use super::scalar::Span;
use super::{Authority, headers, network, raw};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// A key rotation is noticed within this time.
const REFRESH: Duration = Duration::from_secs(300);
/// Envoy fetches anew a few seconds before keys grow old.
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);
/// As long as the keys of an issuer that cannot be reached are trusted.
const KEEP: Duration = Duration::from_secs(24 * 60 * 60);
/// Where keys stand by default.
const KEY_HEADER: &str = "x-api-key";
/// Headers with a meaning of their own.
const NOT_FOR_KEYS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// `authentication:`
#[derive(Clone, Debug, PartialEq)]
pub struct Authentication {
    /// The anonymous are refused.
    pub required: bool,
    /// Whose tokens count.
    pub jwt: Vec<Issuer>,
    /// Keys in a header.
    pub api_keys: Option<ApiKeys>,
    /// Names and passwords: an htpasswd file.
    pub basic: Option<PathBuf>,
    /// What every token must be good for (`scope`).
    pub scopes: Vec<String>,
}

/// An issuer of tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Issuer {
    /// `iss`, character for character.
    pub issuer: String,
    /// A token must be for one of these; empty: for `publicUrl`.
    pub audiences: Vec<String>,
    /// Its public keys.
    pub jwks: Jwks,
}

impl Issuer {
    /// Whom a token must be for.
    #[must_use]
    pub fn audiences_or<'a>(&'a self, public_url: &'a str) -> Vec<&'a str> {
        if self.audiences.is_empty() {
            return vec![public_url];
        }
        self.audiences.iter().map(String::as_str).collect()
    }
}

/// Where public keys are (RFC 7517).
#[derive(Clone, Debug, PartialEq)]
pub enum Jwks {
    /// Fetched by Envoy, again and again.
    Url {
        /// Where.
        url: Url,
        /// How often.
        refresh: Duration,
        /// How long the last good keys serve while there are no others.
        keep: Duration,
        /// Whom TLS trusts; default: the system's roots.
        ca: Option<Authority>,
    },
    /// A file, read by Envoy when it starts.
    File(PathBuf),
}

/// `apiKeys:`
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKeys {
    /// Lower-case name of the header that carries the key.
    pub header: String,
    /// The file with the hashes of all keys.
    pub file: PathBuf,
}

/// `authentication:` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a mapping")]
pub(super) struct Raw {
    required: Option<bool>,
    jwt: Vec<RawIssuer>,
    api_keys: Option<RawApiKeys>,
    basic: Option<raw::File>,
    scopes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with issuer and jwks")]
struct RawIssuer {
    issuer: String,
    #[serde(default)]
    audiences: Vec<String>,
    jwks: RawJwks,
}

#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "{ url: URL } or { file: PATH }"
)]
struct RawJwks {
    url: Option<String>,
    file: Option<PathBuf>,
    refresh: Option<Span>,
    keep_last_good: Option<Span>,
    ca: Option<raw::File>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with header and file")]
struct RawApiKeys {
    header: Option<String>,
    file: PathBuf,
}

/// The section; `None`: there is none, and nobody is asked who they are.
pub(super) fn read(sections: &mut Sections, findings: &mut Findings) -> Option<Authentication> {
    let raw: Raw = sections.take("authentication", findings)?;
    let authentication = Authentication {
        required: raw.required.unwrap_or(true),
        jwt: issuers(raw.jwt, findings),
        api_keys: raw.api_keys.map(|raw| api_keys(&raw, findings)),
        basic: raw.basic.map(|file| findings.file("authentication.basic", &file)),
        scopes: raw.scopes,
    };
    check(&authentication, findings);
    Some(authentication)
}

fn check(authentication: &Authentication, findings: &mut Findings) {
    let Authentication {
        required: _,
        jwt,
        api_keys,
        basic,
        scopes,
    } = authentication;
    if jwt.is_empty() && api_keys.is_none() && basic.is_none() {
        findings.add(
            "authentication",
            "nobody could show who they are: give jwt, apiKeys or basic",
        );
    }
    for (at, scope) in scopes.iter().enumerate() {
        if !is_scope(scope) {
            findings.add(format!("authentication.scopes[{at}]"), NOT_A_SCOPE);
        }
    }
    if !scopes.is_empty() && jwt.is_empty() {
        findings.add("authentication.scopes", "only tokens have scopes, and there is no jwt");
    }
}

/// What a text that is no scope is told.
const NOT_A_SCOPE: &str = "not a scope: visible ASCII without blanks, quotes and backslashes";

/// Whether a text can be a scope (RFC 6749, 3.3): it also stands between quotes in challenges.
#[must_use]
pub fn is_scope(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.bytes().all(plain)
}

fn issuers(raws: Vec<RawIssuer>, findings: &mut Findings) -> Vec<Issuer> {
    let mut issuers: Vec<Issuer> = Vec::with_capacity(raws.len());
    for (at, raw) in raws.into_iter().enumerate() {
        let at = format!("authentication.jwt[{at}]");
        // Principals are written `issuer|subject`.
        if raw.issuer.is_empty() || !raw.issuer.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'|') {
            findings.add(
                format!("{at}.issuer"),
                "must be what tokens say as iss, without blanks and |",
            );
        } else if issuers.iter().any(|other| other.issuer == raw.issuer) {
            findings.add(format!("{at}.issuer"), "stands here twice");
        }
        if raw.audiences.iter().any(String::is_empty) {
            findings.add(format!("{at}.audiences"), "must not be empty");
        }
        let jwks = jwks(&format!("{at}.jwks"), raw.jwks, findings);
        issuers.extend(jwks.map(|jwks| Issuer {
            issuer: raw.issuer,
            audiences: raw.audiences,
            jwks,
        }));
    }
    issuers
}

fn jwks(at: &str, raw: RawJwks, findings: &mut Findings) -> Option<Jwks> {
    match (raw.url, raw.file) {
        (Some(url), None) => {
            let ca = raw.ca.map(|ca| findings.file(&format!("{at}.ca"), &ca));
            let refresh = raw.refresh.map_or(REFRESH, |Span(refresh)| refresh);
            if refresh < SHORTEST_REFRESH {
                findings.add(format!("{at}.refresh"), "must be 1s or more");
            }
            let keep = raw.keep_last_good.map_or(KEEP.max(refresh), |Span(keep)| keep);
            if keep < refresh {
                findings.add(format!("{at}.keepLastGood"), "must not be shorter than refresh");
            }
            let url = network::http_url(&url).map_err(|message| findings.add(format!("{at}.url"), message));
            let url = url.ok()?;
            if ca.is_some() && url.scheme() == "http" {
                findings.add(format!("{at}.ca"), "is for https, the url says http");
            }
            Some(Jwks::Url {
                url,
                refresh,
                keep,
                ca: ca.map(Authority::File),
            })
        }
        (None, Some(file)) => {
            if raw.refresh.is_some() || raw.keep_last_good.is_some() || raw.ca.is_some() {
                findings.add(at, "refresh, keepLastGood and ca are for a url");
            }
            Some(Jwks::File(findings.file(at, &raw::File { file })))
        }
        (Some(_), Some(_)) | (None, None) => {
            findings.add(at, "must be { url: URL } or { file: PATH }");
            None
        }
    }
}

fn api_keys(raw: &RawApiKeys, findings: &mut Findings) -> ApiKeys {
    const AT: &str = "authentication.apiKeys";
    let file = raw::File { file: raw.file.clone() };
    let header = raw.header.as_deref().unwrap_or(KEY_HEADER);
    let header = headers::name(header).and_then(|name| match NOT_FOR_KEYS.contains(&name.as_str()) {
        true => Err(format!("{name} is not for keys")),
        false => Ok(name),
    });
    ApiKeys {
        file: findings.file(AT, &file),
        header: header.unwrap_or_else(|message| {
            findings.add(format!("{AT}.header"), message);
            KEY_HEADER.to_owned()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;
    use std::path::Path;

    fn read(section: &str) -> Result<Authentication, Vec<String>> {
        let text = format!("authentication: {{ {section} }}\nupstreams: [{{name: a, url: 'http://a.example/mcp'}}]");
        match parse(&text, Path::new("/etc"), Path::new("/state")) {
            Ok(config) => Ok(config.authentication.expect("the section is there")),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn callers_must_show_who_they_are_unless_the_file_says_otherwise() {
        let keys = "apiKeys: { file: keys.yaml }";
        let authentication = read(keys).expect("valid");
        assert!(authentication.required);
        assert_eq!(authentication.api_keys.expect("given").header, "x-api-key");
        assert!(!read(&format!("required: false, {keys}")).expect("valid").required);
    }

    #[test]
    fn a_token_is_for_the_gateway_s_own_url_unless_told_otherwise() {
        let own = read("jwt: [{ issuer: 'https://idp', jwks: { url: 'http://127.0.0.1:9/jwks' } }]").expect("valid");
        assert_eq!(own.jwt[0].audiences_or("https://own/mcp"), ["https://own/mcp"]);
        let told = read("jwt: [{ issuer: i, audiences: [a, b], jwks: { file: jwks.json } }]").expect("valid");
        assert_eq!(told.jwt[0].audiences_or("https://own/mcp"), ["a", "b"]);
        assert_eq!(told.jwt[0].jwks, Jwks::File("/etc/jwks.json".into()));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let jwks = "jwks: { file: j }";
        for (section, expected) in [
            (
                "required: true".to_owned(),
                "authentication: nobody could show who they are",
            ),
            (
                format!("jwt: [{{ issuer: i, {jwks} }}, {{ issuer: i, {jwks} }}]"),
                "authentication.jwt[1].issuer: stands here twice",
            ),
            (
                format!("jwt: [{{ issuer: 'a|b', {jwks} }}]"),
                "authentication.jwt[0].issuer: must be",
            ),
            (
                "jwt: [{ issuer: i, jwks: { url: 'http://a/', file: j } }]".to_owned(),
                "authentication.jwt[0].jwks: must be { url: URL } or",
            ),
            (
                "jwt: [{ issuer: i, jwks: { url: 'ftp://a/' } }]".to_owned(),
                "authentication.jwt[0].jwks.url: must begin",
            ),
            (
                format!("jwt: [{{ issuer: i, {jwks} }}], scopes: ['a b']"),
                "authentication.scopes[0]: not a scope",
            ),
            (
                "apiKeys: { header: Authorization, file: k }".to_owned(),
                "authentication.apiKeys.header: authorization is not for keys",
            ),
            (
                "basic: { file: h }, scopes: [a]".to_owned(),
                "authentication.scopes: only tokens",
            ),
            (
                "basic: { file: h }, jwtt: []".to_owned(),
                "authentication.jwtt: unknown key; did you mean \"jwt\"?",
            ),
        ] {
            let problems = read(&section).expect_err(&section);
            assert!(
                problems.iter().any(|problem| problem.starts_with(expected)),
                "{problems:?}"
            );
        }
    }
}
