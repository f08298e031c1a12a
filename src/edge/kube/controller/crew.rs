//! One reconciler per Gateway, and who is to be looked after. Gateways are told apart by the value of their label, because
//! what is left of one that is gone has nothing else.

use super::reconciler::{self, Denied, Wanted};
use super::shared::Shared;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// See the module. Its reconcilers end when it is dropped.
pub(super) struct Crew {
    shared: Arc<Shared>,
    denied: mpsc::UnboundedSender<Denied>,
    reconcilers: HashMap<Arc<str>, Reconciler>,
    tasks: JoinSet<()>,
}

struct Reconciler {
    wanted: watch::Sender<Wanted>,
    look: Arc<Notify>,
}

// === impl Crew ===

impl Crew {
    pub(super) fn new(shared: Arc<Shared>, denied: mpsc::UnboundedSender<Denied>) -> Self {
        Self {
            shared,
            denied,
            reconcilers: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// This is wanted for a Gateway from now on.
    pub(super) fn want(&mut self, gateway: &Arc<str>, wanted: Wanted) {
        if let Some(reconciler) = self.reconcilers.get(gateway) {
            reconciler.wanted.send_replace(wanted);
            return;
        }
        let (sender, receiver) = watch::channel(wanted);
        let look = Arc::new(Notify::new());
        let task = reconciler::keep(
            Arc::clone(&self.shared),
            Arc::clone(gateway),
            receiver,
            Arc::clone(&look),
            self.denied.clone(),
        );
        self.tasks.spawn(task);
        let reconciler = Reconciler { wanted: sender, look };
        self.reconcilers.insert(Arc::clone(gateway), reconciler);
    }

    /// Something of a Gateway's is not as it was left. False: nobody looks after it.
    pub(super) fn look(&mut self, gateway: &Arc<str>) -> bool {
        let reconciler = self.reconcilers.get(gateway);
        if let Some(reconciler) = reconciler {
            reconciler.look.notify_one();
        }
        reconciler.is_some()
    }

    /// Does something that ends by itself.
    pub(super) fn errand(&mut self, errand: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(errand);
    }
}
