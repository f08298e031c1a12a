//! Builds every part from the configuration, wires them, owns the task list and the drain.
//!
//! ```text
//! discovery tasks -> reports ------> publisher -> writer -> snapshot cell -> exchanges (ext_proc runtimes)
//! file, secrets   -> follow_file ------>  |                 board -> admin port, ready line
//! registry        -> follow_registry -->  `-> roster -> discovery tasks, targets of calls
//! ```
//! `follow_file` also leads Envoy's clusters (`up`). What is served comes from a file or from a registry, never from both; a
//! registry hears how upstreams are (`report`).
//!
//! The main thread runs one single-threaded runtime with everything that is not an exchange; `edge/extproc` starts a
//! thread with a runtime of its own for each share of the exchanges.

mod admin_port;
mod clusters;
mod controller;
mod desk;
mod drain;
mod endpoints;
mod explain;
mod folder;
mod follow_file;
mod follow_registry;
mod idle;
mod news;
pub mod options;
mod publisher;
mod report;
mod roster;
mod serve;
mod served_from;
mod status;
mod sweep;
mod tasks;
mod up;
mod watch;
mod writer;

use crate::edge::delegation::Delegations;
use crate::edge::extproc::{Budget, Gate, Health, Listener, Processor, Server};
use crate::edge::http::Targets;
use crate::edge::identity::Passwords;
use crate::edge::relay::{Outliving, ParkingLot, Relay};
use crate::edge::store::{MemoryStore, Principals};
use crate::edge::telemetry::{AuditLog, Exporter, Metrics, Telemetry, otlp};
use crate::edge::throttle::{Places, Throttle};
use crate::edge::upstream::{Allowance, Binder, Notices, Shelf};
use crate::edge::{admin, envoy, secrets};
use crate::engine::config::{Confidential, Config};
use crate::engine::policy::{Explained, Question};
use crate::engine::session::SessionStore;
use admin_port::AdminPort;
use anyhow::Context;
use arc_swap::ArcSwap;
use desk::{Desk, Room};
use endpoints::Draft;
use options::{ControllerOptions, DrainOptions, ServeOptions, UpOptions};
use publisher::Publisher;
use roster::Roster;
use served_from::ServedFrom;
use status::Board;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tasks::Tasks;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use writer::Writer;

/// Running exchanges get this long once the drain has begun.
const GRACE: Duration = Duration::from_secs(20);

/// Runs the whole gateway on one machine until it is told to end.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn up(options: UpOptions) -> anyhow::Result<()> {
    runtime()?.block_on(up::run(options))
}

/// Runs the processor alone until it is told to end.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn serve(options: ServeOptions) -> anyhow::Result<()> {
    runtime()?.block_on(serve::run(options))
}

/// Tells a processor that serves that the Envoy beside it is about to end.
///
/// # Errors
/// No processor has heard it.
pub fn drain(options: DrainOptions) -> anyhow::Result<()> {
    drain::say(options)
}

/// Runs the Kubernetes controller until it is told to end.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn controller(options: ControllerOptions) -> anyhow::Result<()> {
    runtime()?.block_on(controller::run(options))
}

/// Says which rule of a configuration decides, without a running gateway; `annotations` (JSON) are those of a tool that was
/// never listed.
///
/// # Errors
/// The question makes no sense, or names a tool of which nothing is known.
pub fn explain(config: Config, question: &Question, annotations: Option<&str>) -> anyhow::Result<Explained> {
    let _entered = runtime()?;
    explain::offline(config, question, annotations).map_err(anyhow::Error::msg)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // The one provider of cryptography in the tree; a second call would be a mistake of ours, not of the user.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")
}

/// The parts that `up` and `serve` share, built and not running yet.
struct Gateway {
    config: Arc<Config>,
    desk: Arc<Desk>,
    board: Arc<Board>,
    writer: Writer,
    targets: Arc<Targets>,
    notices: Notices,
    shelf: Shelf,
    health: Health,
    exporter: Option<Exporter>,
}

