//! Which of several controllers leads: the one that holds a Lease and keeps renewing it.
//!
//! ```text
//! Following -> (nobody holds it, or its holder stopped renewing) -> Leading <-> Unsure   (API server away)
//!     ^------------------- (somebody else holds it) ----------------'             |
//!     `-----------------------------------------------------------------------------'
//! ```
//! Clocks of other machines are never read: a Lease has lapsed when it did not change for its whole duration while we
//! looked. Whoever cannot renew is unsure whether it still leads: it goes on telling what it knows, and writes nothing.

use super::health::Health;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// The Lease's name.
pub const NAME: &str = "mcp-manifold-controller";
/// A Lease that did not change for this long has lapsed.
const DURATION: Duration = Duration::from_secs(15);
/// After this long without a renewal the leader is unsure.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often the Lease is looked at.
const RETRY: Duration = Duration::from_secs(2);
/// One request may take this long.
const PATIENCE: Duration = Duration::from_secs(4);

/// Where this controller stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Another one leads, or nobody yet.
    Following,
    /// This one leads and may write.
    Leading,
    /// This one led, and cannot ask whether it still does.
    Unsure,
}

/// What is to be done about a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// There is none: make it.
    Create,
    /// Nobody holds it any more: take it.
    Take,
    /// It is ours: renew it.
    Renew,
    /// Somebody else holds it.
    Wait,
}

/// Remembers since when a Lease has not changed.
struct Candidate {
    identity: String,
    seen: Option<(String, Instant)>,
}

