//! Mistakes in the keys of the gateway itself.

use super::*;

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
