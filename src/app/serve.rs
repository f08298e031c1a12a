//! `serve`: the processor alone, beside an Envoy that somebody else runs.

use super::options::{Listen, ServeOptions};
use super::{GRACE, Gateway, Signals, folder};
use crate::edge::envoy::route_key;
use crate::edge::extproc::{self, Gate};
use anyhow::Context;
use std::path::Path;
use std::time::Duration;
use tracing::info;

/// How often a draining gate is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Runs until it is told to end.
pub(super) async fn run(options: ServeOptions) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let config = options.source.load()?;
    folder::make(&config)?;
    let key = route_key(&config.state_dir).context("stateDir: route-key")?;
    let listen = address(options.listen, &config.state_dir);
    let gateway = Gateway::build(options.source, config, &key)?;
    let listener = listen.bind().await.context("--listen")?;
    let admin = gateway.bind_admin().await?;
    let at = admin.local_addr()?;
    let shown = listener
        .port()
        .map_or_else(|| listen.to_string(), |port| format!("port {port}"));
    let board = std::sync::Arc::clone(&gateway.board);
    let desk = std::sync::Arc::clone(&gateway.desk);
    let mut tasks = super::Tasks::default();
    gateway.start(&mut tasks, vec![listener], admin, None)?;
    info!(ext_proc = %shown, admin = %at, "Processor serves.");
    let outcome = tokio::select! {
        () = signals.asked() => Ok(()),
        lost = tasks.lost() => Err(lost),
        () = announce(&board, &shown, at) => unreachable!("it waits for ever"),
    };
    info!("Draining.");
    // Envoy stays: running exchanges finish, new ones hear that nobody serves them any more.
    desk.gate.drain();
    desk.hub.drain();
    tokio::select! {
        () = empty(&desk.gate) => {}
        () = tokio::time::sleep(GRACE) => {}
        () = signals.asked() => {}
    }
    let ended = super::end(tasks, &mut signals).await;
    outcome.and(ended)
}

/// Waits until no exchange is under way.
async fn empty(gate: &Gate) {
    while gate.open() > 0 {
        tokio::time::sleep(LOOK).await;
    }
}

/// One line on standard output once every upstream was listed or failed.
async fn announce(board: &super::Board, shown: &str, admin: std::net::SocketAddr) {
    board.ready().await;
    super::up::complain(board);
    super::up::say(&format!(
        "ready ext_proc {shown}  {}  status http://{admin}/",
        super::up::counts(board)
    ));
    std::future::pending().await
}

/// The default stands in the state folder; `render envoy` points there too.
fn address(listen: Option<Listen>, state_dir: &Path) -> extproc::Listen {
    match listen {
        Some(Listen::Unix(path)) => extproc::Listen::Unix { path, mode: 0o660 },
        Some(Listen::Tcp(address)) => extproc::Listen::Tcp(address),
        None => extproc::Listen::Unix {
            path: state_dir.join("ext-proc.sock"),
            mode: 0o660,
        },
    }
}
