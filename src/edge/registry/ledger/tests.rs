//! Who is in, and what is told of it.

use super::super::difference::tests::mk_assignment;
use super::*;

fn mk_registry() -> (Registry, mpsc::UnboundedReceiver<(Arc<str>, Told)>) {
    let (registry, told) = Registry::new();
    registry.lead();
    (registry, told)
}

fn enter(registry: &Registry) -> Place {
    registry.enter(&"team/edge".into(), &"pod".into()).expect("it leads")
}

fn heard(told: &mut mpsc::UnboundedReceiver<(Arc<str>, Told)>) -> Vec<&'static str> {
    let mut all = Vec::new();
    while let Ok((_, told)) = told.try_recv() {
        all.push(match told {
            Told::Connected { .. } => "connected",
            Told::Accepted { .. } => "accepted",
            Told::Refused { .. } => "refused",
            Told::Report(_) => "report",
            Told::Unsent { .. } => "unsent",
            Told::Gone { .. } => "gone",
        });
    }
    all
}

#[test]
fn versions_count_only_what_differs() {
    let (registry, _told) = mk_registry();
    let assign = |upstreams: &[(&str, u16)]| registry.assign("team/edge", Arc::new(mk_assignment(upstreams)));
    assert_eq!(assign(&[("a", 1)]).expect("fine"), 1);
    assert_eq!(assign(&[("a", 1)]).expect("fine"), 1, "the same");
    assert_eq!(assign(&[("a", 2)]).expect("fine"), 2);
    assert_eq!(assign(&[]).expect("fine"), 3);
    assert_eq!(
        registry.assign("team/other", Arc::default()).expect("fine"),
        1,
        "each gateway has its own"
    );
}

#[test]
fn nobody_enters_while_somebody_else_leads() {
    let (registry, _told) = Registry::new();
    let try_enter = || registry.enter(&"team/edge".into(), &"pod".into());
    assert!(try_enter().is_none());
    registry.lead();
    let place = try_enter().expect("it leads");
    registry.lead();
    assert_eq!(try_enter().expect("it leads").epoch, place.epoch, "it led already");
    registry.rest();
    assert!(place.leave.is_cancelled());
    assert!(try_enter().is_none());
    registry.lead();
    let again = try_enter().expect("it leads");
    assert_ne!(again.epoch, place.epoch, "another time of leading");
    assert!(again.current.borrow().is_none(), "nothing is assigned yet");
}

#[tokio::test(start_paused = true)]
async fn a_processor_is_gone_only_if_it_does_not_come_back_soon() {
    let (registry, mut told) = mk_registry();
    let bury = registry.clone();
    let burying = tokio::spawn(async move { bury.bury().await });
    let place = enter(&registry);
    drop(place);
    tokio::time::sleep(GRACE / 2).await;
    let place = enter(&registry);
    tokio::time::sleep(GRACE * 2).await;
    assert_eq!(heard(&mut told), ["connected"], "it came back");
    drop(place);
    tokio::time::sleep(GRACE * 2).await;
    assert_eq!(heard(&mut told), ["gone"]);
    enter(&registry);
    assert_eq!(heard(&mut told), ["connected"]);
    burying.abort();
}

#[tokio::test(start_paused = true)]
async fn the_newest_stream_of_a_processor_is_the_one_that_counts() {
    let (registry, mut told) = mk_registry();
    let accepted = |version| Told::Accepted {
        processor: "pod".into(),
        version,
    };
    let old = enter(&registry);
    let new = enter(&registry);
    assert!(old.leave.is_cancelled());
    old.ticket.tell(accepted(1));
    assert_eq!(heard(&mut told), ["connected"], "the old one has no say");
    new.ticket.tell(accepted(1));
    drop(old);
    let bury = registry.clone();
    let burying = tokio::spawn(async move { bury.bury().await });
    tokio::time::sleep(GRACE * 2).await;
    assert_eq!(heard(&mut told), ["accepted"], "it is not gone");
    burying.abort();
}
