//! Mistakes in `upstreams`, and in what their callers' credentials need.

use super::*;

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
