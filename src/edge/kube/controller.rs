//! The only part of this room that waits: it watches a cluster, hands what it sees to the index, and does what the index
//! wants: assignments to processors (through [`Ports`]), generated objects, statuses, events, certificates.
//!
//! ```text
//! run -+- lease      who leads                  (every replica)
//!      +- identity   authority, own certificate (every replica)
//!      `- lead       everything else            (the leader)
//! ```
//! While the API server is away the leader goes on telling processors what it knows and writes nothing; when it is back,
//! watches go on and whatever vanished meanwhile is noticed. A replica that loses the Lease forgets everything.

mod authority;
mod certifier;
mod clerk;
mod crew;
mod health;
mod identity;
mod inventory;
mod keyring;
mod lead;
mod lease;
mod maps;
mod names;
mod probe;
mod prober;
mod reconciler;
mod settings;
mod shared;
mod sources;
mod vault;
mod watch;
mod workshop;

pub use health::Health;
pub use identity::Identity;
pub use lease::NAME as LEASE;
pub use settings::{Settings, service_names};
pub use vault::AUTHORITY as AUTHORITY_SECRET;

use crate::edge::kube::plan::Place;
use crate::engine::assignment::{Assignment, Told};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use lead::Lead;
use lease::Standing;
use shared::Shared;
use std::sync::Arc;
use tokio::sync::{mpsc, watch as cell};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vault::Vault;

/// How a controller is joined with the registry that serves processors.
#[derive(Debug)]
pub struct Ports {
    /// What the registry is to do.
    pub orders: mpsc::UnboundedSender<Order>,
    /// What processors tell, with their Gateway.
    pub told: mpsc::UnboundedReceiver<(Place, Told)>,
    /// What the registry shows to processors, as soon as there is one.
    pub identity: cell::Sender<Option<Identity>>,
}

/// What the registry is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// The processors of a Gateway serve this from now on.
    Assign(Place, Arc<Assignment>),
    /// ... nothing any more.
    Withdraw(Place),
    /// This controller leads, and everything that is known has been assigned.
    Lead,
    /// Another one leads.
    Rest,
}

/// Runs until `stop`; gives up the Lease then.
pub async fn run(client: Client, settings: Settings, mut ports: Ports, health: Arc<Health>, stop: CancellationToken) {
    let vault = Vault {
        client: client.clone(),
        namespace: settings.namespace.clone(),
    };
    let leases: Api<Lease> = Api::namespaced(client.clone(), &settings.namespace);
    let mut standing = health.standing();
    let mut tasks = JoinSet::new();
    tasks.spawn(lease::run(
        leases,
        settings.identity.clone(),
        Arc::clone(&health),
        stop.clone(),
    ));
    let (known, authority) = cell::channel(None);
    let certificates = tasks.spawn(identity::keep(
        vault.clone(),
        settings.names.clone(),
        known,
        ports.identity.clone(),
    ));
    while chosen(&mut standing, &stop).await {
        let shared = Shared::new(client.clone(), settings.namespace.clone(), Arc::clone(&health));
        let lead = Lead::new(&settings, &mut ports, shared, vault.clone(), authority.clone(), &health);
        tokio::select! {
            () = lead.run() => {}
            _ = standing.wait_for(|now| *now == Standing::Following) => {}
            () = stop.cancelled() => {}
        }
        health.forget();
        // Whoever does not listen is about to end.
        let _ = ports.orders.send(Order::Rest);
    }
    certificates.abort();
    while tasks.join_next().await.is_some() {}
}

/// Waits until this controller leads. False: it was told to end.
async fn chosen(standing: &mut cell::Receiver<Standing>, stop: &CancellationToken) -> bool {
    let leads = standing.wait_for(|now| *now == Standing::Leading);
    matches!(stop.run_until_cancelled(leads).await, Some(Ok(_)))
}

/// An error of the API server in one line, in its own words.
fn said(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error
        && !status.message.is_empty()
    {
        return status.message.clone();
    }
    error.to_string()
}
