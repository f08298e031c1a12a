//! Who is let in, by what their request shows.

use super::*;
use crate::engine::config::credential_files::{ApiKey, Password};
use crate::engine::config::{ApiKeys, Authentication, Issuer, Jwks};
use crate::engine::policy::{Claims, Credentials};
use crate::engine::snapshot::fold::Folder;
use crate::engine::snapshot::testing::{mk_alone, mk_settings};
use serde_json::json;
use sha2::{Digest, Sha256};

const OWN: &str = "http://127.0.0.1:8001/mcp";

fn mk_endpoint(change: impl FnOnce(&mut Authentication)) -> Arc<Endpoint> {
    let mut config = Authentication {
        required: true,
        jwt: vec![Issuer {
            issuer: "https://idp".into(),
            audiences: vec![],
            jwks: Jwks::File("jwks.json".into()),
        }],
        api_keys: Some(ApiKeys {
            header: "x-api-key".into(),
            file: "keys.yaml".into(),
        }),
        basic: Some("htpasswd".into()),
        scopes: vec![],
    };
    change(&mut config);
    let credentials = Credentials {
        keys: vec![ApiKey {
            name: "ci".into(),
            digest: Sha256::digest(b"the key").into(),
            roles: vec![],
        }],
        passwords: vec![Password {
            name: "alice".into(),
            hash: "the hash".into(),
        }],
    };
    let mut settings = mk_settings();
    settings.callers = Some(Arc::new(Callers::new(&config, OWN, &credentials)));
    Folder::default().fold(&settings, &[]).0
}

fn mk_head(headers: &[(&str, &str)]) -> RequestHead {
    RequestHead {
        headers: headers.iter().copied().collect(),
        ..RequestHead::default()
    }
}

fn mk_token(claims: serde_json::Value) -> RequestHead {
    let serde_json::Value::Object(mut claims) = claims else {
        panic!("an object")
    };
    claims.insert("exp".to_owned(), 1_900_000_000.into());
    RequestHead {
        claims: Some(Box::<Claims>::new(claims)),
        ..mk_head(&[("authorization", "Bearer x.y.z")])
    }
}

fn principal(caller: Result<Caller, Reject>) -> String {
    match caller {
        Ok(Caller::Known(identity)) => identity.principal.as_deref().unwrap_or("nobody").to_owned(),
        Ok(Caller::Claimed(claimed)) => format!("perhaps {}", claimed.name),
        Err(reject) => reject.reason().to_owned(),
    }
}

#[test]
fn callers_are_who_they_can_show_to_be() {
    let endpoint = mk_endpoint(|_| {});
    let identify = |mut head: RequestHead| principal(identify(&endpoint, &mut head));
    let good = mk_token(json!({"iss": "https://idp", "sub": "x", "aud": OWN}));
    assert_eq!(identify(good), "https://idp|x");
    let replayed = mk_token(json!({"iss": "https://idp", "sub": "x", "aud": "http://other/mcp"}));
    assert_eq!(identify(replayed), "invalid_credential");
    for (headers, expected) in [
        (&[][..], "unauthenticated"),
        (&[("authorization", "Bearer x.y.z")], "invalid_credential"),
        (&[("authorization", "")], "invalid_credential"),
        (&[("authorization", "bAsIc YWxpY2U6c2VjcmV0")], "perhaps alice"),
        (&[("authorization", "Basic YWxpY2U")], "invalid_credential"),
        (&[("authorization", "Basic !")], "invalid_credential"),
        (&[("x-api-key", "the key")], "key:ci"),
        (&[("x-api-key", "another")], "invalid_credential"),
        (
            &[("x-api-key", "the key"), ("x-api-key", "the key")],
            "invalid_credential",
        ),
        (
            &[("authorization", "Basic YTpi"), ("authorization", "Bearer x")],
            "invalid_credential",
        ),
        (
            &[("authorization", "Bearer x"), ("x-api-key", "the key")],
            "invalid_credential",
        ),
    ] {
        assert_eq!(identify(mk_head(headers)), expected, "{headers:?}");
    }
}

