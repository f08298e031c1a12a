//! `serve`: the processor alone, beside an Envoy that somebody else runs; led by a file or by a registry.

use super::options::{Listen, RegistryOptions, ServeFrom, ServeOptions};
use super::tasks::Tasks;
use super::{GRACE, Gateway, ServedFrom, Signals, drain, endpoints, folder, idle, report};
use crate::edge::config_file::ConfigSource;
use crate::edge::envoy::route_key;
use crate::edge::extproc::{self, Gate, Listener};
use crate::edge::fallback;
use crate::edge::identity::Keysets;
use crate::edge::registry::Follower;
use crate::engine::config::{Confidential, Config, Secret};
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tracing::info;

/// How often a draining gate is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Assignments wait here while one comes into force.
const WAITING: usize = 4;

/// The admin port's token, where an operator wants to know it.
const ADMIN_TOKEN: &str = "MCP_MANIFOLD_ADMIN_TOKEN";

/// Runs until it is told to end.
pub(super) async fn run(options: ServeOptions) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut tasks = Tasks::default();
    let (gateway, from) = match options.from {
        ServeFrom::File(source) => from_file(source)?,
        ServeFrom::Registry(registry) => from_registry(*registry, &mut tasks)?,
    };
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
    let state_dir = gateway.config.state_dir.clone();
    gateway.start(&mut tasks, vec![listener], admin, from)?;
    info!(ext_proc = %shown, admin = %at, "Processor serves.");
    let outcome = tokio::select! {
        () = signals.asked() => Ok(()),
        lost = tasks.lost() => Err(lost),
        () = announce(&board, &shown, at) => unreachable!("it waits for ever"),
        () = drain::heed(&state_dir, &desk.hub) => unreachable!("it waits for ever"),
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

fn from_file(source: ConfigSource) -> anyhow::Result<(Gateway, ServedFrom)> {
    let config = source.load()?;
    idle::tell(&config);
    folder::make(&config)?;
    let route_key = route_key(&config.state_dir).context("stateDir: route-key")?;
    let keys = folder::session_keys(&config)?;
    let keysets = Keysets::open(&config);
    let (files, callers) = folder::callers(&config, &keysets);
    let drafts = endpoints::of_file(&Arc::new(config.clone()), keys.clone(), &route_key, callers);
    let gateway = Gateway::build(config, drafts)?;
    let from = ServedFrom::File {
        source,
        keys: Box::new(keys),
        route_key,
        files: Box::new(files),
        keysets,
        hangups: Signals::hangups()?,
        clusters: None,
    };
    Ok((gateway, from))
}

fn from_registry(registry: RegistryOptions, tasks: &mut Tasks) -> anyhow::Result<(Gateway, ServedFrom)> {
    let mut config = registry.settings.load_settings()?;
    config.admin = registry.admin.unwrap_or(config.admin);
    config.state_dir = match registry.state_dir {
        Some(folder) => std::path::absolute(folder).context("--state-dir")?,
        None => config.state_dir,
    };
    folder::make(&config)?;
    guard_admin(&mut config)?;
    let gateway = Gateway::build(config, Vec::new())?;
    let follower = Follower {
        url: registry.url.to_string(),
        certificates: registry.certs,
        gateway: registry.gateway.into(),
        processor: registry.name.into(),
        state: gateway.config.state_dir.join("assignment"),
    };
    let (out, assigned) = mpsc::channel(WAITING);
    let (status, heard) = watch::channel(Arc::default());
    let stop = tasks.stop().clone();
    tasks.assist("registry", async move {
        follower.run(out, heard, stop).await;
        Ok(())
    });
    let (board, stop) = (Arc::clone(&gateway.board), tasks.stop().clone());
    tasks.assist("report", async move {
        report::run(&board, status, stop).await;
        Ok(())
    });
    Ok((gateway, ServedFrom::Registry(assigned)))
}

/// An admin port that others can reach shows them health and readiness; the rest needs a token, even if nobody was given
/// one.
fn guard_admin(config: &mut Config) -> anyhow::Result<()> {
    if config.admin.ip().is_loopback() || config.admin_token.is_some() {
        return Ok(());
    }
    let token = match std::env::var_os(ADMIN_TOKEN).filter(|token| !token.is_empty()) {
        Some(_) => Secret::Env(ADMIN_TOKEN.to_owned()),
        None => Secret::Value(Confidential(folder::kept(&config.state_dir, "admin.token")?.into())),
    };
    config.admin_token = Some(token);
    Ok(())
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
