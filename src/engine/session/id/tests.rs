use super::*;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_790_000_000_000);

fn mk_keys(secrets: &[&str]) -> Keys {
    let secrets: Vec<_> = secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect();
    Keys::derive(&secrets).unwrap()
}

fn mk_claims() -> Claims {
    Claims {
        flags: ClientFlags::default(),
        version: Version::V2025_11_25,
        endpoint: EndpointHash::of("default"),
        key: SessionKey(0x0123_4567_89ab_cdef_0011_2233_4455_6677),
        expires: Timestamp(NOW.0 + 60_000),
        principal: 0,
    }
}

fn any_claims() -> impl Strategy<Value = Claims> {
    let version = prop::sample::select(Version::ALL.to_vec());
    let seconds = NOW.0 / 1000 + 1..1 << 40;
    (0..8u8, version, any::<u32>(), any::<u128>(), seconds, any::<u64>()).prop_map(
        |(flags, version, endpoint, key, seconds, principal)| Claims {
            flags: ClientFlags::from_bits(flags),
            version,
            endpoint: EndpointHash(endpoint),
            key: SessionKey(key),
            expires: Timestamp(seconds * 1000),
            principal,
        },
    )
}

proptest! {
    #[test]
    fn what_was_signed_is_read_back(claims in any_claims()) {
        let keys = mk_keys(&["secret"]);
        let id = keys.sign(&claims);
        prop_assert_eq!(id.len(), ID_LEN);
        prop_assert_eq!(id.starts_with("mi1."), claims.flags.any(), "routes match on the mark");
        prop_assert_eq!(keys.verify(id.as_bytes(), claims.endpoint, NOW), Ok(claims));
    }

    #[test]
    fn an_id_with_any_byte_changed_is_refused(claims in any_claims(), at in 0..ID_LEN, byte in any::<u8>()) {
        let keys = mk_keys(&["secret", "older"]);
        let mut id = keys.sign(&claims).into_bytes();
        prop_assume!(id[at] != byte);
        id[at] = byte;
        prop_assert!(keys.verify(&id, claims.endpoint, NOW).is_err());
    }

    #[test]
    fn random_bytes_are_refused(id in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(mk_keys(&["secret"]).verify(&id, mk_claims().endpoint, NOW).is_err());
    }

    #[test]
    fn random_bytes_in_the_shape_of_an_id_are_forged(bytes in prop::collection::vec(any::<u8>(), 51)) {
        let id = format!("mp1.{}", URL_SAFE_NO_PAD.encode(bytes));
        let refused = mk_keys(&["secret"]).verify(id.as_bytes(), mk_claims().endpoint, NOW);
        prop_assert_eq!(refused, Err(IdError::Forged));
    }
}

#[test]
fn an_id_that_is_cut_or_extended_is_malformed() {
    let keys = mk_keys(&["secret"]);
    let id = keys.sign(&mk_claims());
    for end in 0..id.len() {
        let refused = keys.verify(&id.as_bytes()[..end], mk_claims().endpoint, NOW);
        assert_eq!(refused, Err(IdError::Malformed), "{end} characters");
    }
    for tail in ["A", "=", "==", "AAAA", " "] {
        let longer = format!("{id}{tail}");
        let refused = keys.verify(longer.as_bytes(), mk_claims().endpoint, NOW);
        assert_eq!(refused, Err(IdError::Malformed), "{tail:?} appended");
    }
}

#[test]
fn a_swapped_mark_is_refused() {
    let keys = mk_keys(&["secret"]);
    let id = keys.sign(&mk_claims()).replace("mp1.", "mi1.");
    let refused = keys.verify(id.as_bytes(), mk_claims().endpoint, NOW);
    assert_eq!(refused, Err(IdError::Forged), "the mark chooses Envoy's route");
}

#[test]
fn an_id_of_another_endpoint_is_refused() {
    let keys = mk_keys(&["secret"]);
    let id = keys.sign(&mk_claims());
    let refused = keys.verify(id.as_bytes(), EndpointHash::of("other"), NOW);
    assert_eq!(refused, Err(IdError::ForeignEndpoint));
}

#[test]
fn an_id_is_valid_until_the_second_it_expires() {
    let keys = mk_keys(&["secret"]);
    let claims = mk_claims();
    let id = keys.sign(&claims);
    let before = Timestamp(claims.expires.0 - 1);
    assert_eq!(keys.verify(id.as_bytes(), claims.endpoint, before), Ok(claims));
    let refused = keys.verify(id.as_bytes(), claims.endpoint, claims.expires);
    assert_eq!(refused, Err(IdError::Expired));
}

#[test]
fn an_id_signed_with_the_previous_key_still_verifies() {
    let claims = mk_claims();
    let id = mk_keys(&["previous"]).sign(&claims);
    let verified = mk_keys(&["current", "previous"]).verify(id.as_bytes(), claims.endpoint, NOW);
    assert_eq!(verified, Ok(claims));
    let refused = mk_keys(&["current"]).verify(id.as_bytes(), claims.endpoint, NOW);
    assert_eq!(refused, Err(IdError::Forged), "the previous key was dropped");
}

#[test]
fn the_first_key_signs() {
    let claims = mk_claims();
    let id = mk_keys(&["current", "previous"]).sign(&claims);
    assert_eq!(id, mk_keys(&["current"]).sign(&claims));
}

#[test]
fn without_secrets_there_are_no_keys() {
    assert!(Keys::derive(&[]).is_none());
}

#[test]
fn keys_do_not_print_their_secrets() {
    assert_eq!(format!("{:?}", mk_keys(&["one", "two"])), "Keys(2)");
}

#[test]
fn ids_keep_their_meaning_from_release_to_release() {
    let expected = "mp1.BAA3qO7BASNFZ4mrze8AESIzRFVmdwBqsTu8AAAAAAAAAADhHj48rwpERx0P-wY22ped";
    assert_eq!(
        mk_keys(&["secret"]).sign(&mk_claims()),
        expected,
        "clients hold ids for weeks"
    );
}

#[test]
fn a_fingerprint_is_the_head_of_the_sha256_in_hex() {
    assert_eq!(&*fingerprint(b"abc"), "ba7816bf8f01cfea");
}
