//! Clients and upstream of the same era: the gateway is not noticed.

use super::{Eras, Fixture, Wire, assert_conforms, gateway};

/// What is not built yet.
const EXPECTED: &str = "tests/conformance/same-era.txt";

async fn behind_the_gateway(fixture: Fixture, more: &str, wire: Wire) {
    let (_upstream, url) = fixture.start(Eras::Both).await;
    let gateway = gateway(&url, more).await;
    assert_conforms(&gateway.url(), wire, fixture, EXPECTED).await;
}

/// One test per wire, so that they run at the same time.
macro_rules! on_every_wire {
    ($($name:ident: $fixture:expr, $more:expr;)*) => {
        $(mod $name {
            use super::{Fixture, Wire, behind_the_gateway};

            #[tokio::test]
            async fn at_2025_06_18() {
                behind_the_gateway($fixture, $more, Wire::June2025).await;
            }

            #[tokio::test]
            async fn at_2025_11_25() {
                behind_the_gateway($fixture, $more, Wire::November2025).await;
            }

            #[tokio::test]
            async fn at_2026_07_28() {
                behind_the_gateway($fixture, $more, Wire::July2026).await;
            }
        })*
    };
}

on_every_wire! {
    rmcp: Fixture::Rmcp, "";
    python: Fixture::Python, "";
}

/// The measure itself: our own fixture leaves nothing out on any wire.
#[tokio::test]
async fn our_own_fixture_alone_leaves_nothing_to_excuse() {
    for wire in [Wire::June2025, Wire::November2025, Wire::July2026] {
        let (_upstream, url) = Fixture::Rmcp.start(Eras::Both).await;
        super::assert_flawless(&url, wire).await;
    }
}
