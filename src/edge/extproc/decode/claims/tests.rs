//! Against the generated types: what is read is what was said.

use super::super::decode;
use super::*;
use crate::engine::exchange::Message;
use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::{HttpHeaders, ProcessingRequest};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value as Any};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;
use std::collections::HashMap;

fn said(value: &Json) -> Any {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(*flag),
        Json::Number(number) => Kind::NumberValue(number.as_f64().expect("a number")),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(list) => Kind::ListValue(ListValue {
            values: list.iter().map(said).collect(),
        }),
        Json::Object(object) => Kind::StructValue(said_object(object)),
    };
    Any { kind: Some(kind) }
}

fn said_object(object: &Claims) -> Struct {
    Struct {
        fields: object.iter().map(|(name, value)| (name.clone(), said(value))).collect(),
    }
}

fn mk_metadata(filter: &str, said: &Json) -> Metadata {
    let group = said_object(said.as_object().expect("an object"));
    Metadata {
        filter_metadata: HashMap::from([(filter.to_owned(), group), ("other".to_owned(), Struct::default())]),
        ..Metadata::default()
    }
}

fn read(metadata: Option<Metadata>) -> Option<Claims> {
    let request = ProcessingRequest {
        request: Some(Request::RequestHeaders(HttpHeaders::default())),
        metadata_context: metadata,
        ..ProcessingRequest::default()
    };
    let inbound = decode(&Bytes::from(request.encode_to_vec())).expect("served");
    let Some(Message::RequestHeaders(head)) = inbound.message else {
        panic!("request headers")
    };
    head.claims.map(|claims| *claims)
}

#[test]
fn the_payload_is_read_under_any_name() {
    let payload = json!({"iss": "i", "sub": "s", "exp": 1_900_000_000, "n": 1.5, "aud": ["a", "b"],
        "realm_access": {"roles": ["x"]}, "yes": true, "no": null});
    for key in ["claims", "https://idp"] {
        let metadata = mk_metadata("envoy.filters.http.jwt_authn", &json!({ key: payload }));
        assert_eq!(read(Some(metadata)).map(Json::Object), Some(payload.clone()));
    }
}

#[test]
fn without_a_verified_token_there_are_no_claims() {
    let payload = json!({"claims": {"iss": "i", "sub": "s"}});
    assert_eq!(read(None), None);
    assert_eq!(read(Some(mk_metadata("another.filter", &payload))), None);
    let failed = json!({"failure": {"code": 16, "message": "Jwt is expired"}});
    assert_eq!(read(Some(mk_metadata("envoy.filters.http.jwt_authn", &failed))), None);
    let text = json!({"claims": "iss"});
    assert_eq!(read(Some(mk_metadata("envoy.filters.http.jwt_authn", &text))), None);
}

#[test]
fn a_token_without_a_bottom_is_refused() {
    let mut deep = json!("bottom");
    for _ in 0..40 {
        deep = json!([deep]);
    }
    let metadata = mk_metadata(
        "envoy.filters.http.jwt_authn",
        &json!({"claims": {"iss": "i", "deep": deep}}),
    );
    let request = ProcessingRequest {
        request: Some(Request::RequestHeaders(HttpHeaders::default())),
        metadata_context: Some(metadata),
        ..ProcessingRequest::default()
    };
    assert!(decode(&Bytes::from(request.encode_to_vec())).is_err());
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        (-(1_i64 << 53) + 1..1 << 53).prop_map(Json::from),
        ".{0,8}".prop_map(Json::String),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::hash_map(".{0,6}", inner, 0..4).prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn claims_arrive_as_they_were_sent(value in any_json()) {
        let payload = json!({"iss": "i", "x": value});
        let metadata = mk_metadata("envoy.filters.http.jwt_authn", &json!({ "claims": payload }));
        prop_assert_eq!(read(Some(metadata)).map(Json::Object), Some(payload));
    }
}
