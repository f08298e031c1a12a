//! One keeper per Gateway, and who is to be looked after. Gateways are told apart by the value of their label, because
//! what is left of one that is gone has nothing else.

use super::keeper::{self, Denied, Wanted};
use super::shared::Shared;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// See the module. Its keepers end when it is dropped.
pub(super) struct Crew {
    shared: Arc<Shared>,
    denied: mpsc::UnboundedSender<Denied>,
    keepers: HashMap<Arc<str>, Keeper>,
    tasks: JoinSet<()>,
}

struct Keeper {
    wanted: watch::Sender<Wanted>,
    look: Arc<Notify>,
}

// === impl Crew ===

impl Crew {
    pub(super) fn new(shared: Arc<Shared>, denied: mpsc::UnboundedSender<Denied>) -> Self {
        Self {
            shared,
            denied,
            keepers: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// This is wanted for a Gateway from now on.
    pub(super) fn want(&mut self, gateway: &Arc<str>, wanted: Wanted) {
        if let Some(keeper) = self.keepers.get(gateway) {
            keeper.wanted.send_replace(wanted);
            return;
        }
        let (sender, receiver) = watch::channel(wanted);
        let look = Arc::new(Notify::new());
        let task = keeper::keep(
            Arc::clone(&self.shared),
            Arc::clone(gateway),
            receiver,
            Arc::clone(&look),
            self.denied.clone(),
        );
        self.tasks.spawn(task);
        let keeper = Keeper { wanted: sender, look };
        self.keepers.insert(Arc::clone(gateway), keeper);
    }

    /// Something of a Gateway's is not as it was left. False: nobody looks after it.
    pub(super) fn look(&mut self, gateway: &Arc<str>) -> bool {
        let keeper = self.keepers.get(gateway);
        if let Some(keeper) = keeper {
            keeper.look.notify_one();
        }
        keeper.is_some()
    }

    /// Does something that ends by itself.
    pub(super) fn errand(&mut self, errand: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(errand);
    }
}
