//! Mistakes of form: unknown keys, wrong types, what is no YAML, what is missing or not built.

use super::*;

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
    assert_upstream_problem(
        "protocol: sse, eras: modern",
        "eras: an HTTP+SSE server (protocol: sse) speaks no modern revision: take eras away, or protocol if it has a \
         Streamable HTTP endpoint",
    );
    assert_upstream_problem("via: nobody", "via: must be envoy or direct");
}
