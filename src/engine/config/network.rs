//! Addresses, URLs, hosts and origins of the gateway itself: each a text that becomes a checked one, or a reason why not.

use std::net::SocketAddr;
use url::{Host, Url};

/// `IP:port`
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "not an address: write IP:port, such as 127.0.0.1:8001".to_owned())
}

/// Whether `text` is `host:port`.
pub(super) fn is_host_and_port(text: &str) -> bool {
    let url = Url::parse(&format!("tcp://{text}")).ok();
    url.is_some_and(|url| {
        let bare = url.username().is_empty() && url.password().is_none() && url.path().is_empty();
        url.has_host()
            && url.port().is_some_and(|port| port > 0)
            && bare
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

/// Whether one port number would be asked for twice.
pub(super) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_ip = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_ip
}

/// The MCP path. Only what Envoy's path normalization leaves as it is: the route must match what clients send.
pub(super) fn mcp_path(text: &str) -> Result<(), &'static str> {
    if !text.starts_with('/') {
        return Err("must begin with /");
    }
    if text == "/.well-known" || text.starts_with("/.well-known/") {
        return Err("/.well-known is kept for OAuth metadata");
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let dots = text.split('/').any(|segment| segment == "." || segment == "..");
    if dots || text.contains("//") || !text.bytes().all(plain) {
        return Err("only letters, digits and - . _ ~ between single slashes");
    }
    Ok(())
}

/// What every URL of the configuration must be: http or https, a host, no user, no fragment.
pub(super) fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !text.contains("://") {
        return Err("must begin with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not carry a user or password; use credential".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment (#...)".to_owned());
    }
    if url.port() == Some(0) {
        return Err("port 0 cannot be reached".to_owned());
    }
    Ok(url)
}

/// `publicUrl`
pub(super) fn public_url(text: &str) -> Result<(), String> {
    let url = http_url(text)?;
    if url.query().is_some() {
        Err("must not have a query (?...)".to_owned())
    } else {
        Ok(())
    }
}

/// A name or address that a Host header may carry: lower case, without port.
pub(super) fn host(text: &str) -> Result<String, &'static str> {
    if text.contains("://") || text.contains('/') {
        return Err("write the host alone, without scheme or path");
    }
    if text.contains('*') {
        return Err("wildcards are not supported: name each host");
    }
    let parsed = Host::parse(text).map_err(|_| "not a host: write a name or an address without port")?;
    Ok(parsed.to_string())
}

/// What a browser sends as Origin: scheme, host, port unless it is the scheme's own.
pub(super) fn origin(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "not an origin: write scheme://host or scheme://host:port and nothing behind it";
    if text == "*" {
        return Err("any origin is not supported: name each one");
    }
    let url = Url::parse(text.trim_end_matches('/')).map_err(|_| WRONG)?;
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if !bare || url.host_str().is_none_or(str::is_empty) || !url.username().is_empty() || url.password().is_some() {
        return Err(WRONG);
    }
    let origin = url.origin();
    // Schemes of editors and extensions are opaque to the URL standard; browsers send them as they stand.
    Ok(if origin.is_tuple() {
        origin.ascii_serialization()
    } else {
        url.as_str().trim_end_matches('/').to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_path_is_one_that_normalization_leaves_alone() {
        for good in ["/", "/mcp", "/a/b-c_d.e~f", "/mcp/"] {
            assert_eq!(mcp_path(good), Ok(()), "{good}");
        }
        for wrong in [
            "",
            "mcp",
            "/.well-known/x",
            "/a//b",
            "/a/../b",
            "/mc%70",
            "/mcp?x",
            "/a b",
            "/ä",
        ] {
            assert!(mcp_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_are_lower_case_and_bare() {
        assert_eq!(host("MCP.Example.COM").as_deref(), Ok("mcp.example.com"));
        assert_eq!(host("10.0.0.1").as_deref(), Ok("10.0.0.1"));
        assert_eq!(host("[::1]").as_deref(), Ok("[::1]"));
        for wrong in ["https://a.example", "a.example:8443", "a.example/mcp", "*.example", ""] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins_are_what_browsers_send() {
        assert_eq!(
            origin("https://App.example.com:443/").as_deref(),
            Ok("https://app.example.com")
        );
        assert_eq!(origin("http://a.example:8080").as_deref(), Ok("http://a.example:8080"));
        assert_eq!(origin("vscode-webview://abc").as_deref(), Ok("vscode-webview://abc"));
        for wrong in [
            "*",
            "null",
            "a.example",
            "https://a.example/path",
            "https://u@a.example",
            "file:///",
        ] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_port_of_every_address_is_a_port_of_each() {
        let at = |text: &str| address(text).expect("an address");
        assert!(collide(at("0.0.0.0:8001"), at("127.0.0.1:8001")));
        assert!(!collide(at("127.0.0.1:8001"), at("127.0.0.1:8002")));
        assert!(!collide(at("127.0.0.1:0"), at("127.0.0.1:0")), "any two free ports");
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in ".{0,40}") {
            let _ = (address(&text), mcp_path(&text), public_url(&text), host(&text));
            if let Ok(first) = origin(&text) {
                prop_assert_eq!(origin(&first), Ok(first.clone()));
            }
        }
    }
}