impl Gateway {
    /// Builds the parts, with these endpoints to begin with. Nothing is contacted, nothing listens yet.
    fn build(config: Config, drafts: Vec<Draft>) -> anyhow::Result<Self> {
        let config = Arc::new(config);
        let shelf = Shelf::new(config.state_dir.join("catalogs"));
        let store = MemoryStore::open(config.state_dir.clone(), config.limits.sessions, desk::now())
            .context("the session journal cannot be opened")?;
        let metrics = Metrics::new();
        let durations = metrics.session_durations();
        let store = Arc::new(store.told_to(move |past| durations.observe(past)));
        let board = Arc::new(Board::new(config.lists.first));
        let kept = folder::catalogs(&shelf, &drafts);
        let writer = Writer::new(drafts, &kept, Arc::clone(&board));
        let targets = Arc::new(Targets::default());
        let sessions: Arc<dyn SessionStore> = Arc::clone(&store) as _;
        let (binder, notices) = Binder::new(Arc::clone(&targets), sessions, Handle::current());
        let bodies = Arc::new(Budget::new(config.limits.bodies));
        let hub = binder.hub(writer.cell(), Arc::clone(&bodies) as _, Allowance::of(&config.lists));
        let throttle = Throttle::default();
        throttle
            .follow(&config.rate_limits, config.rate_limit_service.as_ref())
            .context("rateLimitService.address")?;
        let audit = AuditLog::start(&config.audit.to).context("audit: the file cannot be opened")?;
        let (telemetry, exporter) = match &config.telemetry {
            None => (Telemetry::new(audit, metrics), None),
            Some(wanted) => {
                let roots = envoy::system_roots();
                let (spans, exporter) = otlp::open(wanted, roots.as_deref()).context("telemetry.otlp")?;
                (Telemetry::new(audit, metrics).tracing(spans), Some(exporter))
            }
        };
        let desk = Desk {
            cell: writer.cell(),
            store,
            views: hub.views(),
            hub,
            binder: Arc::new(binder),
            relay: Relay::new(Arc::clone(&targets)),
            mailbox: Arc::default(),
            outliving: Outliving::new(Handle::current()),
            parked: ParkingLot::default(),
            gate: Arc::new(Gate::new(config.limits.streams)),
            bodies,
            replay: Budget::new(config.limits.replay),
            passwords: Passwords::new(Handle::current()),
            delegations: Delegations::new(
                Handle::current(),
                Arc::new(|secret| {
                    let value = secrets::resolve(secret).ok()?;
                    Some(Confidential(value.into()))
                }),
            ),
            principals: Principals::default(),
            room: ArcSwap::from_pointee(Room {
                sessions: config.limits.sessions_per_principal,
                idle: config.session.idle,
            }),
            throttle,
            places: Places::default(),
            telemetry: Arc::new(telemetry),
        };
        Ok(Self {
            config,
            desk: Arc::new(desk),
            board,
            writer,
            targets,
            notices,
            shelf,
            health: Health::default(),
            exporter,
        })
    }

    /// Binds the admin port.
    async fn bind_admin(&self) -> anyhow::Result<TcpListener> {
        let address = self.config.admin;
        TcpListener::bind(address)
            .await
            .with_context(|| format!("admin: cannot listen on {address}"))
    }

