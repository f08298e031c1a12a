//! What an upstream is told of its caller: headers with placeholders, and a credential that is the caller's own.

use super::file::Findings;
use super::template::{self, Template, Value};
use super::{Authority, Config, Credential, Secret, Upstream, headers, network, raw};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delegated {
    /// Lower-case name, value; left out where the caller has nothing to say there.
    pub headers: Vec<(String, Template)>,
    /// Without it nothing is called.
    pub credential: Option<Arc<OfCaller>>,
}

/// The credential of a caller.
#[derive(Clone, Debug, PartialEq)]
pub struct OfCaller {
    /// Lower-case name.
    pub header: String,
    /// Where its value comes from.
    pub source: Source,
}

/// Where a caller's credential comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// What is known of the caller.
    Template(Template),
    /// The token that the caller has shown.
    Forward,
    /// A file for each principal.
    PerPrincipal(PerPrincipal),
    /// A token endpoint.
    Exchange(Exchange),
}

/// A folder with a file for each principal, named by the SHA-256 of the principal in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerPrincipal {
    /// The folder.
    pub dir: PathBuf,
    /// What stands before the file's content, with a blank between.
    pub scheme: Option<String>,
}

/// Token exchange (RFC 8693).
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// `http` or `https`.
    pub token_url: Url,
    /// The gateway, as the endpoint knows it.
    pub client_id: String,
    /// Proves it.
    pub client_secret: Secret,
    /// For whom the token is to be.
    pub audience: Option<String>,
    /// The same as a URI (RFC 8707).
    pub resource: Option<String>,
    /// What it is to be good for.
    pub scope: Option<String>,
    /// Whom TLS trusts; `None`: the system's roots.
    pub ca: Option<Authority>,
}

impl Delegated {
    /// Whether the processor must see the tokens themselves.
    #[must_use]
    pub fn wants_tokens(&self) -> bool {
        match self.credential.as_deref().map(|credential| &credential.source) {
            Some(Source::Forward | Source::Exchange(_)) => true,
            Some(Source::Template(_) | Source::PerPrincipal(_)) | None => false,
        }
    }
}

/// Reads `credential:`: the gateway's own, and the callers'.
pub(super) fn credential(
    at: &str,
    raw: raw::Credential,
    findings: &mut Findings,
) -> (Option<Credential>, Option<Arc<OfCaller>>) {
    let at = format!("{at}.credential");
    let ways = [
        raw.value.is_some(),
        raw.forward.is_some(),
        raw.per_principal.is_some(),
        raw.exchange.is_some(),
    ];
    if ways.into_iter().filter(|given| *given).count() != 1 {
        findings.add(&*at, "needs one of value, forward, perPrincipal, exchange");
        return (None, None);
    }
    let wanted = raw.header.is_none() && raw.value.is_some();
    if wanted {
        findings.add(format!("{at}.header"), "is required beside value");
    } else if raw.header.is_some() && raw.value.is_none() {
        let message = "stands beside value, and within perPrincipal";
        findings.add(format!("{at}.header"), message);
    }
    let named = raw.header.as_deref().unwrap_or("authorization");
    let mut header = header(&format!("{at}.header"), named, findings);
    let source = match (raw.value, raw.per_principal, raw.exchange) {
        (Some(raw::CredentialValue::Secret(secret)), _, _) => {
            if raw.discovery.is_some() {
                findings.add(format!("{at}.discovery"), "stands beside credentials of callers only");
            }
            let value = findings.secret(&format!("{at}.value"), secret);
            return (header.map(|header| Credential { header, value }), None);
        }
        (Some(raw::CredentialValue::Text(text)), _, _) => match template::read(&text.0) {
            Ok(Value::OfCaller(template)) => Some(Source::Template(template)),
            Ok(Value::Constant(_)) => {
                findings.add(format!("{at}.value"), raw::NO_SECRET);
                None
            }
            Err(message) => {
                findings.add(format!("{at}.value"), message);
                None
            }
        },
        (None, Some(raw), _) => {
            let (own, source) = per_principal(&format!("{at}.perPrincipal"), raw, findings);
            header = own;
            Some(source)
        }
        (None, None, Some(raw)) => exchange(&format!("{at}.exchange"), raw, findings).map(Source::Exchange),
        (None, None, None) => {
            if raw.forward == Some(false) {
                findings.add(format!("{at}.forward"), "must be true, or not be there");
            }
            Some(Source::Forward)
        }
    };
    let discovery = raw
        .discovery
        .map(|raw| findings.secret(&format!("{at}.discovery"), raw));
    let Some((header, source)) = header.zip(source) else {
        return (None, None);
    };
    let own = discovery.map(|value| Credential {
        header: header.clone(),
        value,
    });
    (own, Some(Arc::new(OfCaller { header, source })))
}

