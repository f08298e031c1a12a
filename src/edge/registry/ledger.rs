//! The controller's hand on the registry: what each gateway is assigned, who follows it, and what they tell.
//!
//! Until `lead` is called, and after `rest`, everybody is sent away: another controller leads. Versions count from 1 in
//! each epoch, an epoch is a time of leading. A processor that comes back within `GRACE` was never gone.

use super::codec::Unreadable;
use super::difference::{self, Inconsistent};
use crate::engine::assignment::{Assignment, Told};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A processor connects again after its controller, a network or a certificate changed, without anybody noticing.
const GRACE: Duration = Duration::from_secs(3);

/// The registry; clones are the same one.
#[derive(Clone, Debug)]
pub struct Registry {
    shared: Arc<Shared>,
}

/// Why an assignment cannot be told to processors. The last one stays.
#[derive(Debug, thiserror::Error)]
pub enum AssignError {
    /// No processor could use one of its endpoints.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It does not hold together.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
}

#[derive(Debug)]
struct Shared {
    told: mpsc::UnboundedSender<(Arc<str>, Told)>,
    /// Short steps, never held while waiting.
    state: Mutex<State>,
    /// Somebody has left.
    left: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// `None`: somebody else leads.
    epoch: Option<Arc<str>>,
    gateways: HashMap<Arc<str>, Desk>,
    /// Who left, the first to leave first.
    departures: VecDeque<Departure>,
    seats: u64,
}

/// One gateway.
#[derive(Debug)]
struct Desk {
    current: watch::Sender<Option<Version>>,
    /// By the processor's name.
    seats: HashMap<Arc<str>, Seat>,
    /// What of the newest assignment cannot be told to processors.
    unsent: Unsent,
}

/// See [`Told::Unsent`].
#[derive(Clone, Debug, Default, PartialEq)]
struct Unsent {
    upstreams: BTreeMap<Arc<str>, String>,
    whole: Option<String>,
}

/// One processor.
#[derive(Debug)]
struct Seat {
    number: u64,
    leave: CancellationToken,
}

#[derive(Debug)]
struct Departure {
    gateway: Arc<str>,
    processor: Arc<str>,
    seat: u64,
    at: Instant,
}

/// An assignment with its number.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) number: u64,
    pub(super) assignment: Arc<Assignment>,
}

/// What one stream works with.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) epoch: Arc<str>,
    pub(super) current: watch::Receiver<Option<Version>>,
    /// Another stream of this processor, or nobody leads any more.
    pub(super) leave: CancellationToken,
    /// Given up when dropped.
    pub(super) ticket: Ticket,
}

/// Holds a processor's place until dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    registry: Registry,
    gateway: Arc<str>,
    processor: Arc<str>,
    seat: u64,
}

impl Registry {
    /// A registry that does not lead yet, and what will be told: `<namespace>/<name>` of the Gateway with each.
    #[must_use]
    pub fn new() -> (Self, mpsc::UnboundedReceiver<(Arc<str>, Told)>) {
        let (told, hear) = mpsc::unbounded_channel();
        let shared = Shared {
            told,
            state: Mutex::default(),
            left: Notify::new(),
        };
        (
            Self {
                shared: Arc::new(shared),
            },
            hear,
        )
    }

    /// Begins to lead: processors are let in from now on. Assign first what is known already.
    pub fn lead(&self) {
        let mut state = self.state();
        if state.epoch.is_none() {
            state.epoch = Some(format!("{:032x}", rand::random::<u128>()).into());
        }
    }

    /// Leads no longer: everybody is sent away, and forgotten without a word; so are the assignments.
    pub fn rest(&self) {
        let mut state = self.state();
        state.epoch = None;
        state.departures.clear();
        for desk in std::mem::take(&mut state.gateways).into_values() {
            for seat in desk.seats.into_values() {
                seat.leave.cancel();
            }
        }
    }

    /// What the processors of this gateway, `<namespace>/<name>`, serve from now on. Returns its version; the one in
    /// force, if nothing differs. An upstream that cannot be sent or used is left out; that, and why, is told.
    ///
    /// # Errors
    /// See [`AssignError`]. Nothing changes then.
    pub fn assign(&self, gateway: &str, assignment: Arc<Assignment>) -> Result<u64, AssignError> {
        let gateway: Arc<str> = gateway.into();
        let mut state = self.state();
        let desk = state.desk(&gateway);
        let mut unsent = Unsent::default();
        let number = desk.take(assignment, &mut unsent.upstreams);
        unsent.whole = number.as_ref().err().map(ToString::to_string);
        if desk.unsent != unsent {
            desk.unsent = unsent.clone();
            let Unsent { upstreams, whole } = unsent;
            self.tell(&gateway, Told::Unsent { upstreams, whole });
        }
        number
    }

