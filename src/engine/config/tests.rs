//! From text to truth: every fixture, every default, and for each mistake the lines that it gives.

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

// === what is good ===

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

// === what is not ===

#[test]
fn every_unknown_key_is_named_with_its_nearest_kin() {
    assert_problems(
        "lisen: 1\nlimits: {boddy: 1MiB, weather: fine}\nupstreams: [{name: a, url: 'http://a/', prefx: x_}]",
        &[
            "limits.boddy: unknown key; did you mean \"body\"?",
            "limits.weather: unknown key; known here: body, bodies, receive, replay, depth, streams, sessions, \
             sessionsPerPrincipal, callsPerSession, callsPerPrincipal, streamsPerPrincipal, headers",
            "lisen: unknown key; did you mean \"listen\"?",
            "upstreams[0].prefx: unknown key; did you mean \"prefix\"?",
        ],
    );
}

#[test]
fn a_wrong_type_hides_no_unknown_key_and_no_other_section() {
    assert_problems(
        "limits: {body: {}, depth: deep, boddy: 1}\nlists: {first: 2}\nsession: 7\n\
         upstreams: [{name: 1, prefx: x}, 5, {name: b, url: 'http://b/', enabled: maybe}]",
        &[
            "limits.boddy: unknown key; did you mean \"body\"?",
            "upstreams[0].prefx: unknown key; did you mean \"prefix\"?",
            "session: expected a mapping, found integer",
            "limits.body: expected a size such as 100KiB, 4MiB or a number of bytes, found map",
            "lists.first: expected a duration such as 500ms, 30s, 5m or 30d, found integer",
            "upstreams[0].name: expected a string, found integer",
            "upstreams[1]: expected a mapping with name and url, found integer",
            "upstreams[2].enabled: expected a boolean, found string",
        ],
    );
}

#[test]
fn what_is_not_yaml_is_found_by_its_line() {
    let [line] = problems("listen: 127.0.0.1:1\nupstreams: [").try_into().expect("one");
    assert!(line.starts_with("line "), "{line}");
    assert_problems(
        "path: /a\npath: /b\nupstreams: []",
        &["line 2, column 1: duplicate key \"path\": it stands further up already"],
    );
    let [line] = problems("path: /a\n---\npath: /b").try_into().expect("one");
    assert!(
        line.ends_with(": a second document begins here: only one is read"),
        "{line}"
    );
    assert_problems("- a\n- b", &["line 1: not a mapping of keys such as `upstreams:`"]);
}

#[test]
fn at_least_one_upstream_is_needed() {
    for text in ["", "# nothing\n", "upstreams:", "upstreams: []", "path: /mcp"] {
        assert_problems(text, &["upstreams: at least one is needed"]);
    }
    assert_problems("upstreams: 7", &["upstreams: expected a sequence, found integer"]);
}

#[test]
fn what_is_not_built_yet_is_refused() {
    assert_problems(
        &format!("session: {{store: 'redis://r'}}\nadminToken: {{secretRef: {{name: x}}}}{ONE}"),
        &[
            "adminToken.secretRef: not supported yet",
            "session.store: not supported yet: only memory is",
        ],
    );
    assert_upstream_problem("listing: mine", "listing: must be shared or perPrincipal");
    assert_upstream_problem("eras: old", "eras: must be both, legacy or modern");
    assert_upstream_problem("protocol: gopher", "protocol: must be streamable or sse");
    assert_upstream_problem(
        "protocol: sse, via: envoy",
        "via: an HTTP+SSE server cannot be reached via envoy",
    );
    assert_upstream_problem("via: nobody", "via: must be envoy or direct");
}

#[test]
fn audit_lines_say_of_arguments_what_is_asked_for() {
    let audit = |text: &str| mk_config(&format!("audit: {text}{ONE}")).audit;
    let hashed = audit("{ arguments: hash }");
    assert_eq!(hashed.to, AuditTarget::Stderr);
    assert_eq!(hashed.wanted_arguments(), AuditArguments::Hash);
    assert_eq!(audit("{ arguments: full }").arguments, AuditArguments::Full);
    assert_eq!(audit("true"), Audit::DEFAULT);
    assert_eq!(audit("false").wanted_arguments(), AuditArguments::None);
    let problem = "audit.arguments: must be none, hash or full";
    assert_problems(&format!("audit: {{ arguments: some }}{ONE}"), &[problem]);
}

#[test]
fn a_name_is_an_id_and_is_unique() {
    for name in ["A", "-a", "a-", "a_b", "''", "ä", "a b"] {
        let expected = "upstreams[0].name: only a-z, 0-9, - and . with a letter or digit at both ends";
        assert_problems(&format!("upstreams: [{{name: {name}, url: 'http://a/'}}]"), &[expected]);
    }
    assert_problems(
        "upstreams: [{name: mcp-manifold, url: 'http://a/'}]",
        &["upstreams[0].name: mcp-manifold is the gateway's own name"],
    );
    assert_problems(
        "upstreams: [{name: a, url: 'http://a/'}, {name: b, url: 'http://a/'}, {name: a, url: 'http://c/'}]",
        &["upstreams[2].name: \"a\" is the name of an upstream above"],
    );
    assert_problems(
        "upstreams: [{}]",
        &["upstreams[0].name: is required", "upstreams[0].url: is required"],
    );
}

