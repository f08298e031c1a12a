//! Where clients learn where tokens come from (RFC 9728).

use super::issuer::Issuer;
use super::{OWN, guarded};
use crate::e2e::harness::client::Request;
use crate::e2e::harness::gateway::{Setup, Wiring};
use crate::e2e::harness::puppet::Puppet;
use serde_json::json;

const ROOT: &str = "/.well-known/oauth-protected-resource";

#[tokio::test]
async fn the_document_stands_at_both_places_for_anybody() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    for wiring in [Wiring::FullDuplex, Wiring::Buffered] {
        let setup = guarded(&issuer, ", scopes: [mcp:tools]").puppet("up", &puppet);
        let gateway = setup.start(wiring).await;
        for path in [ROOT.to_owned(), format!("{ROOT}/mcp")] {
            let page = Request::bare("GET")
                .path(&path)
                .with("origin", "https://app.example.org");
            let page = page.send(gateway.address).await;
            assert_eq!(page.status, 200, "{page:?}");
            assert_eq!(page.media(), "application/json");
            assert_eq!(page.header("access-control-allow-origin"), Some("*"), "{page:?}");
            let expected = json!({"resource": OWN, "authorization_servers": [issuer.name()],
                "bearer_methods_supported": ["header"], "scopes_supported": ["mcp:tools"]});
            assert_eq!(page.message(), expected);
        }
        let preflight = Request::bare("OPTIONS")
            .path(ROOT)
            .with("origin", "https://app.example.org");
        let preflight = preflight
            .with("access-control-request-method", "GET")
            .send(gateway.address)
            .await;
        assert_eq!(preflight.status, 204, "{preflight:?}");
        assert_eq!(preflight.header("access-control-allow-headers"), Some("*"));
        for (verb, path, status) in [
            ("POST", ROOT, 405),
            ("GET", "/.well-known/oauth-protected-resource/other", 404),
            ("GET", "/.well-known/oauth-authorization-server", 404),
        ] {
            let response = Request::bare(verb).path(path).send(gateway.address).await;
            assert_eq!(response.status, status, "{verb} {path}: {response:?}");
        }
    }
}

#[tokio::test]
async fn who_asks_for_nothing_has_no_document() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    for path in [ROOT.to_owned(), format!("{ROOT}/mcp")] {
        let response = Request::bare("GET").path(&path).send(gateway.address).await;
        assert_eq!(response.status, 404, "{path}");
    }
}