    /// The gateway serves nothing any more: its processors are told so, those that come later too.
    pub fn withdraw(&self, gateway: &str) {
        // Nothing holds together, and holds no secret.
        let _ = self.assign(gateway, Arc::default());
    }

    /// A processor begins to follow; a stream that it has still open ends. `None`: somebody else leads.
    pub(super) fn enter(&self, gateway: &Arc<str>, processor: &Arc<str>) -> Option<Place> {
        let mut state = self.state();
        let epoch = Arc::clone(state.epoch.as_ref()?);
        state.seats += 1;
        let seat = state.seats;
        let leave = CancellationToken::new();
        let desk = state.desk(gateway);
        let new = Seat {
            number: seat,
            leave: leave.clone(),
        };
        let current = desk.current.subscribe();
        match desk.seats.insert(Arc::clone(processor), new) {
            Some(old) => old.leave.cancel(),
            None => self.tell(
                gateway,
                Told::Connected {
                    processor: Arc::clone(processor),
                },
            ),
        }
        let ticket = Ticket {
            registry: self.clone(),
            gateway: Arc::clone(gateway),
            processor: Arc::clone(processor),
            seat,
        };
        Some(Place {
            epoch,
            current,
            leave,
            ticket,
        })
    }

    /// Tells of processors that have left and did not come back in time. Until dropped.
    pub(super) async fn bury(&self) {
        loop {
            let left = self.shared.left.notified();
            let first = self.state().departures.front().map(|departure| departure.at + GRACE);
            match first {
                None => left.await,
                Some(due) => {
                    tokio::time::sleep_until(due).await;
                    self.part();
                }
            }
        }
    }

    /// Takes the first departure, if it is due.
    fn part(&self) {
        let mut state = self.state();
        let due = |departure: &Departure| departure.at + GRACE <= Instant::now();
        if !state.departures.front().is_some_and(due) {
            return;
        }
        let Some(departure) = state.departures.pop_front() else {
            return;
        };
        let Some(desk) = state.gateways.get_mut(&departure.gateway) else {
            return;
        };
        if desk
            .seats
            .get(&departure.processor)
            .is_none_or(|seat| seat.number != departure.seat)
        {
            return;
        }
        desk.seats.remove(&departure.processor);
        self.tell(
            &departure.gateway,
            Told::Gone {
                processor: departure.processor,
            },
        );
    }

    fn tell(&self, gateway: &Arc<str>, told: Told) {
        // Who does not listen does not want to know.
        let _ = self.shared.told.send((Arc::clone(gateway), told));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every step leaves the state whole.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn desk(&mut self, gateway: &Arc<str>) -> &mut Desk {
        self.gateways.entry(Arc::clone(gateway)).or_insert_with(|| Desk {
            current: watch::Sender::new(None),
            seats: HashMap::new(),
            unsent: Unsent::default(),
        })
    }
}

impl Desk {
    /// Puts the assignment in force. Notes the upstreams that are left out, and why.
    fn take(&self, assignment: Arc<Assignment>, left_out: &mut BTreeMap<Arc<str>, String>) -> Result<u64, AssignError> {
        difference::check(&assignment)?;
        let old = self.current.borrow().clone();
        let nothing = Assignment::default();
        let before = old.as_ref().map_or(&nothing, |old| &old.assignment);
        let (assignment, unfit) = difference::fit(before, assignment)?;
        left_out.extend(unfit.into_iter().map(|(name, error)| (name, error.to_string())));
        let number = match &old {
            Some(old) if old.assignment == assignment => return Ok(old.number),
            Some(old) => old.number + 1,
            None => 1,
        };
        self.current.send_replace(Some(Version { number, assignment }));
        Ok(number)
    }
}

impl Ticket {
    /// Tells something, unless another stream has taken the place.
    pub(super) fn tell(&self, told: Told) {
        let state = self.registry.state();
        let seat = state
            .gateways
            .get(&self.gateway)
            .and_then(|desk| desk.seats.get(&self.processor));
        if seat.is_some_and(|seat| seat.number == self.seat) {
            self.registry.tell(&self.gateway, told);
        }
    }

    pub(super) const fn gateway(&self) -> &Arc<str> {
        &self.gateway
    }

    pub(super) const fn processor(&self) -> &Arc<str> {
        &self.processor
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let departure = Departure {
            gateway: Arc::clone(&self.gateway),
            processor: Arc::clone(&self.processor),
            seat: self.seat,
            at: Instant::now(),
        };
        self.registry.state().departures.push_back(departure);
        self.registry.shared.left.notify_one();
    }
}

#[cfg(test)]
mod tests;
