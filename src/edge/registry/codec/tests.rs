//! Values that travel, and those that must not.

use super::super::difference::tests::mk_upstream;
use super::*;
use proptest::prelude::*;
use prost::Message;

#[test]
fn an_upstream_comes_out_as_it_went_in() {
    let plain = Upstream {
        credential: None,
        ca: None,
        enabled: false,
        via: Via::Envoy,
        protocol: Protocol::Streamable,
        eras: Eras::Modern,
        merge: true,
        addresses: Vec::new(),
        ..mk_upstream("a.b-c", 80)
    };
    for upstream in [mk_upstream("a", 8080), plain] {
        let read = read_upstream(write_upstream(&upstream).expect("values"));
        assert_eq!(read, Ok(upstream));
    }
}

#[test]
fn a_reference_to_a_file_or_variable_does_not_travel() {
    let mut upstream = mk_upstream("a", 1);
    upstream.ca = Some(Authority::File("/etc/ca.pem".into()));
    let error = write_upstream(&upstream).err().expect("refused");
    assert_eq!(
        error.to_string(),
        "upstream a: its certificate authority is a reference, not a value"
    );
    for value in [Secret::Env("HOME".to_owned()), Secret::File("/etc/passwd".into())] {
        let header = "authorization".to_owned();
        upstream.credential = Some(Credential { header, value });
        let error = write_upstream(&upstream).err().expect("refused");
        assert_eq!(
            error.to_string(),
            "upstream a: its credential is a reference, not a value"
        );
    }
}

#[test]
fn what_a_processor_cannot_use_is_named_without_its_value() {
    type Harm = fn(&mut proto::Upstream);
    let cases: [(&str, Harm); 8] = [
        ("name", |raw| raw.name = "../../etc/passwd".to_owned()),
        ("prefix", |raw| raw.prefix = "ä_".to_owned()),
        ("url", |raw| raw.url = "unix:/run/s".to_owned()),
        ("via", |raw| raw.via = 7),
        ("eras", |raw| raw.eras = -1),
        ("credential", |raw| {
            raw.credential = Some(proto::Credential {
                header: "authorization".to_owned(),
                value: "very\nsecret".to_owned(),
            });
        }),
        ("headers", |raw| {
            raw.headers = vec![proto::Header {
                name: "X-Upper".to_owned(),
                value: "x".to_owned(),
            }];
        }),
        ("addresses", |raw| raw.addresses = vec!["localhost:80".to_owned()]),
    ];
    for (field, change) in cases {
        let mut raw = write_upstream(&mk_upstream("a", 1)).expect("values");
        change(&mut raw);
        let error = read_upstream(raw).expect_err(field).to_string();
        assert!(error.contains(&format!(": {field} ")), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(raw) = proto::Upstream::decode(&*bytes) {
            let _ = read_upstream(raw);
        }
        if let Ok(raw) = proto::Endpoint::decode(&*bytes) {
            let _ = read_endpoint(raw);
        }
    }
}
