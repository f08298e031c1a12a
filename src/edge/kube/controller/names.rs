//! How the Secrets of a Gateway are named and labelled.

use crate::edge::kube::objects::names::{self, Purpose};
use crate::edge::kube::plan::Place;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The Secret with the certificate of a Gateway's processors, as the chart calls it too.
pub(super) fn certificate(gateway: &Place) -> String {
    names::processors(gateway)
}

/// The Secret with the keys of a Gateway's processors.
pub(super) fn keys(gateway: &Place) -> String {
    format!("{}-keys", names::processors(gateway))
}

/// The labels of both.
pub(super) fn labels(gateway: &Place) -> BTreeMap<String, String> {
    let labels = [
        (names::MANAGED_BY, names::MANAGER.to_owned()),
        (names::GATEWAY, names::gateway_label(gateway)),
        (names::PURPOSE, Purpose::Processor.as_str().to_owned()),
    ];
    labels.map(|(key, value)| (key.to_owned(), value)).into()
}

/// The value of the label that tells for which Gateway something is there.
pub(super) fn label(gateway: &Place) -> Arc<str> {
    names::gateway_label(gateway).into()
}
