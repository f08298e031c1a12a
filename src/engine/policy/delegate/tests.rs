//! Whom is said what, and who is said nothing for.

use super::*;
use crate::engine::config::file::parse;
use proptest::prelude::*;
use serde_json::json;
use std::path::Path;

fn mk_delegate(keys: &str) -> Arc<Delegate> {
    let issuer = "authentication: {jwt: [{issuer: i, audiences: [a], jwks: {file: keys.json}}]}";
    let text = format!("{issuer}\nupstreams: [{{name: a, url: 'http://a/', {keys}}}]");
    let config = parse(&text, Path::new("/"), Path::new("/")).expect("valid");
    Delegate::new("a", &config.upstreams[0].delegated).expect("says something")
}

fn mk_caller(claims: Value) -> Identity {
    let Value::Object(claims) = claims else {
        panic!("an object")
    };
    Identity {
        principal: Some("i|alice".into()),
        claims,
        ..Identity::default()
    }
}

fn said(delegate: &Delegate, claims: Value) -> Vec<(String, String)> {
    let Said::Whole(headers) = delegate.say(&mk_caller(claims), None) else {
        panic!("not whole")
    };
    let text = |value: Bytes| String::from_utf8(value.to_vec()).expect("text");
    headers
        .into_iter()
        .map(|(name, value)| (name.into_owned(), text(value)))
        .collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn headers_name_the_caller_and_are_left_out_where_nothing_is_known() {
    let delegate =
        mk_delegate("headers: {x-user: '{claims.sub}', x-who: '<{principal}>', x-team: '{claims.org.team}'}");
    assert_eq!(
        said(&delegate, json!({"sub": "alice", "org": {"team": 7}})),
        [pair("x-team", "7"), pair("x-user", "alice"), pair("x-who", "<i|alice>")]
    );
    assert_eq!(
        said(&delegate, json!({"org.team": "flat", "org": {"team": "deep"}})),
        [pair("x-team", "flat"), pair("x-who", "<i|alice>")],
        "the whole name first"
    );
    assert_eq!(
        delegate.say(&Identity::default(), None),
        Said::Whole(Vec::new()),
        "anonymous"
    );
    assert!(delegate.owns(b"x-user") && !delegate.owns(b"x-other"));
}

#[test]
fn a_claim_that_can_stand_in_no_header_counts_as_missing() {
    let delegate = mk_delegate("headers: {x-user: 'u {claims.sub}'}");
    for bad in [
        json!("a\r\nx-admin: 1"),
        json!("a\nb"),
        json!("ä"),
        json!(""),
        json!("a "),
        json!(["a"]),
        json!(null),
    ] {
        assert_eq!(said(&delegate, json!({ "sub": bad })), [], "{bad}");
    }
    let delegate = mk_delegate("credential: {header: x-user, value: '{claims.sub}'}");
    let caller = mk_caller(json!({"sub": "a\r\nb"}));
    assert_eq!(delegate.say(&caller, None), Said::Lacking(Lack::Claim));
    assert_eq!(delegate.say(&Identity::default(), None), Said::Lacking(Lack::Anonymous));
}

#[test]
fn only_a_token_that_was_verified_goes_on() {
    let delegate = mk_delegate("credential: {forward: true}");
    let alice = mk_caller(json!({"sub": "alice"}));
    let expected = vec![("authorization".into(), Bytes::from_static(b"bearer t.o.k"))];
    assert_eq!(delegate.say(&alice, Some(b"bearer t.o.k")), Said::Whole(expected));
    for unfit in [
        None,
        Some(&b"Basic dTpw"[..]),
        Some(b"Bearer"),
        Some(b"Bearer a b"),
        Some(b"Bearer \xff"),
    ] {
        assert_eq!(delegate.say(&alice, unfit), Said::Lacking(Lack::Token), "{unfit:?}");
    }
    let by_key = mk_caller(json!({}));
    assert_eq!(delegate.say(&by_key, Some(b"Bearer t.o.k")), Said::Lacking(Lack::Token));
}

#[test]
fn what_others_have_to_give_is_asked_for_and_checked() {
    let delegate = mk_delegate("credential: {perPrincipal: {dir: d}}");
    let alice = mk_caller(json!({}));
    let Said::Wanted(errand) = delegate.say(&alice, None) else {
        panic!("somebody has it")
    };
    assert_eq!((&*errand.principal, errand.token), ("i|alice", None));
    let complete = |text: &str| delegate.complete(&alice, &Confidential(text.into()));
    let expected = vec![("authorization".into(), Bytes::from_static(b"Bearer k3y"))];
    assert_eq!(complete("k3y"), Said::Whole(expected));
    for bad in ["k\r\nx: y", "k ", "ö"] {
        assert_eq!(complete(bad), Said::Lacking(Lack::Unreadable));
    }
}

proptest! {
    #[test]
    fn no_claim_makes_a_second_header(sub in ".*") {
        let delegate = mk_delegate("headers: {x-user: 'u={claims.sub}'}");
        for (_, value) in said(&delegate, json!({ "sub": sub })) {
            prop_assert!(http::HeaderValue::from_str(&value).is_ok() && !value.contains(['\r', '\n', '\0']));
        }
    }
}
