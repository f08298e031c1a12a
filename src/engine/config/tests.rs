//! From text to truth: every fixture, every default; and whatever the text, lines rather than a panic. For each mistake the
//! lines that it gives: `tests/{form,upstreams,gateway}`.

mod assigned;
mod form;
mod gateway;
mod upstreams;

use super::file::{parse, parse_settings, parse_with_upstreams};
use super::*;
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;

const MINIMAL: &str = include_str!("../../../tests/fixtures/config/minimal.yaml");
const FULL: &str = include_str!("../../../tests/fixtures/config/full.yaml");
const DEFAULTS: &str = include_str!("../../../tests/fixtures/config/defaults.yaml");
const COMMENTED_OUT: &str = include_str!("../../../tests/fixtures/config/commented-out.yaml");
const ANCHORS: &str = include_str!("../../../tests/fixtures/config/anchors.yaml");

/// One good upstream, for texts about something else.
const ONE: &str = "\nupstreams: [{name: a, url: 'http://a.example/mcp'}]";

pub(super) fn mk_config(text: &str) -> Config {
    parse(text, Path::new("/etc/manifold"), Path::new("/state")).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn problems(text: &str) -> Vec<String> {
    match parse(text, Path::new("/etc/manifold"), Path::new("/state")) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn assert_problems(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected, "{text}");
}

/// The same for a mistake in one upstream; `expected` lacks the `upstreams[0].`
fn assert_upstream_problem(keys: &str, expected: &str) {
    let text = format!("upstreams: [{{name: a, url: 'http://a.example/mcp', {keys}}}]");
    assert_eq!(problems(&text), [format!("upstreams[0].{expected}")], "{keys}");
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    assert_eq!(mk_config(MINIMAL), mk_config(DEFAULTS));
    let config = mk_config(MINIMAL);
    assert_eq!(config.state_dir, Path::new("/state"));
    assert_eq!(config.envoy.admin, EnvoyAdmin::Socket(None));
    assert_eq!(config.limits.body, 4 << 20);
    assert_eq!(config.session.lifetime, Duration::from_secs(2_592_000));
}

#[test]
fn forwards_carry_metadata_where_it_is_read() {
    let carries = |envoy: &str| {
        let text = format!("envoy: {{ {envoy} }}\nupstreams: [ {{ name: a, url: 'http://a.test/mcp' }} ]");
        mk_config(&text).envoy.metadata
    };
    assert!(!carries(""), "nobody reads it");
    assert!(carries("accessLog: true"));
    assert!(carries("routes: [a/b]"), "the access log is somebody else's");
    assert!(carries("metadata: true"));
    assert!(!carries("metadata: false, accessLog: true"));
}

#[test]
fn every_key_reaches_the_truth() {
    let config = mk_config(FULL);
    assert_eq!(config.public_url, "https://mcp.example.com/gateway/mcp");
    assert_eq!(config.hosts, ["mcp.internal.example", "10.1.2.3"]);
    assert_eq!(config.admin_token, Some(Secret::Env("ADMIN_TOKEN".into())));
    assert_eq!(config.session.keys[0], Secret::File("/etc/manifold/session.key".into()));
    assert_eq!(
        config.tls.expect("given").key,
        Path::new("/etc/ssl/server.key"),
        "absolute stays"
    );
    assert_eq!(config.envoy.admin, EnvoyAdmin::Tcp(([127, 0, 0, 1], 9003).into()));
    assert_eq!(
        config.envoy.access_log,
        AccessLog::File("/etc/manifold/access.log".into())
    );
    assert_eq!(
        config.envoy.routes,
        ["mcp/mcp-public".into(), "mcp/mcp-inspected".into()]
    );
    assert_eq!(config.audit.to, AuditTarget::File("/etc/manifold/audit.jsonl".into()));
    assert_eq!(config.audit.arguments, AuditArguments::Hash);
    let cors = config.cors.expect("given");
    assert_eq!(cors.origins, ["https://page.example.com"]);
    assert_eq!((cors.credentials, cors.max_age), (true, Duration::from_secs(600)));
    let filter = config.ip_filter;
    assert_eq!(
        (filter.allow.len(), filter.deny.len(), filter.trusted_proxies.len()),
        (2, 1, 1)
    );
    assert!(config.security_headers);
    let [transparent] = config.transparent.as_slice() else {
        panic!("one path")
    };
    assert_eq!((transparent.path.as_str(), transparent.opaque), ("/search", true));
    assert_eq!(config.lists.keep_last_good, Duration::ZERO);
    let [github, search, plain, alone] = config.upstreams.as_slice() else {
        panic!("four")
    };
    assert_eq!(
        (github.prefix.as_str(), search.prefix.as_str(), plain.prefix.as_str()),
        ("gh-", "team-search_", "")
    );
    assert_eq!(github.credential.as_ref().expect("given").header, "authorization");
    assert_eq!(
        github.headers,
        [("x-team".into(), "tools".into()), ("x-site".into(), "a".into())]
    );
    assert_eq!(github.timeout.call, Duration::from_secs(120));
    assert!(!github.enabled && github.resources_probe);
    assert_eq!((github.via, github.protocol), (Via::Direct, Protocol::Streamable));
    assert_eq!((search.via, search.protocol), (Via::Direct, Protocol::Sse));
    assert_eq!((github.eras, search.eras), (Eras::Legacy, Eras::Both));
    assert_eq!(plain.via, Via::Envoy);
    assert!(github.merge && !alone.merge);
}

#[test]
fn a_section_whose_keys_are_commented_out_is_absent() {
    assert_eq!(mk_config(COMMENTED_OUT), mk_config(MINIMAL));
}

#[test]
fn anchors_and_merge_keys_work() {
    let config = mk_config(ANCHORS);
    let timeout = &config.upstreams[2].timeout;
    assert_eq!(
        (timeout.call, timeout.list),
        (Duration::from_secs(600), Duration::from_secs(1))
    );
}

#[test]
fn the_public_url_follows_listen_and_tls() {
    let text = format!("listen: 127.0.0.1:9001\ntls: {{cert: {{file: c}}, key: {{file: k}}}}\npath: /x{ONE}");
    assert_eq!(mk_config(&text).public_url, "https://127.0.0.1:9001/x");
}

#[test]
fn upstreams_of_the_command_line_come_last_and_are_checked_alike() {
    let more = |name: &str, url: &str| vec![(name.to_owned(), url.to_owned())];
    let state = Path::new("/state");
    let config = parse_with_upstreams(MINIMAL, Path::new(""), state, &more("b", "http://b/mcp")).expect("valid");
    assert_eq!(config.upstreams[1].prefix, "b_");
    let wrong = parse_with_upstreams(MINIMAL, Path::new(""), state, &more("everything", "ftp://b/"));
    let lines: Vec<String> = wrong.expect_err("two").iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["--upstream everything.url: must begin with http:// or https://"]
    );
}

// === properties ===

proptest! {
    #[test]
    fn no_text_makes_parsing_panic(text in "\\PC{0,200}") {
        let _ = problems(&text);
    }

    #[test]
    fn no_change_of_a_good_file_makes_parsing_panic(at in 0..FULL.len(), length in 0..40usize, new in "[ -~\n]{0,8}") {
        let end = (at + length).min(FULL.len());
        let _ = problems(&format!("{}{new}{}", &FULL[..at], &FULL[end..]));
    }

    #[test]
    fn every_problem_is_one_line(key in "[a-z]{1,8}", value in "\\PC{0,30}") {
        for line in problems(&format!("{key}: {value}\nlimits: {{{key}: {value}}}{ONE}")) {
            prop_assert_eq!(line.lines().count(), 1, "{}", line);
        }
    }
}
