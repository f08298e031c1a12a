//! What the file says of the upstreams: names, URLs, prefixes, headers, timeouts, with whose credential they are listed.

use super::file::Findings;
use super::{
    Authority, Delegated, Eras, Listing, Protocol, Timeouts, Upstream, Via, delegated, gateway, network, protection,
    raw,
};
use std::collections::HashSet;
use std::time::Duration;
use url::Url;

/// The gateway's own name in status and metrics.
const RESERVED_NAME: &str = "mcp-manifold";
const MAX_NAME: usize = 253;

/// Reads all of them, each with the path that its problems carry. One with a problem is left out.
pub(super) fn read_all(raws: Vec<(String, raw::Upstream)>, findings: &mut Findings) -> Vec<Upstream> {
    let mut upstreams = Vec::new();
    let mut names = HashSet::new();
    for (at, raw) in raws {
        let Some(upstream) = read(&at, raw, findings) else {
            continue;
        };
        if !names.insert(upstream.name.clone()) {
            findings.add(
                format!("{at}.name"),
                format!("{:?} is the name of an upstream above", upstream.name),
            );
        }
        upstreams.push(upstream);
    }
    upstreams
}

fn read(at: &str, raw: raw::Upstream, findings: &mut Findings) -> Option<Upstream> {
    let name = required(at, "name", raw.name, findings).map(|text| name(at, text, findings));
    let url = required(at, "url", raw.url, findings).and_then(|text| url(at, &text, findings));
    let prefix = prefix(at, raw.prefix, name.as_deref().unwrap_or_default(), findings);
    let credential = raw.credential.map(|raw| delegated::credential(at, raw, findings));
    let (credential, of_caller) = credential.unwrap_or_default();
    let taken = credential.iter().map(|own| own.header.as_str());
    let taken: Vec<&str> = taken.chain(of_caller.iter().map(|one| one.header.as_str())).collect();
    let (headers, templates) = delegated::headers_of(at, &raw.headers, &taken, findings);
    let delegated = Delegated {
        headers: templates,
        credential: of_caller,
    };
    let timeout = timeouts(at, &raw.timeout, findings);
    let protocol = protocol(at, raw.protocol.as_deref(), raw.via.as_deref(), findings);
    let eras = eras(at, raw.eras.as_deref(), protocol, findings);
    let ca = raw.tls.ca.map(|ca| findings.file(&format!("{at}.tls.ca"), &ca));
    let via = via(at, raw.via.as_deref(), protocol, findings);
    let (breaker, outlier) = (raw.circuit_breaker.as_ref(), raw.outlier_detection.as_ref());
    let protection = protection::read(at, breaker, outlier, via, findings);
    if ca.is_some() && url.as_ref().is_some_and(|url| url.scheme() == "http") {
        findings.add(format!("{at}.tls"), "is for https, the url says http");
    }
    Some(Upstream {
        name: name?,
        url: url?,
        prefix,
        headers,
        listing: listing(at, raw.listing.as_deref(), &delegated, findings),
        delegated,
        credential,
        timeout,
        ca: ca.map(Authority::File),
        enabled: raw.enabled.unwrap_or(true),
        resources_rewrite: raw.resources.rewrite.unwrap_or(false),
        resources_probe: raw.resources.probe.unwrap_or(false),
        via,
        protocol,
        eras,
        merge: raw.merge.unwrap_or(true),
        addresses: Vec::new(),
        protection,
    })
}

/// A listing of their own is for callers who are told apart at the upstream.
fn listing(at: &str, value: Option<&str>, delegated: &Delegated, findings: &mut Findings) -> Listing {
    match value {
        None | Some("shared") => Listing::Shared,
        Some("perPrincipal") => {
            if *delegated == Delegated::default() {
                findings.add(
                    format!("{at}.listing"),
                    "perPrincipal needs something that tells callers apart there: credential with forward, \
                     perPrincipal or exchange, or a value or headers with {claims.x}",
                );
            }
            Listing::PerPrincipal
        }
        Some(_) => {
            findings.add(format!("{at}.listing"), "must be shared or perPrincipal");
            Listing::Shared
        }
    }
}

