//! Who is who.

use super::*;
use crate::engine::config::{ApiKeys, Jwks};
use serde_json::json;

const OWN: &str = "https://mcp.example.com/mcp";

fn mk_issuer(issuer: &str, audiences: &[&str]) -> Issuer {
    Issuer {
        issuer: issuer.into(),
        audiences: audiences.iter().map(|&audience| audience.to_owned()).collect(),
        jwks: Jwks::File("jwks.json".into()),
    }
}

fn mk_callers(scopes: &[&str]) -> Callers {
    let config = Authentication {
        required: true,
        jwt: vec![mk_issuer("https://one", &[]), mk_issuer("https://two", &["a", "b"])],
        api_keys: Some(ApiKeys {
            header: "x-api-key".into(),
            file: "keys.yaml".into(),
        }),
        basic: Some("htpasswd".into()),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
    };
    let credentials = Credentials {
        keys: vec![ApiKey {
            name: "ci".into(),
            digest: Sha256::digest(b"hunter2").into(),
            roles: vec!["admin".into()],
        }],
        passwords: vec![Password {
            name: "alice".into(),
            hash: "the hash".into(),
        }],
    };
    Callers::new(&config, OWN, &credentials)
}

fn judge(callers: &Callers, claims: Value) -> Result<Identity, Unfit> {
    let Value::Object(mut claims) = claims else {
        panic!("an object")
    };
    claims.entry("exp").or_insert_with(|| 1_900_000_000.into());
    callers.of_claims(claims, Some("first"))
}

#[test]
fn the_same_subject_of_two_issuers_is_two_principals() {
    let callers = mk_callers(&[]);
    let one = judge(&callers, json!({"iss": "https://one", "sub": "x", "aud": OWN})).expect("good");
    let two = judge(&callers, json!({"iss": "https://two", "sub": "x", "aud": ["z", "b"]})).expect("good");
    assert_eq!(one.principal.as_deref(), Some("https://one|x"));
    assert_ne!(one.hash(), two.hash());
}

#[test]
fn a_token_for_somebody_else_is_unfit() {
    let callers = mk_callers(&[]);
    for claims in [
        json!({"iss": "https://one", "sub": "x", "aud": "https://other.example.com/mcp"}),
        json!({"iss": "https://one", "sub": "x", "aud": ["a"]}),
        json!({"iss": "https://one", "sub": "x"}),
        json!({"iss": "https://one", "sub": "x", "aud": {"a": OWN}}),
        json!({"iss": "https://three", "sub": "x", "aud": OWN}),
        json!({"iss": "https://one", "aud": OWN}),
        json!({"iss": "https://one", "sub": "", "aud": OWN}),
        json!({"iss": "https://one", "sub": 7, "aud": OWN}),
        json!({"sub": "x", "aud": OWN}),
        json!({"iss": "https://one", "sub": "x", "aud": OWN, "exp": null}),
        json!({"iss": "https://one", "sub": "x", "aud": OWN, "exp": "never"}),
        json!({}),
    ] {
        assert_eq!(judge(&callers, claims.clone()), Err(Unfit::Token), "{claims}");
    }
}

#[test]
fn roles_and_scopes_are_read_as_issuers_write_them() {
    let callers = mk_callers(&["mcp:tools"]);
    let claims = json!({"iss": "https://one", "sub": "x", "aud": OWN, "scope": "openid mcp:tools",
        "scp": ["more"], "roles": ["a", 7], "realm_access": {"roles": ["b"]}});
    let identity = judge(&callers, claims).expect("good");
    assert_eq!(identity.roles, ["a".into(), "b".into()]);
    assert_eq!(identity.scopes, ["openid".into(), "mcp:tools".into(), "more".into()]);
    let short = json!({"iss": "https://one", "sub": "x", "aud": OWN, "scope": "mcp:toolsmith"});
    assert_eq!(judge(&callers, short), Err(Unfit::Scopes));
}

#[test]
fn a_key_is_known_by_its_hash() {
    let callers = mk_callers(&["mcp:tools"]);
    let holder = callers.holder(b"hunter2").expect("known");
    assert_eq!(holder.principal.as_deref(), Some("key:ci"));
    assert_eq!(holder.roles, ["admin".into()]);
    assert_eq!(callers.holder(b"hunter3"), None);
    assert_eq!(callers.holder(b""), None);
}

#[test]
fn nothing_secret_is_in_a_debug_text() {
    let callers = mk_callers(&[]);
    let claimed = callers.claimed("alice", "the password");
    assert_eq!(claimed.hash, Some(Confidential("the hash".into())));
    assert!(claimed.known && !callers.claimed("bob", "x").known);
    let text = format!("{callers:?} {claimed:?}");
    assert!(!text.contains("the hash") && !text.contains("the password"), "{text}");
}

#[test]
fn tokens_count_while_the_keys_of_their_issuer_do() {
    let fetched = Issuer {
        jwks: Jwks::Url {
            url: "http://127.0.0.1/jwks".parse().expect("a URL"),
            refresh: std::time::Duration::from_secs(1),
            keep: std::time::Duration::from_secs(1),
            ca: None,
        },
        ..mk_issuer("https://one", &[])
    };
    let config = Authentication {
        required: true,
        jwt: vec![fetched, mk_issuer("https://two", &[])],
        api_keys: None,
        basic: None,
        scopes: vec![],
    };
    let judge = |known: Option<Standing>, issuer: &str| {
        let callers = Callers::new(&config, OWN, &Credentials::default());
        let known = known.map(|standing| ("https://one".into(), standing));
        let callers = callers.knowing(&known.into_iter().collect());
        let claims = json!({"iss": issuer, "sub": "x", "aud": OWN});
        self::judge(&callers, claims).map(drop)
    };
    assert_eq!(
        judge(None, "https://one"),
        Err(Unfit::Lapsed),
        "nothing is known of them"
    );
    assert_eq!(judge(None, "https://two"), Ok(()), "they lie in a file");
    assert_eq!(judge(Some(Standing::UNKNOWN), "https://one"), Err(Unfit::Lapsed));
    assert_eq!(judge(Some(Standing::default()), "https://one"), Ok(()));
    let retired = |id: &str| Standing {
        retired: vec![id.into()],
        ..Standing::default()
    };
    assert_eq!(judge(Some(retired("first")), "https://one"), Err(Unfit::Retired));
    assert_eq!(judge(Some(retired("other")), "https://one"), Ok(()));
}
