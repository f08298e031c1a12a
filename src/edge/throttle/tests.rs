//! Buckets as requests meet them.

use super::counter::Counter;
use super::*;
use crate::engine::config::file::parse;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

/// What only takes time has come true long before.
const PATIENCE: Duration = Duration::from_secs(30);

fn mk_limits(text: &str) -> Vec<Arc<RateLimit>> {
    let text = format!("rateLimits: [{text}]\nupstreams: [{{name: a, url: 'http://a/'}}]");
    parse(&text, Path::new("/"), Path::new("/")).expect("valid").rate_limits
}

fn mk_throttle(limits: &[Arc<RateLimit>]) -> Throttle {
    let throttle = Throttle::default();
    throttle.follow(limits, None).expect("no service");
    throttle
}

fn admit(throttle: &Throttle, charges: &[Charge]) -> Result<Option<Box<Quota>>, Box<Exhausted>> {
    match throttle.admit(charges.to_vec()) {
        Counted::Now(Verdict::Admitted(quota)) => Ok(quota),
        Counted::Now(Verdict::Exhausted(exhausted)) => Err(exhausted),
        Counted::Now(Verdict::Uncounted) | Counted::Later(_) => panic!("there is no service"),
    }
}

fn charge(limit: &Arc<RateLimit>, bucket: &str, cost: u32) -> Charge {
    Charge {
        limit: Arc::clone(limit),
        bucket: vec![bucket.into()],
        cost: NonZeroU32::new(cost).expect("above 0"),
    }
}

#[test]
fn a_bucket_gives_what_it_holds_and_says_when_there_is_more() {
    let limits = mk_limits("{name: a, per: [principal], limit: 60/h, burst: 3}");
    let throttle = mk_throttle(&limits);
    let take = |who: &str, cost| admit(&throttle, &[charge(&limits[0], who, cost)]);
    let quota = take("ann", 1).expect("full").expect("there is a limit");
    assert_eq!(
        (quota.remaining, quota.burst, quota.count, quota.window),
        (2, 3, 60, 3600)
    );
    assert_eq!(quota.reset, 60);
    assert_eq!(take("ann", 2).expect("two are left").expect("a limit").remaining, 0);
    let exhausted = take("ann", 1).expect_err("empty");
    assert_eq!(exhausted.retry_after, 60);
    assert_eq!(exhausted.quota.reset, 180);
    assert_eq!(take("ann", 3).expect_err("empty").retry_after, 180, "it costs three");
    assert!(take("bob", 3).is_ok(), "his own");
}

#[test]
fn a_bucket_is_refilled() {
    let limits = mk_limits("{name: a, limit: 2/s, burst: 1}");
    let throttle = mk_throttle(&limits);
    let charges = [charge(&limits[0], "x", 1)];
    // Half a second, less what two clocks may differ by.
    let early = Duration::from_millis(450);
    let begun = Instant::now();
    assert!(admit(&throttle, &charges).is_ok());
    let refused = admit(&throttle, &charges).is_err();
    assert!(refused || begun.elapsed() >= early, "one in half a second");
    while admit(&throttle, &charges).is_err() {
        assert!(begun.elapsed() < PATIENCE, "never refilled");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(begun.elapsed() >= early, "refilled before its time");
}

#[test]
fn of_several_limits_the_nearest_to_its_end_is_told_and_the_empty_one_refuses() {
    let limits = mk_limits("{name: wide, limit: 100/h}, {name: narrow, limit: 2/h}");
    let throttle = mk_throttle(&limits);
    let both = [charge(&limits[0], "x", 1), charge(&limits[1], "x", 1)];
    assert_eq!(
        &*admit(&throttle, &both).expect("full").expect("a limit").limit,
        "narrow"
    );
    assert!(admit(&throttle, &both).is_ok());
    assert_eq!(&*admit(&throttle, &both).expect_err("empty").quota.limit, "narrow");
}

#[test]
fn a_reload_empties_no_bucket_of_a_limit_that_stays_and_fills_those_of_another() {
    let before = mk_limits("{name: a, limit: 1/h}, {name: b, limit: 1/h}");
    let throttle = mk_throttle(&before);
    for limit in &before {
        assert!(admit(&throttle, &[charge(limit, "x", 1)]).is_ok());
    }
    let after = mk_limits("{name: c, limit: 1/h}, {name: a, limit: 1/h}, {name: b, limit: 2/h}");
    throttle.follow(&after, None).expect("no service");
    assert!(
        admit(&throttle, &[charge(&after[1], "x", 1)]).is_err(),
        "the same limit"
    );
    assert!(admit(&throttle, &[charge(&after[2], "x", 1)]).is_ok(), "another one");
    throttle.follow(&after[..1], None).expect("no service");
    assert_eq!(admit(&throttle, &[charge(&after[1], "x", 1)]), Ok(None), "it is gone");
}

#[test]
fn a_flood_of_keys_neither_grows_the_table_nor_frees_those_who_are_known() {
    let limits = mk_limits("{name: a, limit: 5/h}");
    let counter = Counter::with_size(Arc::clone(&limits[0]), 1000);
    let take = |key: &str| counter.take(&[key.into()], NonZeroU32::MIN);
    for _ in 0..5 {
        assert!(take("known").is_ok());
    }
    let passed = (0..10_000).filter(|key| take(&format!("random-{key}")).is_ok()).count();
    assert_eq!(passed, 999 + 5, "beyond the table all share one bucket");
    assert_eq!(counter.len(), 1000);
    assert!(take("known").is_err(), "still empty");
}

#[test]
fn buckets_that_are_full_again_are_forgotten() {
    let limits = mk_limits("{name: a, limit: 100/s, burst: 1}");
    let counter = Counter::with_size(Arc::clone(&limits[0]), 10);
    for key in 0..10 {
        assert!(counter.take(&[key.to_string().into()], NonZeroU32::MIN).is_ok());
    }
    let begun = Instant::now();
    while counter.len() > 0 {
        assert!(begun.elapsed() < PATIENCE, "never forgotten");
        std::thread::sleep(Duration::from_millis(1));
        counter.sweep();
    }
}
