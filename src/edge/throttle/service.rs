//! Asks a rate limit service: counts that several gateways share, over the protocol that Envoy's own filter speaks
//! (`proto/ratelimit.proto`).
//!
//! Each descriptor names the limit and the bucket and carries the limit itself (`limit` of a descriptor, an override): the
//! service needs to know the domain and nothing more. What it does not count, because it does not know the domain, and what
//! it does not answer in time, is counted here.

use crate::engine::config::RateLimit;
use crate::engine::config::rate_limit_service::RateLimitService;
use crate::engine::config::rate_limits::Unit;
use crate::engine::policy::rate::{Charge, Exhausted, Quota};
use proto::rate_limit_descriptor::{Entry, Hits, Override};
use proto::rate_limit_response::{Code, DescriptorStatus};
use proto::rate_limit_service_client::RateLimitServiceClient;
use proto::{RateLimitDescriptor, RateLimitRequest, RateLimitResponse};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tracing::{info, warn};

/// Made of `proto/ratelimit.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod proto {
    tonic::include_proto!("envoy.service.ratelimit.v3");
}

/// A service that is gone without a word is noticed within both together.
const KEEPALIVE: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The bucket that is nearest to its end, or one that is empty.
type Answer = Result<Option<Box<Quota>>, Box<Exhausted>>;

/// The client of one service.
#[derive(Debug)]
pub(super) struct Service {
    config: RateLimitService,
    channel: Channel,
    /// It was heard of last time; told once when that changes.
    silent: AtomicBool,
}

/// It has not counted.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotCounted {
    /// Longer than `rateLimitService.timeout`.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// Unreachable, or it failed.
    #[error("{0}")]
    Failed(String),
    /// The domain is not in its configuration.
    #[error("it does not know the domain {0:?}")]
    UnknownDomain(Arc<str>),
}

impl Service {
    /// Connects when it is first asked. Needs a runtime, which holds the connection.
    pub(super) fn new(config: &RateLimitService) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("http://{}", config.address))?
            .connect_timeout(config.timeout)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        Ok(Self {
            config: config.clone(),
            channel: endpoint.connect_lazy(),
            silent: AtomicBool::new(false),
        })
    }

    pub(super) const fn config(&self) -> &RateLimitService {
        &self.config
    }

    /// Takes `charges` out of the buckets that it keeps.
    ///
    /// # Errors
    /// It did not count.
    pub(super) async fn admit(&self, charges: &[Charge]) -> Result<Answer, NotCounted> {
        let request = RateLimitRequest {
            domain: self.config.domain.to_string(),
            descriptors: charges.iter().map(descriptor).collect(),
            hits_addend: 0,
        };
        let mut client = RateLimitServiceClient::new(self.channel.clone());
        let answer = match tokio::time::timeout(self.config.timeout, client.should_rate_limit(request)).await {
            Ok(Ok(answer)) => verdict(charges, &answer.into_inner(), &self.config.domain),
            Ok(Err(status)) => Err(NotCounted::Failed(status.message().to_owned())),
            Err(_) => Err(NotCounted::TimedOut(self.config.timeout)),
        };
        let silent = answer.is_err();
        if self.silent.swap(silent, Ordering::Relaxed) != silent {
            match &answer {
                Ok(_) => info!(address = %self.config.address, "The rate limit service counts again."),
                Err(error) => warn!(
                    address = %self.config.address,
                    %error,
                    deny = self.config.failure_mode_deny,
                    "The rate limit service does not count; requests are refused (deny) or counted by this process alone."
                ),
            }
        }
        answer
    }
}

fn descriptor(charge: &Charge) -> RateLimitDescriptor {
    let limit = &charge.limit;
    let name = Entry {
        key: "limit".to_owned(),
        value: limit.name.to_string(),
    };
    let bucket = limit.per.iter().zip(&charge.bucket).map(|(per, value)| Entry {
        key: per.as_str().to_owned(),
        value: value.to_string(),
    });
    RateLimitDescriptor {
        entries: std::iter::once(name).chain(bucket).collect(),
        limit: Some(Override {
            requests_per_unit: limit.count.get(),
            unit: unit(limit).into(),
        }),
        hits_addend: Some(Hits {
            value: charge.cost.get().into(),
        }),
    }
}

const fn unit(limit: &RateLimit) -> proto::Unit {
    match limit.unit {
        Unit::Second => proto::Unit::Second,
        Unit::Minute => proto::Unit::Minute,
        Unit::Hour => proto::Unit::Hour,
        Unit::Day => proto::Unit::Day,
    }
}

