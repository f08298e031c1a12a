//! Gateways that tests share which only read: one of each wiring, for as long as this test process lives.

use super::gateway::{Gateway, Setup, Wiring};
use super::program::Program;
use super::puppet::Puppet;
use crate::e2e::tools;
use std::process::Command;
use tokio::sync::OnceCell;

/// A gateway and what stands behind it.
pub(crate) struct Shared {
    pub(crate) gateway: Gateway,
    /// `puppet_echo`, `puppet_other`: legacy, with sessions.
    pub(crate) puppet: Puppet,
    /// `fixture_...`: both eras, prompts and resources too.
    pub(crate) fixture: Program,
}

/// The shared gateway of this wiring.
pub(crate) async fn shared(wiring: Wiring) -> &'static Shared {
    static FULL_DUPLEX: OnceCell<Shared> = OnceCell::const_new();
    static BUFFERED: OnceCell<Shared> = OnceCell::const_new();
    let cell = match wiring {
        Wiring::FullDuplex => &FULL_DUPLEX,
        Wiring::Buffered => &BUFFERED,
    };
    cell.get_or_init(|| start(wiring)).await
}

async fn start(wiring: Wiring) -> Shared {
    let puppet = Puppet::start(&["echo", "other"]).await;
    let mut fixture = Program::lifelong(&Command::new(tools::example("upstream")));
    let url = fixture.says("listening ").await;
    let setup = Setup::new()
        .puppet("puppet", &puppet)
        .upstream("fixture", &url)
        .upstream_with("idle", "http://127.0.0.1:9/mcp", "enabled: false")
        .with("hosts: [mcp.example.com]\norigins: ['https://app.example.com']")
        .lifelong();
    Shared {
        gateway: setup.start(wiring).await,
        puppet,
        fixture,
    }
}

/// One test per wiring for each function.
macro_rules! on_both_wirings {
    ($(async fn $name:ident($shared:ident) $body:block)*) => {
        $(mod $name {
            #[allow(unused_imports, reason = "each takes what it needs")]
            use super::*;

            async fn run($shared: &'static crate::e2e::harness::shared::Shared) $body

            #[tokio::test]
            async fn full_duplex() {
                use crate::e2e::harness::{gateway::Wiring, shared::shared};
                run(shared(Wiring::FullDuplex).await).await;
            }

            #[tokio::test]
            async fn buffered() {
                use crate::e2e::harness::{gateway::Wiring, shared::shared};
                run(shared(Wiring::Buffered).await).await;
            }
        })*
    };
}
pub(crate) use on_both_wirings;