#[test]
fn a_token_beside_another_credential_does_not_count() {
    let endpoint = mk_endpoint(|_| {});
    let shown = |values: &[&str]| {
        let mut head = mk_token(json!({"iss": "https://idp", "sub": "x", "aud": OWN}));
        head.headers = values.iter().map(|value| ("authorization", *value)).collect();
        principal(identify(&endpoint, &mut head))
    };
    assert_eq!(shown(&["Bearer x.y.z"]), "https://idp|x");
    for values in [
        &["Basic YTpi", "Bearer x.y.z"][..],
        &["Bearer x.y.z", "Basic YTpi"],
        &["Basic YTpi,Bearer x.y.z"],
        &["Bearer x.y.z,Bearer a.b.c"],
        &["Basic YTpi Bearer x.y.z"],
    ] {
        assert_eq!(shown(values), "invalid_credential", "{values:?}");
    }
}

#[test]
fn where_nobody_must_show_anything_what_is_shown_still_counts() {
    let endpoint = mk_endpoint(|config| config.required = false);
    let identify = |headers: &[(&str, &str)]| principal(identify(&endpoint, &mut mk_head(headers)));
    assert_eq!(identify(&[]), "nobody");
    assert_eq!(identify(&[("authorization", "Bearer x.y.z")]), "invalid_credential");
}

#[test]
fn keys_and_passwords_count_only_where_they_are_asked_for() {
    let endpoint = mk_endpoint(|config| {
        config.api_keys = None;
        config.basic = None;
    });
    let identify = |headers: &[(&str, &str)]| principal(identify(&endpoint, &mut mk_head(headers)));
    assert_eq!(identify(&[("x-api-key", "the key")]), "unauthenticated");
    assert_eq!(
        identify(&[("authorization", "Basic YWxpY2U6c2VjcmV0")]),
        "invalid_credential"
    );
}

#[test]
fn missing_scopes_are_named() {
    let endpoint = mk_endpoint(|config| config.scopes = vec!["mcp:tools".into()]);
    let mut head = mk_token(json!({"iss": "https://idp", "sub": "x", "aud": OWN, "scope": "openid"}));
    let reject = identify(&endpoint, &mut head).expect_err("too little");
    let answer = reject.answer(None, None);
    assert_eq!(answer.status, 403);
    let (_, challenge) = answer
        .headers
        .iter()
        .find(|(name, _)| name == "www-authenticate")
        .expect("told");
    assert!(challenge.starts_with(b"Bearer error=\"insufficient_scope\", scope=\"mcp:tools\""));
    assert_eq!(
        principal(identify(&endpoint, &mut mk_head(&[("x-api-key", "the key")]))),
        "key:ci",
        "keys have roles, not scopes"
    );
}

#[test]
fn the_document_needs_no_caller() {
    let snapshot = mk_alone(mk_endpoint(|_| {}));
    let ask = |verb: &str, path: &str| {
        let head = mk_head(&[(":method", verb), (":path", path), (":authority", "127.0.0.1")]);
        document(snapshot.endpoints.iter(), &head.headers).map(|answer| answer.map(|answer| answer.status))
    };
    let path = "/.well-known/oauth-protected-resource";
    assert_eq!(ask("GET", path), Some(Ok(200)));
    assert_eq!(ask("GET", "/.well-known/oauth-protected-resource/mcp?x"), Some(Ok(200)));
    assert_eq!(ask("OPTIONS", path), Some(Ok(204)));
    assert_eq!(ask("POST", path), Some(Err(Reject::MethodNotAllowed)));
    assert_eq!(ask("GET", "/.well-known/oauth-protected-resource/other"), None);
    assert_eq!(ask("GET", "/mcp"), None);
}