#[test]
fn a_url_is_one_that_can_be_called() {
    let url = |url: &str| problems(&format!("upstreams: [{{name: a, url: '{url}'}}]"));
    let scheme = "upstreams[0].url: must begin with http:// or https://";
    for wrong in ["ftp://a/", "localhost:3001/mcp", "http:a"] {
        assert_eq!(url(wrong), [scheme], "{wrong}");
    }
    assert_eq!(
        url("http://u:p@a/"),
        ["upstreams[0].url: must not carry a user or password; use credential"]
    );
    assert_eq!(
        url("http://a/#x"),
        ["upstreams[0].url: must not have a fragment (#...)"]
    );
    assert_eq!(url("http://"), ["upstreams[0].url: not a URL: empty host"]);
    assert_eq!(url("http://a:0/"), ["upstreams[0].url: port 0 cannot be reached"]);
    assert_eq!(url("http://[::1]:3001/mcp?a=b"), Vec::<String>::new());
}

#[test]
fn upstream_keys_are_checked_for_meaning() {
    assert_upstream_problem(
        "prefix: 'a.b_'",
        "prefix: only letters, digits, _ and -: clients accept no others in tool names",
    );
    assert_upstream_problem("prefix: ", "prefix: has no value: give one or take the key out");
    assert_upstream_problem("timeout: {call: 0s}", "timeout.call: must be above 0");
    assert_upstream_problem(
        "timeout: {call: 1 parsec}",
        "timeout.call: \"1 parsec\" is not a duration: write it such as 500ms, 30s, 5m or 30d",
    );
    assert_upstream_problem("tls: {ca: {file: c.pem}}", "tls: is for https, the url says http");
    assert_upstream_problem("headers: {x-a: 7}", "headers.x-a: expected a string, found integer");
    assert_upstream_problem("headers: {'x a': b}", "headers.x a: not a header name");
    assert_upstream_problem(
        "headers: {Host: b}",
        "headers.Host: host is set by the gateway or belongs to the connection",
    );
    assert_upstream_problem(
        "headers: {X-Mcp-Upstream: b}",
        "headers.X-Mcp-Upstream: names that begin with x-mcp- are not for configuration",
    );
    assert_upstream_problem(
        "headers: {x-a: b, X-A: c}",
        "headers.x-a: is given twice, in another case",
    );
    assert_upstream_problem(
        "headers: {x-key: b}, credential: {header: X-Key, value: {env: K}}",
        "headers.x-key: is the credential's header already",
    );
    assert_upstream_problem(
        "credential: {value: {env: K}}",
        "credential.header: is required beside value",
    );
}

#[test]
fn credentials_of_callers_are_checked() {
    for (keys, problem) in [
        (
            "credential: {}",
            "credential: needs one of value, forward, perPrincipal, exchange",
        ),
        (
            "credential: {forward: true, perPrincipal: {dir: d}}",
            "credential: needs one of value, forward, perPrincipal, exchange",
        ),
        (
            "credential: {forward: false}",
            "credential.forward: must be true, or not be there",
        ),
        (
            "credential: {header: X-Key, forward: true}",
            "credential.header: stands beside value, and within perPrincipal",
        ),
        (
            "credential: {perPrincipal: {dir: d, scheme: 'a b'}}",
            "credential.perPrincipal.scheme: not an authentication scheme: one word, such as Bearer",
        ),
        (
            "listing: perPrincipal, headers: {x-team: tools}",
            "listing: perPrincipal needs something that tells callers apart there: credential with forward, \
             perPrincipal or exchange, or a value or headers with {claims.x}",
        ),
        (
            "headers: {x-user: '{claims.sub}'}",
            "headers: needs authentication: nobody is known without it",
        ),
        (
            "headers: {x-user: '{user}'}",
            "headers.x-user: an unknown placeholder: {principal} and {claims.NAME} are known, a brace is written {{",
        ),
        (
            "credential: {header: X-User, value: '{user}'}",
            "credential.value: an unknown placeholder: {principal} and {claims.NAME} are known, a brace is written {{",
        ),
        (
            "credential: {header: X-Key, value: {env: K}, discovery: {env: K}}",
            "credential.discovery: stands beside credentials of callers only",
        ),
    ] {
        let lines = problems(&format!("upstreams: [{{name: a, url: 'http://a/', {keys}}}]"));
        let expected = format!("upstreams[0].{problem}");
        assert!(lines.contains(&expected), "{keys}: {lines:?}");
    }
}