fn protocol(at: &str, value: Option<&str>, via: Option<&str>, findings: &mut Findings) -> Protocol {
    match value {
        None | Some("streamable") => Protocol::Streamable,
        Some("sse") => {
            if via == Some("envoy") {
                findings.add(format!("{at}.via"), "an HTTP+SSE server cannot be reached via envoy");
            }
            Protocol::Sse
        }
        Some(_) => {
            findings.add(format!("{at}.protocol"), "must be streamable or sse");
            Protocol::Streamable
        }
    }
}

fn eras(at: &str, value: Option<&str>, protocol: Protocol, findings: &mut Findings) -> Eras {
    if let (Some("modern"), Protocol::Sse) = (value, protocol) {
        let message = "an HTTP+SSE server (protocol: sse) speaks no modern revision: take eras away, or protocol if it has \
                       a Streamable HTTP endpoint";
        findings.add(format!("{at}.eras"), message);
    }
    match value {
        None | Some("both") => Eras::Both,
        Some("legacy") => Eras::Legacy,
        Some("modern") => Eras::Modern,
        Some(_) => {
            findings.add(format!("{at}.eras"), "must be both, legacy or modern");
            Eras::Both
        }
    }
}

/// An HTTP+SSE server is always called by the processor.
fn via(at: &str, value: Option<&str>, protocol: Protocol, findings: &mut Findings) -> Via {
    match (value, protocol) {
        (None | Some("envoy"), Protocol::Streamable) => Via::Envoy,
        (None | Some("envoy"), Protocol::Sse) | (Some("direct"), _) => Via::Direct,
        (Some(_), _) => {
            findings.add(format!("{at}.via"), "must be envoy or direct");
            Via::Envoy
        }
    }
}

fn required(at: &str, key: &str, value: Option<String>, findings: &mut Findings) -> Option<String> {
    if value.is_none() && !findings.names(&format!("{at}.{key}")) {
        findings.add(format!("{at}.{key}"), "is required");
    }
    value
}

fn name(at: &str, text: String, findings: &mut Findings) -> String {
    if let Err(message) = check_name(&text) {
        findings.add(format!("{at}.name"), message);
    }
    text
}

/// Whether an upstream can be called so.
#[must_use]
pub fn is_upstream_name(text: &str) -> bool {
    check_name(text).is_ok()
}

fn check_name(text: &str) -> Result<(), String> {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = text.as_bytes().first().is_some_and(edge) && text.as_bytes().last().is_some_and(edge);
    if !ends || !text.bytes().all(|byte| edge(&byte) || byte == b'-' || byte == b'.') {
        return Err("only a-z, 0-9, - and . with a letter or digit at both ends".to_owned());
    }
    if text.len() > MAX_NAME {
        return Err(format!("is longer than {MAX_NAME} characters"));
    }
    if text == RESERVED_NAME {
        return Err(format!("{RESERVED_NAME} is the gateway's own name"));
    }
    Ok(())
}

fn url(at: &str, text: &str, findings: &mut Findings) -> Option<Url> {
    network::http_url(text)
        .map_err(|message| findings.add(format!("{at}.url"), message))
        .ok()
}

fn prefix(at: &str, text: Option<String>, name: &str, findings: &mut Findings) -> String {
    let Some(text) = text else {
        return format!("{}_", name.replace('.', "-"));
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !text.bytes().all(plain) {
        findings.add(
            format!("{at}.prefix"),
            "only letters, digits, _ and -: clients accept no others in tool names",
        );
    }
    text
}

fn timeouts(at: &str, raw: &raw::Timeout, findings: &mut Findings) -> Timeouts {
    let mut read = |key, value, seconds| {
        gateway::duration(
            &format!("{at}.timeout.{key}"),
            value,
            Duration::from_secs(seconds),
            findings,
        )
    };
    Timeouts {
        connect: read("connect", raw.connect, 5),
        call: read("call", raw.call, 60),
        list: read("list", raw.list, 10),
    }
}