    /// Starts everything but Envoy. Tasks end when `tasks` stops them.
    fn start(
        self,
        tasks: &mut Tasks,
        listeners: Vec<Listener>,
        admin: TcpListener,
        from: ServedFrom,
    ) -> anyhow::Result<()> {
        let token = self
            .config
            .admin_token
            .as_ref()
            .map(secrets::resolve)
            .transpose()
            .context("adminToken")?;
        let config = Arc::new(ArcSwap::new(Arc::clone(&self.config)));
        let admin_port = AdminPort {
            board: Arc::clone(&self.board),
            desk: Arc::clone(&self.desk),
            shelf: self.shelf.clone(),
            envoy: from.has_envoy().then(|| self.health.clone()),
        };
        let (reported, reports) = mpsc::unbounded_channel();
        let durations = self.desk.telemetry.metrics().session_durations();
        let publisher = Publisher {
            writer: self.writer,
            roster: Roster::new(
                self.targets,
                Arc::clone(&self.board),
                reported,
                tasks.stop().child_token(),
                self.shelf.clone(),
                self.desk.hub.hearsay(),
                from.pulse(),
                Arc::new(self.desk.delegations.clone()),
                Arc::new(move |upstream, past| durations.observe_at(upstream, past)),
                &self.config,
            ),
            board: self.board,
            desk: Arc::clone(&self.desk),
            reports,
            pause: tokio::time::Instant::now(),
        };
        let server = Server {
            listeners,
            runtimes: runtimes(self.config.envoy.concurrency),
            grace: GRACE,
            health: self.health,
        };
        let processor = Processor::new(Arc::clone(&self.desk));
        let (drained, outliving) = (tasks.drain().clone(), self.desk.outliving.clone());
        // Its runtimes carry the connections of the calls whose clients have left.
        let drained = async move {
            drained.cancelled_owned().await;
            outliving.ended(GRACE).await;
        };
        tasks.serve("ext_proc", async move { Ok(server.run(processor, drained).await?) });
        let admin_port = Arc::new(admin_port);
        if let Some(exporter) = self.exporter {
            let stopped = tasks.stop().clone();
            let scraped = Arc::clone(&admin_port);
            tasks.assist("telemetry", async move {
                exporter.run(|| admin::Gateway::metrics(&*scraped), stopped).await;
                Ok(())
            });
        }
        let stopped = tasks.stop().clone();
        tasks.assist("admin", async move {
            Ok(admin::run(admin, admin_port, token.as_deref(), stopped.cancelled_owned()).await?)
        });
        let stopped = tasks.stop().clone();
        let notices = self.notices;
        tasks.assist("notices", async move {
            notices.run(stopped).await;
            Ok(())
        });
        let stopped = tasks.stop().clone();
        tasks.assist("sweep", {
            let desk = Arc::clone(&self.desk);
            let config = Arc::clone(&config);
            async move {
                sweep::run(desk, config, stopped).await;
                Ok(())
            }
        });
        from.start(tasks, publisher, config, self.shelf);
        Ok(())
    }
}

/// One runtime per Envoy worker: Envoy opens one connection for each.
fn runtimes(concurrency: u32) -> NonZeroUsize {
    usize::try_from(concurrency)
        .ok()
        .and_then(NonZeroUsize::new)
        .unwrap_or(NonZeroUsize::MIN)
}

/// Requests to end: TERM, or Ctrl-C. Listened to from the beginning, so that none is lost between two waits. A hangup is
/// none: unheard it would end the process where it stands.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        // Once listened to, it never ends the process, whether or not there is a file to be read again.
        let _outlived = Self::hangups()?;
        // A file that may grow no further is a write that fails, as on a full disk, and no reason to die.
        let _outlived = listen(SignalKind::from_raw(libc::SIGXFSZ))?;
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Requests to read the configuration again: HUP.
    fn hangups() -> anyhow::Result<Signal> {
        signal(SignalKind::hangup()).context("cannot listen to signals")
    }

    /// Resolves when somebody asks this process to end, once for each time.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Ends all tasks; asked once more, it does not wait for them.
async fn end(tasks: Tasks, signals: &mut Signals) -> anyhow::Result<()> {
    tokio::select! {
        ended = tasks.end() => ended,
        () = signals.asked() => Err(anyhow::anyhow!("asked to end a second time: what was still running is cut")),
    }
}
