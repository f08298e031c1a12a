//! `controller`: the Kubernetes controller, with the registry that its processors follow.
//!
//! ```text
//! edge/kube (controller) -- orders --> edge/registry ~~> processors
//!                        <-- told ----
//! ```

use super::options::ControllerOptions;
use super::{Signals, Tasks};
use crate::edge::kube::controller::{self, Health, Identity, Order, Ports, Settings, service_names};
use crate::edge::kube::index;
use crate::edge::kube::plan::Place;
use crate::edge::{admin, registry};
use anyhow::Context;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

/// What is told of processors, as the registry tells it.
type Heard = mpsc::UnboundedReceiver<(Arc<str>, crate::engine::assignment::Told)>;

/// Runs until it is told to end.
pub(super) async fn run(options: ControllerOptions) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let config = kube::Config::infer()
        .await
        .context("no cluster: neither a service account nor a kubeconfig ($KUBECONFIG) is there")?;
    let settings = settings(&options, &config.default_namespace);
    let client = kube::Client::try_from(config).context("the API server's address or credentials are of no use")?;
    let listener = bind(options.listen, "--listen").await?;
    let admin = bind(options.admin, "--admin").await?;
    info!(
        namespace = %settings.namespace,
        identity = %settings.identity,
        registry = %listener.local_addr()?,
        admin = %admin.local_addr()?,
        "Controller starts."
    );
    let mut tasks = Tasks::default();
    start(&mut tasks, client, settings, listener, admin);
    let outcome = tokio::select! {
        () = signals.asked() => Ok(()),
        lost = tasks.lost() => Err(lost),
    };
    let ended = super::end(tasks, &mut signals).await;
    outcome.and(ended)
}

async fn bind(address: std::net::SocketAddr, option: &'static str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{option}: cannot listen on {address}"))
}

fn settings(options: &ControllerOptions, default_namespace: &str) -> Settings {
    let namespace = options
        .namespace
        .clone()
        .unwrap_or_else(|| default_namespace.to_owned());
    Settings {
        identity: options.identity.clone().unwrap_or_else(unique),
        names: service_names(&options.service, &namespace),
        processor_namespace: options.processor_namespace.clone(),
        watched: options.watched.clone(),
        index: index::Settings {
            sees_cluster: options.watched.is_empty(),
            probes: true,
            ..index::Settings::default()
        },
        namespace,
    }
}

/// A name for a replica that was not told its own.
fn unique() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{:016x}", host.trim(), rand::random::<u64>())
}

fn start(tasks: &mut Tasks, client: kube::Client, settings: Settings, listener: TcpListener, admin: TcpListener) {
    let (registry, heard) = registry::Registry::new();
    let (orders, ordered) = mpsc::unbounded_channel();
    let (tell, told) = mpsc::unbounded_channel();
    let (shown, identity) = watch::channel(None);
    let ports = Ports {
        orders,
        told,
        identity: shown,
    };
    let health = Arc::new(Health::new());
    let stop = tasks.drain().clone();
    tasks.serve("controller", {
        let health = Arc::clone(&health);
        async move {
            controller::run(client, settings, ports, health, stop).await;
            Ok(())
        }
    });
    let stop = tasks.stop().clone();
    tasks.assist("registry", serve(listener, identity, registry.clone(), stop.clone()));
    tasks.assist("orders", async move {
        obey(ordered, registry).await;
        stop.cancelled_owned().await;
        Ok(())
    });
    let stop = tasks.stop().clone();
    tasks.assist("told", async move {
        stop.run_until_cancelled(pass(heard, tell)).await;
        Ok(())
    });
    let stop = tasks.stop().clone();
    let probes = admin::Probes {
        missing: Box::new({
            let health = Arc::clone(&health);
            move || health.missing()
        }),
        metrics: Box::new(move || health.metrics()),
    };
    tasks.assist("admin", async move {
        Ok(admin::run_probes(admin, probes, stop.cancelled_owned()).await?)
    });
}

/// Serves processors as soon as there is something to show to them.
async fn serve(
    listener: TcpListener,
    mut identity: watch::Receiver<Option<Identity>>,
    registry: registry::Registry,
    stop: tokio_util::sync::CancellationToken,
) -> anyhow::Result<()> {
    let Some(Ok(_)) = stop.run_until_cancelled(identity.wait_for(Option::is_some)).await else {
        stop.cancelled().await;
        return Ok(());
    };
    let first = identity.borrow_and_update().clone().context("an identity was there")?;
    let (show, shown) = watch::channel(converted(first));
    let follow = async {
        while identity.changed().await.is_ok() {
            if let Some(next) = identity.borrow_and_update().clone() {
                show.send_replace(converted(next));
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        served = registry::serve(listener, shown, registry, stop.clone()) => Ok(served?),
        () = follow => Ok(()),
    }
}

fn converted(identity: Identity) -> registry::Identity {
    registry::Identity {
        ca: identity.ca,
        certificate: identity.certificate,
        key: identity.key,
    }
}

/// Does what the controller orders, until it has ended.
async fn obey(mut orders: mpsc::UnboundedReceiver<Order>, registry: registry::Registry) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Assign(gateway, assignment) => match registry.assign(&name(&gateway), assignment) {
                Ok(version) => info!(%gateway, version, "A Gateway's processors are assigned something new."),
                Err(error) => warn!(%gateway, %error, "An assignment cannot be told to processors."),
            },
            Order::Withdraw(gateway) => {
                info!(%gateway, "A Gateway is no longer served.");
                registry.withdraw(&name(&gateway));
            }
            Order::Lead => registry.lead(),
            Order::Rest => registry.rest(),
        }
    }
}

/// Passes on what processors tell.
async fn pass(mut heard: Heard, tell: mpsc::UnboundedSender<(Place, crate::engine::assignment::Told)>) {
    while let Some((gateway, told)) = heard.recv().await {
        let Some((namespace, name)) = gateway.split_once('/') else {
            continue;
        };
        let place = Place {
            namespace: namespace.into(),
            name: name.into(),
        };
        if tell.send((place, told)).is_err() {
            return;
        }
    }
}

fn name(gateway: &Place) -> String {
    format!("{}/{}", gateway.namespace, gateway.name)
}
