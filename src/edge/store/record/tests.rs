use super::*;
use crate::edge::store::entry::Live;
use crate::engine::session::{Delegation, Wanted};
use proptest::prelude::*;
use std::sync::Arc;

fn any_level() -> impl Strategy<Value = Option<Level>> {
    prop::option::of(prop::sample::select(vec![
        Level::Debug,
        Level::Warning,
        Level::Emergency,
    ]))
}

/// Only a session has an address that it stays with.
fn any_tie() -> impl Strategy<Value = (String, Option<String>, Version, Option<SocketAddr>)> {
    let version = prop::sample::select(Version::ALL.to_vec());
    let tie = (
        "[a-z0-9.-]{1,20}",
        prop::option::of(".{0,80}"),
        version,
        any::<Option<SocketAddr>>(),
    );
    tie.prop_map(|(name, id, version, address)| {
        let address = address.filter(|_| id.is_some());
        (name, id, version, address)
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(
        expires in any::<u64>(),
        client in any::<u128>(),
        level in any_level(),
        ties in prop::collection::vec(any_tie(), 0..6),
        subscriptions in prop::collection::vec(("[a-z]{1,3}", ".{0,9}"), 0..4),
    ) {
        let mut live = Live::new(Timestamp(expires), Timestamp(0), Arc::default());
        live.level = level;
        for (upstream, id, version, address) in &ties {
            let binding = Binding { id: id.as_deref().map(Arc::from), version: *version, address: *address, delegation: Delegation::NONE, opened: None };
            live.insert(Tie::new(upstream.as_str().into(), binding));
        }
        for (upstream, uri) in &subscriptions {
            let subscription = Subscription { upstream: upstream.as_str().into(), uri: uri.as_str().into() };
            live.subscribe(subscription, Wanted::FromNowOn);
        }
        let expected = Record::Live {
            expires: Timestamp(expires),
            client: ClientHash(client),
            level,
            subscriptions: live.subscriptions().iter().map(|kept| (&*kept.upstream, &*kept.uri)).collect::<Vec<_>>(),
            ties: live.ties().iter().map(|tie| (&*tie.upstream, tie.binding(Delegation::NONE))).collect::<Vec<_>>(),
        };
        let expected = format!("{expected:?}");
        let bytes = encode(&Entry::Live(Box::new(live)), ClientHash(client));
        prop_assert_eq!(format!("{:?}", decode(&bytes).unwrap()), expected);
    }

    #[test]
    fn any_bytes_are_a_record_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200), tag in 0..4u8) {
        let _ = decode(&[&[tag], &bytes[..]].concat());
    }
}

#[test]
fn an_ended_session_is_read_back() {
    let bytes = encode(&Entry::Ended(Timestamp(7)), ClientHash(0));
    assert_eq!(decode(&bytes), Some(Record::Ended(Timestamp(7))));
    assert_eq!(decode(&[&bytes[..], &[0]].concat()), None, "a byte too many");
}
