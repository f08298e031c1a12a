//! `transparent:`: paths whose every request goes to one server as it came.

use super::file::{Findings, Sections};
use super::{Config, Protocol, headers, network};
use serde::Deserialize;
use std::collections::HashSet;

/// As the file has it.
#[derive(Debug, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a mapping with path, upstream, inputHeaders, opaque"
)]
struct Raw {
    path: String,
    upstream: String,
    #[serde(default)]
    input_headers: Vec<String>,
    #[serde(default)]
    opaque: bool,
}

/// One path to one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transparent {
    /// Starting with `/`.
    pub path: String,
    /// Configured name.
    pub upstream: String,
    /// What of a client's headers goes on besides what MCP needs; names in lower case.
    pub input_headers: Vec<String>,
    /// Bodies are not looked at: nothing can be decided by method, tool or arguments.
    pub opaque: bool,
}

/// Each by itself; see [`fits`].
pub(super) fn read(sections: &mut Sections, findings: &mut Findings) -> Vec<Transparent> {
    let raws: Vec<Raw> = sections.take("transparent", findings).unwrap_or_default();
    let mut paths = HashSet::new();
    let mut all = Vec::with_capacity(raws.len());
    for (index, raw) in raws.into_iter().enumerate() {
        let at = format!("transparent[{index}]");
        if let Err(message) = network::mcp_path(&raw.path) {
            findings.add(format!("{at}.path"), message);
        }
        if !paths.insert(raw.path.clone()) {
            findings.add(
                format!("{at}.path"),
                format!("{} leads to another server already", raw.path),
            );
        }
        let mut input_headers = Vec::with_capacity(raw.input_headers.len());
        for (place, text) in raw.input_headers.iter().enumerate() {
            match headers::name(text) {
                Ok(name) => input_headers.push(name),
                Err(message) => findings.add(format!("{at}.inputHeaders[{place}]"), message),
            }
        }
        all.push(Transparent {
            path: raw.path,
            upstream: raw.upstream,
            input_headers,
            opaque: raw.opaque,
        });
    }
    all
}

/// Checks the paths against the rest, once that is known.
pub(super) fn fits(config: &Config, findings: &mut Findings) {
    let merges = config.upstreams.iter().any(|upstream| upstream.merge);
    for (index, entry) in config.transparent.iter().enumerate() {
        let at = format!("transparent[{index}]");
        match config.upstreams.iter().find(|upstream| upstream.name == entry.upstream) {
            None => findings.add(
                format!("{at}.upstream"),
                format!("no upstream is named {:?}", entry.upstream),
            ),
            Some(upstream) if upstream.protocol == Protocol::Sse => {
                findings.add(
                    format!("{at}.upstream"),
                    "an HTTP+SSE server has two paths of its own: it can only be merged",
                );
            }
            Some(_) => {}
        }
        for (place, name) in entry.input_headers.iter().enumerate() {
            if shown(config).any(|shown| shown == name) {
                let message = "carries what callers show to the gateway: no server may have it";
                findings.add(format!("{at}.inputHeaders[{place}]"), message);
            }
        }
        if merges && entry.path == config.path {
            findings.add(
                format!("{at}.path"),
                "is the path of the merged servers: choose another, or merge none",
            );
        }
    }
    for upstream in config.upstreams.iter().filter(|upstream| !upstream.merge) {
        if !config.transparent.iter().any(|entry| entry.upstream == upstream.name) {
            findings.add(
                "transparent",
                format!("no path leads to upstream {:?}, which has merge: false", upstream.name),
            );
        }
    }
}

/// Headers with which callers tell the gateway who they are.
fn shown(config: &Config) -> impl Iterator<Item = &str> {
    let authentication = config.authentication.iter();
    authentication.flat_map(|authentication| {
        let keys = authentication.api_keys.as_ref().map(|keys| keys.header.as_str());
        keys.into_iter().chain(["authorization"])
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_problems, mk_config};

    const ALONE: &str = "\nupstreams: [{name: a, url: 'http://a/', merge: false}]";

    #[test]
    fn a_path_leads_to_one_server_and_may_be_the_gateways_own() {
        let text = format!("transparent: [{{path: /mcp, upstream: a, inputHeaders: [X-Team, Authorization]}}]{ALONE}");
        let config = mk_config(&text);
        let [entry] = config.transparent.as_slice() else {
            panic!("one path")
        };
        assert_eq!((entry.path.as_str(), entry.upstream.as_str()), ("/mcp", "a"));
        assert_eq!(entry.input_headers, ["x-team", "authorization"]);
        assert!(!entry.opaque && !config.upstreams[0].merge);
    }

    #[test]
    fn what_callers_show_to_the_gateway_is_not_passed_on() {
        assert_problems(
            &format!(
                "authentication: {{apiKeys: {{header: X-Key, file: keys.yaml}}}}\n\
                 transparent: [{{path: /a, upstream: a, inputHeaders: [x-key, Authorization, x-other]}}]{ALONE}"
            ),
            &[
                "transparent[0].inputHeaders[0]: carries what callers show to the gateway: no server may have it",
                "transparent[0].inputHeaders[1]: carries what callers show to the gateway: no server may have it",
            ],
        );
    }

    #[test]
    fn paths_and_upstreams_must_fit_together() {
        assert_problems(
            &format!("transparent: []{ALONE}"),
            &["transparent: no path leads to upstream \"a\", which has merge: false"],
        );
        assert_problems(
            "transparent: [{path: /mcp, upstream: a}, {path: x, upstream: b}, {path: /s, upstream: s, opaque: true}]\n\
             upstreams: [{name: a, url: 'http://a/'}, {name: s, url: 'http://s/', protocol: sse}]",
            &[
                "transparent[1].path: must begin with /",
                "transparent[0].path: is the path of the merged servers: choose another, or merge none",
                "transparent[1].upstream: no upstream is named \"b\"",
                "transparent[2].upstream: an HTTP+SSE server has two paths of its own: it can only be merged",
            ],
        );
        assert_problems(
            &format!(
                "transparent: [{{path: /a, upstream: a, inputHeaders: [x-mcp-upstream, Host], body: x}}, \
                 {{path: /a, upstream: a}}]{ALONE}"
            ),
            &[
                "transparent[0].body: unknown key; known here: path, upstream, inputHeaders, opaque",
                "transparent[0].inputHeaders[0]: names that begin with x-mcp- are not for configuration",
                "transparent[0].inputHeaders[1]: host is set by the gateway or belongs to the connection",
                "transparent[1].path: /a leads to another server already",
            ],
        );
    }
}