#[test]
fn only_verified_tokens_go_on() {
    let text = |section: &str| {
        format!(
            "authentication: {{{section}}}\nupstreams: [{{name: a, url: 'http://a/', credential: {{forward: true}}}}]"
        )
    };
    assert_eq!(
        problems(&text("basic: {file: htpasswd}")),
        ["upstreams[0].credential: needs authentication.jwt: only a token that was verified is used"]
    );
    let issuer = "jwt: [{issuer: i, audiences: [a], jwks: {file: keys.json}}]";
    assert!(
        parse(&text(issuer), Path::new("/"), Path::new("/"))
            .expect("valid")
            .upstreams[0]
            .delegated
            .wants_tokens()
    );
}

#[test]
fn a_secret_in_the_wrong_place_is_never_shown() {
    for keys in [
        "credential: hunter2",
        "credential: {header: x-key, value: hunter2}",
        "enabled: hunter2",
    ] {
        let text = format!("adminToken: hunter2\nupstreams: [{{name: a, url: 'http://a/', {keys}}}]");
        let lines = problems(&text);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(!lines.concat().contains("hunter2"), "{lines:?}");
    }
    for text in [
        "adminToken: [hunter2\nx: y",
        "adminToken: {env: A, env: hunter2}",
        "hunter2",
    ] {
        let lines = problems(text);
        assert!(!lines.is_empty() && !lines.concat().contains("hunter2"), "{lines:?}");
    }
}

#[test]
fn gateway_keys_are_checked_for_meaning() {
    let table: [(&str, &[&str]); 21] = [
        (
            "listen: localhost:1",
            &["listen: not an address: write IP:port, such as 127.0.0.1:8001"],
        ),
        (
            "admin: 127.0.0.1:8001",
            &["admin: 127.0.0.1:8001 is taken by listen (127.0.0.1:8001): choose another port"],
        ),
        (
            "admin: 0.0.0.0:9",
            &["adminToken: is required where admin is not a loopback address"],
        ),
        ("path: mcp", &["path: must begin with /"]),
        (
            "path: /.well-known/mcp",
            &["path: /.well-known is kept for OAuth metadata"],
        ),
        (
            "publicUrl: mcp.example.com",
            &["publicUrl: not a URL: relative URL without a base"],
        ),
        (
            "publicUrl: 'https://a/?x'",
            &["publicUrl: must not have a query (?...)"],
        ),
        (
            "hosts: ['https://a']",
            &["hosts[0]: write the host alone, without scheme or path"],
        ),
        ("hosts: a", &["hosts: expected a sequence, found string"]),
        (
            "origins: [a, '*']",
            &[
                "origins[0]: not an origin: write scheme://host or scheme://host:port and nothing behind it",
                "origins[1]: any origin is not supported: name each one",
            ],
        ),
        ("limits: {streams: 0}", &["limits.streams: must be above 0"]),
        (
            "limits: {streams: -1}",
            &["limits.streams: expected a whole number, found integer"],
        ),
        (
            "limits: {body: 4MB}",
            &["limits.body: \"4MB\" is not a size: write it such as 100KiB, 4MiB or a number of bytes"],
        ),
        (
            "limits: {bodies: 1MiB}",
            &["limits.bodies: is less than limits.body: no body of that size could ever be held"],
        ),
        ("lists: {refresh: 0s}", &["lists.refresh: must be above 0"]),
        (
            "envoy: {admin: '0.0.0.0:9'}",
            &["envoy.admin: must be a loopback address or a socket: Envoy asks nobody for a password there"],
        ),
        (
            "envoy: {accessLog: [a]}",
            &["envoy.accessLog: expected true, false or a file"],
        ),
        (
            "envoy: {routes: [mcp/public, public]}",
            &["envoy.routes[1]: must be an HTTPRoute as namespace/name"],
        ),
        (
            "audit: loud",
            &["audit: expected false or { file: PATH, arguments: none, hash or full }"],
        ),
        (
            "session: {keys: [abc]}",
            &["session.keys[0]: expected { env: NAME } or { file: PATH }, not the secret itself"],
        ),
        (
            "tls: {cert: {file: ''}, key: {file: k}}",
            &["tls.cert.file: must not be empty"],
        ),
    ];
    for (text, expected) in table {
        assert_problems(&format!("{text}{ONE}"), expected);
    }
}

// === of a processor whose endpoints are assigned ===

#[test]
fn settings_need_no_upstreams_and_keep_the_defaults() {
    let settings = parse_settings("limits: {streams: 7}", Path::new("/etc"), Path::new("/state")).expect("valid");
    assert_eq!(settings.limits.streams, 7);
    assert_eq!(settings.lists, mk_config(MINIMAL).lists);
    assert!(settings.upstreams.is_empty());
}

#[test]
fn settings_say_nothing_that_is_assigned() {
    let text = "path: /other\nhosts: [a.example]\nsession: {keys: [{env: KEY}]}";
    let text = format!("{text}{ONE}");
    let problems = parse_settings(&text, Path::new("/etc"), Path::new("/state")).expect_err("none of it is");
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = ["path", "hosts", "upstreams", "session.keys"].map(|key| format!("{key}: comes from the registry"));
    assert_eq!(lines, expected);
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