fn header(at: &str, text: &str, findings: &mut Findings) -> Option<String> {
    headers::name(text).map_err(|message| findings.add(at, message)).ok()
}

fn per_principal(at: &str, raw: raw::PerPrincipal, findings: &mut Findings) -> (Option<String>, Source) {
    let dir = findings.resolve(&format!("{at}.dir"), &raw.dir);
    let header = header(
        &format!("{at}.header"),
        raw.header.as_deref().unwrap_or("authorization"),
        findings,
    );
    let bearer = || (header.as_deref() == Some("authorization")).then(|| "Bearer".to_owned());
    let scheme = raw
        .scheme
        .map_or_else(bearer, |scheme| Some(scheme).filter(|scheme| !scheme.is_empty()));
    if scheme.as_deref().is_some_and(|scheme| !is_token(scheme)) {
        findings.add(
            format!("{at}.scheme"),
            "not an authentication scheme: one word, such as Bearer",
        );
    }
    (header, Source::PerPrincipal(PerPrincipal { dir, scheme }))
}

fn exchange(at: &str, raw: raw::Exchange, findings: &mut Findings) -> Option<Exchange> {
    let client_secret = findings.secret(&format!("{at}.clientSecret"), raw.client_secret);
    let ca = raw
        .ca
        .map(|ca| Authority::File(findings.file(&format!("{at}.ca"), &ca)));
    if raw.client_id.is_empty() {
        findings.add(format!("{at}.clientId"), "must not be empty");
    }
    let token_url = network::http_url(&raw.token_url)
        .map_err(|message| findings.add(format!("{at}.tokenUrl"), message))
        .ok()?;
    Some(Exchange {
        token_url,
        client_id: raw.client_id,
        client_secret,
        audience: raw.audience,
        resource: raw.resource,
        scope: raw.scope,
        ca,
    })
}

/// RFC 9110, 5.6.2
fn is_token(text: &str) -> bool {
    let ours = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(ours)
}

/// Reads `headers:`: constants, and those that name the caller.
#[allow(clippy::type_complexity, reason = "two lists of name and value")]
pub(super) fn headers_of(
    at: &str,
    raw: &BTreeMap<String, String>,
    taken: &[&str],
    findings: &mut Findings,
) -> (Vec<(String, String)>, Vec<(String, Template)>) {
    let (mut constants, mut templates) = (Vec::new(), Vec::<(String, Template)>::new());
    let mut names: Vec<String> = Vec::new();
    for (key, value) in raw {
        let path = format!("{at}.headers.{key}");
        let Some(name) = header(&path, key, findings) else {
            continue;
        };
        if taken.contains(&name.as_str()) {
            findings.add(&*path, "is the credential's header already");
        } else if names.contains(&name) {
            findings.add(&*path, "is given twice, in another case");
        }
        names.push(name.clone());
        match template::read(value) {
            Ok(Value::Constant(value)) => constants.push((name, value)),
            Ok(Value::OfCaller(template)) => templates.push((name, template)),
            Err(message) => findings.add(path, message),
        }
    }
    (constants, templates)
}

/// Checks what upstreams want of callers against the rest, once that is known.
pub(super) fn fits(config: &Config, findings: &mut Findings) {
    let authentication = config.authentication.as_ref();
    for (index, upstream) in config.upstreams.iter().enumerate() {
        let Upstream { delegated, .. } = upstream;
        if *delegated == Delegated::default() {
            continue;
        }
        let of_caller = delegated.credential.is_some();
        let at = format!(
            "upstreams[{index}].{}",
            if of_caller { "credential" } else { "headers" }
        );
        match (authentication, delegated.wants_tokens()) {
            (None, _) => findings.add(&*at, "needs authentication: nobody is known without it"),
            (Some(authentication), true) if authentication.jwt.is_empty() => {
                findings.add(&*at, "needs authentication.jwt: only a token that was verified is used");
            }
            (Some(_), _) => {}
        }
    }
}