fn verdict(charges: &[Charge], answer: &RateLimitResponse, domain: &Arc<str>) -> Result<Answer, NotCounted> {
    let counted = |status: &DescriptorStatus| status.current_limit.is_some();
    if answer.statuses.len() != charges.len() || !answer.statuses.iter().all(counted) {
        return Err(NotCounted::UnknownDomain(Arc::clone(domain)));
    }
    let mut nearest: Option<Quota> = None;
    for (charge, status) in charges.iter().zip(&answer.statuses) {
        let quota = quota(charge, status);
        if status.code == i32::from(Code::OverLimit) {
            return Ok(Err(Box::new(Exhausted {
                retry_after: quota.reset.max(1),
                quota,
            })));
        }
        if nearest
            .as_ref()
            .is_none_or(|nearest| quota.remaining < nearest.remaining)
        {
            nearest = Some(quota);
        }
    }
    Ok(Ok(nearest.map(Box::new)))
}

/// The service counts in windows: there is no burst, and all is there again at once.
fn quota(charge: &Charge, status: &DescriptorStatus) -> Quota {
    let limit = &charge.limit;
    let until = status.duration_until_reset.as_ref();
    let reset = until.map_or(0, |until| until.seconds + i64::from(until.nanos > 0));
    Quota {
        limit: Arc::clone(&limit.name),
        burst: limit.count.get(),
        count: limit.count.get(),
        window: limit.unit.duration().as_secs(),
        remaining: status.limit_remaining,
        reset: u64::try_from(reset).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::proto::rate_limit_response::{Duration as Until, RateLimit as Current};
    use super::*;
    use crate::engine::config::file::parse;
    use std::num::NonZeroU32;
    use std::path::Path;

    fn mk_charge() -> Charge {
        let text =
            "rateLimits: [{name: a, per: [principal, tool], limit: 60/min}]\nupstreams: [{name: a, url: 'http://a/'}]";
        let limits = parse(text, Path::new("/"), Path::new("/")).expect("valid").rate_limits;
        Charge {
            limit: Arc::clone(&limits[0]),
            bucket: vec!["ann".into(), "github_search".into()],
            cost: NonZeroU32::new(3).expect("above 0"),
        }
    }

    fn mk_status(code: Code, remaining: u32) -> DescriptorStatus {
        DescriptorStatus {
            code: code.into(),
            current_limit: Some(Current::default()),
            limit_remaining: remaining,
            duration_until_reset: Some(Until { seconds: 11, nanos: 5 }),
        }
    }

    fn mk_answer(statuses: Vec<DescriptorStatus>) -> RateLimitResponse {
        RateLimitResponse {
            overall_code: 0,
            statuses,
        }
    }

    #[test]
    fn a_descriptor_names_the_bucket_and_carries_the_limit() {
        let descriptor = descriptor(&mk_charge());
        let entries: Vec<_> = descriptor
            .entries
            .iter()
            .map(|entry| (&*entry.key, &*entry.value))
            .collect();
        assert_eq!(
            entries,
            [("limit", "a"), ("principal", "ann"), ("tool", "github_search")]
        );
        let limit = descriptor.limit.expect("carried");
        assert_eq!((limit.requests_per_unit, limit.unit), (60, proto::Unit::Minute.into()));
        assert_eq!(descriptor.hits_addend.expect("told").value, 3);
    }

    #[test]
    fn its_verdict_is_ours() {
        let charges = [mk_charge(), mk_charge()];
        let said = |statuses| verdict(&charges, &mk_answer(statuses), &"mcp".into());
        let good = said(vec![mk_status(Code::Ok, 9), mk_status(Code::Ok, 4)]).expect("counted");
        assert_eq!(good.expect("admitted").expect("a quota").remaining, 4);
        let over = said(vec![mk_status(Code::Ok, 9), mk_status(Code::OverLimit, 0)]).expect("counted");
        assert_eq!(over.expect_err("refused").retry_after, 12);
    }

    #[test]
    fn what_it_does_not_count_is_not_taken_for_a_yes() {
        let charges = [mk_charge()];
        let uncounted = DescriptorStatus {
            current_limit: None,
            ..mk_status(Code::Ok, 0)
        };
        for statuses in [vec![uncounted], vec![]] {
            assert!(verdict(&charges, &mk_answer(statuses), &"mcp".into()).is_err());
        }
    }
}
