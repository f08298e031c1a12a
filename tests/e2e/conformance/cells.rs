//! Clients of one era before an upstream that speaks only the other one, or only the old transport.
//!
//! The measure is the fixture of both eras, alone on the client's wire: all that succeeds there must succeed through
//! the translation, or the file of the cell names the clause that makes it impossible.

use super::{Eras, Fixture, Wire, assert_conforms, gateway};

async fn translated(fixture: Fixture, eras: Eras, wire: Wire, expected: &'static str) {
    let (_upstream, url) = fixture.start(eras).await;
    let more = if eras == Eras::Old { "protocol: sse" } else { "" };
    let gateway = gateway(&url, more).await;
    assert_conforms(&gateway.url(), wire, fixture, expected).await;
}

mod a_modern_client_before_a_legacy_upstream {
    use super::{Eras, Fixture, Wire, translated};

    const EXPECTED: &str = "tests/conformance/modern-client-legacy-upstream.txt";

    #[tokio::test]
    async fn on_rmcp() {
        translated(Fixture::Rmcp, Eras::Legacy, Wire::July2026, EXPECTED).await;
    }

    #[tokio::test]
    async fn on_python() {
        translated(Fixture::Python, Eras::Legacy, Wire::July2026, EXPECTED).await;
    }
}

mod a_legacy_client_before_a_modern_upstream {
    use super::{Eras, Fixture, Wire, translated};

    const EXPECTED: &str = "tests/conformance/legacy-client-modern-upstream.txt";

    #[tokio::test]
    async fn on_rmcp_at_2025_06_18() {
        translated(Fixture::Rmcp, Eras::Modern, Wire::June2025, EXPECTED).await;
    }

    #[tokio::test]
    async fn on_rmcp_at_2025_11_25() {
        translated(Fixture::Rmcp, Eras::Modern, Wire::November2025, EXPECTED).await;
    }

    #[tokio::test]
    async fn on_python_at_2025_06_18() {
        translated(Fixture::Python, Eras::Modern, Wire::June2025, EXPECTED).await;
    }

    #[tokio::test]
    async fn on_python_at_2025_11_25() {
        translated(Fixture::Python, Eras::Modern, Wire::November2025, EXPECTED).await;
    }
}

mod before_an_upstream_over_http_sse {
    use super::{Eras, Fixture, Wire, translated};

    const EXPECTED: &str = "tests/conformance/http-sse-upstream.txt";

    #[tokio::test]
    async fn at_2025_06_18() {
        translated(Fixture::Python, Eras::Old, Wire::June2025, EXPECTED).await;
    }

    #[tokio::test]
    async fn at_2025_11_25() {
        translated(Fixture::Python, Eras::Old, Wire::November2025, EXPECTED).await;
    }

    #[tokio::test]
    async fn at_2026_07_28() {
        translated(Fixture::Python, Eras::Old, Wire::July2026, EXPECTED).await;
    }
}
