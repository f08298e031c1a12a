//! `serve`: the processor alone, beside an Envoy that somebody else runs.

use super::options::{Listen, ServeOptions};
use super::tasks::Tasks;
use super::{GRACE, Gateway, Guide, Signals, endpoints, folder};
use crate::edge::config_file::ConfigSource;
use crate::edge::envoy::route_key;
use crate::edge::extproc::{self, Gate, Listener};
use crate::edge::fallback;
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tracing::info;

/// How often a draining gate is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Runs until it is told to end.
pub(super) async fn run(options: ServeOptions) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut tasks = Tasks::default();
    let (gateway, guide) = from_file(options.source)?;
    let listen = address(options.listen, &gateway.config.state_dir);
    let listener = listen.bind().await.context("--listen")?;
    if let Some(fallback) = options.fallback {
        refuse(fallback, &mut tasks).await?;
    }
    let admin = gateway.bind_admin().await?;
    let at = admin.local_addr()?;
    let shown = listener
        .port()
        .map_or_else(|| listen.to_string(), |port| format!("port {port}"));
    let board = Arc::clone(&gateway.board);
    let desk = Arc::clone(&gateway.desk);
    gateway.start(&mut tasks, vec![listener], admin, guide)?;
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

fn from_file(source: ConfigSource) -> anyhow::Result<(Gateway, Guide)> {
    let config = source.load()?;
    folder::make(&config)?;
    let route_key = route_key(&config.state_dir).context("stateDir: route-key")?;
    let keys = folder::session_keys(&config)?;
    let draft = endpoints::of_file(&Arc::new(config.clone()), keys.clone(), &route_key);
    let gateway = Gateway::build(config, vec![draft])?;
    let guide = Guide::File {
        source,
        keys,
        route_key,
        clusters: None,
    };
    Ok((gateway, guide))
}

/// Listens where requests come that were sent to no upstream.
async fn refuse(listen: Listen, tasks: &mut Tasks) -> anyhow::Result<()> {
    let listener = socket(listen).bind().await.context("--fallback")?;
    let drained = tasks.drain().clone();
    tasks.serve("fallback", async move {
        // The file goes with the task.
        let (socket, _file) = match listener {
            Listener::Unix(listener, file) => (fallback::Socket::Unix(listener), Some(file)),
            Listener::Tcp(listener) => (fallback::Socket::Tcp(listener), None),
        };
        Ok(fallback::run(socket, drained.cancelled_owned()).await?)
    });
    Ok(())
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
    socket(listen.unwrap_or_else(|| Listen::Unix(state_dir.join("ext-proc.sock"))))
}

/// Envoy may run as another user of the group.
fn socket(listen: Listen) -> extproc::Listen {
    match listen {
        Listen::Unix(path) => extproc::Listen::Unix { path, mode: 0o660 },
        Listen::Tcp(address) => extproc::Listen::Tcp(address),
    }
}