/// Holds the Lease, or waits for it, until `stop`; then gives it up, so that another controller need not wait.
/// `health` is told every change.
pub(super) async fn run(api: Api<Lease>, identity: String, health: Arc<Health>, stop: CancellationToken) {
    let mut candidate = Candidate { identity, seen: None };
    let mut renewed = None;
    let mut well = true;
    loop {
        let now = Instant::now();
        match tokio::time::timeout(PATIENCE, turn(&api, &mut candidate)).await {
            Ok(Ok(ours)) => {
                well = true;
                health.asked();
                renewed = ours.then_some(now);
                stand(&health, if ours { Standing::Leading } else { Standing::Following });
            }
            Ok(Err(error)) => complain(&super::said(&error), std::mem::take(&mut well)),
            Err(_) => complain("no answer in time", std::mem::take(&mut well)),
        }
        let led = health.stands() == Standing::Leading;
        if led && renewed.is_none_or(|renewed| renewed.elapsed() > DEADLINE) {
            stand(&health, Standing::Unsure);
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
    let held = health.stands() != Standing::Following;
    stand(&health, Standing::Following);
    if held {
        // Where it fails the Lease lapses by itself.
        let _ = tokio::time::timeout(PATIENCE, release(&api, &candidate.identity)).await;
    }
}

fn complain(error: &str, news: bool) {
    match news {
        true => warn!(error, "The Lease cannot be read or written for now."),
        false => debug!(error, "The Lease cannot be read or written."),
    }
}

fn stand(health: &Health, now: Standing) {
    if !health.stand(now) {
        return;
    }
    match now {
        Standing::Leading => info!("This controller leads."),
        Standing::Following => info!("Another controller leads, or none."),
        Standing::Unsure => warn!("The Lease cannot be renewed: nothing is written until the API server answers."),
    }
}

/// Looks at the Lease and takes or renews it where that is due. True: it is ours now.
async fn turn(api: &Api<Lease>, candidate: &mut Candidate) -> Result<bool, kube::Error> {
    let lease = api.get_opt(NAME).await?;
    let turn = candidate.judge(lease.as_ref(), Instant::now());
    let done = match (turn, lease) {
        (Turn::Wait, _) => return Ok(false),
        (Turn::Create | Turn::Take | Turn::Renew, None) => {
            api.create(&PostParams::default(), &candidate.new_lease()).await
        }
        (Turn::Create | Turn::Take, Some(lease)) => {
            api.replace(NAME, &PostParams::default(), &candidate.take(lease)).await
        }
        (Turn::Renew, Some(lease)) => api.replace(NAME, &PostParams::default(), &renew(lease)).await,
    };
    match done {
        Ok(_) => Ok(true),
        // Somebody was faster. Whether that ends a leadership is seen at the next look.
        Err(kube::Error::Api(status)) if status.code == 409 && turn != Turn::Renew => Ok(false),
        Err(error) => Err(error),
    }
}

async fn release(api: &Api<Lease>, identity: &str) -> Result<(), kube::Error> {
    let Some(mut lease) = api.get_opt(NAME).await? else {
        return Ok(());
    };
    let spec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(identity) {
        return Ok(());
    }
    spec.holder_identity = None;
    api.replace(NAME, &PostParams::default(), &lease).await?;
    Ok(())
}

fn renew(mut lease: Lease) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.renew_time = Some(MicroTime(Timestamp::now()));
    spec.lease_duration_seconds = Some(seconds());
    lease
}

fn seconds() -> i32 {
    i32::try_from(DURATION.as_secs()).unwrap_or(i32::MAX)
}

// === impl Candidate ===

impl Candidate {
    fn judge(&mut self, lease: Option<&Lease>, now: Instant) -> Turn {
        let Some(lease) = lease else {
            return Turn::Create;
        };
        let spec = lease.spec.as_ref();
        let holder = spec
            .and_then(|spec| spec.holder_identity.as_deref())
            .unwrap_or_default();
        if holder == self.identity {
            return Turn::Renew;
        }
        if holder.is_empty() {
            return Turn::Take;
        }
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let since = match &self.seen {
            Some((seen, since)) if *seen == version => *since,
            _ => {
                self.seen = Some((version, now));
                now
            }
        };
        let stated = spec
            .and_then(|spec| spec.lease_duration_seconds)
            .and_then(|seconds| u64::try_from(seconds).ok());
        match now.duration_since(since) > stated.map_or(DURATION, Duration::from_secs) {
            true => Turn::Take,
            false => Turn::Wait,
        }
    }

    fn new_lease(&self) -> Lease {
        self.take(Lease {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                ..ObjectMeta::default()
            },
            spec: None,
        })
    }

    fn take(&self, mut lease: Lease) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = lease.spec.take();
        let transitions = before.as_ref().and_then(|spec| spec.lease_transitions);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_duration_seconds: Some(seconds()),
            lease_transitions: Some(before.map_or(0, |_| transitions.unwrap_or(0).saturating_add(1))),
            ..LeaseSpec::default()
        });
        lease
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate() -> Candidate {
        Candidate {
            identity: "me".to_owned(),
            seen: None,
        }
    }

    fn held_by(holder: &str, version: u32) -> Lease {
        let taken = Candidate {
            identity: holder.to_owned(),
            seen: None,
        };
        let mut lease = taken.new_lease();
        lease.metadata.resource_version = Some(version.to_string());
        lease
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_keeps_changing_is_left_to_its_holder() {
        let mut candidate = candidate();
        for version in 1..20 {
            let lease = held_by("other", version);
            assert_eq!(candidate.judge(Some(&lease), Instant::now()), Turn::Wait);
            tokio::time::advance(DURATION).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_did_not_change_for_its_duration_is_taken() {
        let mut candidate = candidate();
        let lease = held_by("other", 1);
        assert_eq!(
            candidate.judge(Some(&lease), Instant::now()),
            Turn::Wait,
            "its times are another clock's"
        );
        tokio::time::advance(DURATION).await;
        assert_eq!(candidate.judge(Some(&lease), Instant::now()), Turn::Wait);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(candidate.judge(Some(&lease), Instant::now()), Turn::Take);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_renewed_by_its_holder_made_where_missing_and_taken_once_released() {
        let mut candidate = candidate();
        assert_eq!(candidate.judge(None, Instant::now()), Turn::Create);
        assert_eq!(candidate.judge(Some(&held_by("me", 1)), Instant::now()), Turn::Renew);
        assert_eq!(candidate.judge(Some(&held_by("", 2)), Instant::now()), Turn::Take);
    }

    #[test]
    fn taking_a_lease_counts_the_transition() {
        let lease = candidate().take(held_by("other", 1));
        let spec = lease.spec.unwrap();
        assert_eq!(spec.lease_transitions, Some(1));
        assert_eq!(spec.holder_identity.as_deref(), Some("me"));
        assert_eq!(
            lease.metadata.resource_version.as_deref(),
            Some("1"),
            "a conflict is noticed"
        );
    }
}
