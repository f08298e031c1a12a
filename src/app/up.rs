//! `up`: the whole gateway on one machine, with Envoy as its child.

use super::clusters::Clusters;
use super::options::UpOptions;
use super::status::Board;
use super::{GRACE, Gateway, ServedFrom, Signals, Tasks, endpoints, folder, idle};
use crate::edge::envoy::{self, Admin, CdsFile, ChildOptions, RenderOptions};
use crate::edge::extproc;
use crate::edge::identity::Keysets;
use crate::engine::config::Config;
use anyhow::Context;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tracing::info;

/// New connections are still served this long once the drain has begun.
const DRAIN: Duration = Duration::from_secs(1);

/// Runs until it is told to end.
pub(super) async fn run(options: UpOptions) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut config = options.source.load()?;
    idle::tell(&config);
    let binary = envoy::find(options.envoy.as_deref())?;
    folder::make(&config)?;
    settle_port(&mut config)?;
    let key = envoy::route_key(&config.state_dir).context("stateDir: route-key")?;
    let keys = folder::session_keys(&config)?;
    let keysets = Keysets::open(&config);
    let (files, callers) = folder::callers(&config, &keysets);
    let drafts = endpoints::of_file(&Arc::new(config.clone()), keys.clone(), &key, callers);
    let gateway = Gateway::build(config, drafts)?;
    let config = Arc::clone(&gateway.config);
    let socket = extproc::Listen::Unix {
        path: config.state_dir.join("ext-proc.sock"),
        mode: 0o600,
    };
    let listener = socket.bind().await.context("stateDir")?;
    let admin = gateway.bind_admin().await?;
    let admin_at = admin.local_addr()?;
    let (child, clusters) = prepare(&config, &key, binary)?;

    let board = Arc::clone(&gateway.board);
    let desk = Arc::clone(&gateway.desk);
    let health = gateway.health.clone();
    let mut tasks = Tasks::default();
    let from = ServedFrom::File {
        source: options.source,
        keys: Box::new(keys),
        route_key: key,
        files: Box::new(files),
        keysets,
        hangups: Signals::hangups()?,
        clusters: Some(clusters),
    };
    gateway.start(&mut tasks, vec![listener], admin, from)?;
    let envoy = tokio::select! {
        started = envoy::Envoy::start(child) => started.context("Envoy"),
        lost = tasks.lost() => Err(lost),
        () = signals.asked() => return super::end(tasks, &mut signals).await,
    };
    let envoy = match envoy {
        Ok(envoy) => envoy,
        Err(error) => {
            // What kept it from starting is the news, however the rest ends.
            let _ = super::end(tasks, &mut signals).await;
            return Err(error);
        }
    };
    let drained = tasks.drain().child_token();
    let leaving = drained.clone();
    let mut envoy = tokio::spawn(envoy.run(leaving.cancelled_owned()));
    let ready = async {
        board.ready().await;
        health.first_check().await;
        complain(&board);
        say(&format!(
            "ready {}  {}  status http://{admin_at}/",
            url(&config),
            counts(&board)
        ));
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        () = signals.asked() => Ok(()),
        lost = tasks.lost() => Err(lost),
        gone = &mut envoy => Err(gone.map_or_else(anyhow::Error::from, |()| anyhow::anyhow!("nobody looks after Envoy"))),
        () = ready => Ok(()),
    };
    info!("Draining.");
    // Envoy first: while it drains, its requests still need the processor.
    drained.cancel();
    desk.hub.drain();
    if !envoy.is_finished() {
        tokio::select! {
            _ = &mut envoy => {}
            () = signals.asked() => envoy.abort(),
        }
    }
    let ended = super::end(tasks, &mut signals).await;
    outcome.and(ended)
}

/// Writes Envoy's files.
fn prepare(config: &Config, key: &str, binary: PathBuf) -> anyhow::Result<(ChildOptions, Arc<Clusters>)> {
    let file = CdsFile::new(&config.state_dir).context("stateDir: clusters")?;
    let mut render = RenderOptions::new(config, key.to_owned());
    render.clusters = envoy::Clusters::File(file.path().to_owned());
    let bootstrap = config.state_dir.join("envoy.yaml");
    envoy::write_private(&bootstrap, &envoy::render(config, &render)?).context("stateDir: envoy.yaml")?;
    let admin = Admin::new(render.admin);
    let clusters = Clusters::new(file, admin.clone(), config)?;
    let options = ChildOptions {
        binary,
        bootstrap,
        listen: config.listen,
        admin,
        concurrency: config.envoy.concurrency,
        drain: DRAIN,
        grace: GRACE,
    };
    Ok((options, clusters))
}

/// Below those that the kernel hands to connections by itself, on Linux from 32768 on.
const QUIET_PORTS: std::ops::Range<u16> = 20_000..32_768;

/// A taken port is found out before anything is started. Port 0 becomes a free one, which Envoy takes a moment later; it
/// is one that no connection gets meanwhile.
fn settle_port(config: &mut Config) -> anyhow::Result<()> {
    let wanted = config.listen;
    let free = |address: SocketAddr| TcpListener::bind(address).and_then(|listener| listener.local_addr());
    let quiet = (wanted.port() == 0).then(|| {
        let ports = std::iter::repeat_with(|| rand::random_range(QUIET_PORTS)).take(32);
        ports
            .map(|port| free(SocketAddr::new(wanted.ip(), port)))
            .find_map(Result::ok)
    });
    let bound = quiet.flatten().map_or_else(|| free(wanted), Ok);
    config.listen = bound.with_context(|| format!("listen: cannot listen on {wanted}"))?;
    if wanted.port() == 0 {
        config.public_url = config
            .public_url
            .replacen(":0/", &format!(":{}/", config.listen.port()), 1);
    }
    Ok(())
}

fn url(config: &Config) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let merges = config.upstreams.iter().any(|upstream| upstream.merge);
    let path = match config.transparent.first() {
        Some(first) if !merges => &first.path,
        Some(_) | None => &config.path,
    };
    format!("{scheme}://{}{path}", config.listen)
}

/// Upstreams that are complained about; status tells of all.
const COMPLAINTS: usize = 50;

/// `2/3 upstreams  41 tools`
pub(super) fn counts(board: &Board) -> String {
    let status = board.status(0);
    let enabled = status.upstreams.iter().filter(|upstream| upstream.enabled).count();
    let ready = status.upstreams.iter().filter(|upstream| upstream.ready).count();
    let tools: usize = status.upstreams.iter().map(|upstream| upstream.tools).sum();
    format!("{ready}/{enabled} upstreams  {tools} tools")
}

/// One line on standard error for each upstream that is not ready: name, URL, reason, next step; of many the first ones.
pub(super) fn complain(board: &Board) {
    let mut upstreams = board.status(0).upstreams;
    upstreams.retain(|upstream| upstream.enabled && !upstream.ready);
    let more = upstreams.len().saturating_sub(COMPLAINTS);
    upstreams.truncate(COMPLAINTS);
    if more > 0 {
        eprintln!("{more} more upstreams than these are not ready:");
    }
    for upstream in &upstreams {
        let error = upstream
            .last_error
            .as_deref()
            .unwrap_or("no answer yet; it is tried again by itself");
        eprintln!(
            "upstream {}  {}  {}: {error}",
            upstream.name,
            upstream.url,
            upstream.reason.as_str()
        );
    }
}

/// The ready line is for programs: standard output has nothing else.
pub(super) fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    // Nobody reading is no failure.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
