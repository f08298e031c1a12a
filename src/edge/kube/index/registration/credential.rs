//! What a registration keeps in Secrets: the credential towards its server, and whom TLS trusts.
//!
//! A Secret is read only if its owner has labelled it for this use, as with Kuadrant.

use crate::edge::kube::index::object::place;
use crate::edge::kube::index::problem::{Problem, Why};
use crate::edge::kube::index::store::Reader;
use crate::edge::kube::index::trust;
use crate::edge::kube::plan::Place;
use crate::edge::kube::resources::SecretKey;
use crate::engine::config::{Confidential, Credential, Secret};
use std::sync::Arc;

/// The label that opens a Secret for registrations.
pub(crate) const LABEL: &str = "mcp.kuadrant.io/secret";

/// The value of `Authorization`, verbatim.
///
/// # Errors
/// `SecretNotFound`, `SecretInvalid`; the message never holds the value.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    namespace: &Arc<str>,
    reference: &SecretKey,
) -> Result<Credential, Problem> {
    let at = place(namespace, &reference.name);
    let key = reference.key_or("token");
    let data = labelled(reader, &at)?;
    let invalid = |what: &str| Problem::new(Why::SecretInvalid, format!("Secret {at} key {key:?} {what}"));
    let bytes = data
        .data
        .as_ref()
        .and_then(|data| data.get(key))
        .ok_or_else(|| invalid("does not exist"))?;
    let text = std::str::from_utf8(&bytes.0).map_err(|_| invalid("is not text"))?;
    // Files end with a line end, and Secrets are made of files.
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(invalid("is empty"));
    }
    if http::HeaderValue::from_str(text).is_err() {
        return Err(invalid("cannot be sent as a header"));
    }
    Ok(Credential {
        header: "authorization".to_owned(),
        value: Secret::Value(Confidential(text.into())),
    })
}

/// PEM certificates.
///
/// # Errors
/// `SecretNotFound`, `SecretInvalid`.
pub(crate) fn authority(
    reader: &mut Reader<'_>,
    namespace: &Arc<str>,
    reference: &SecretKey,
) -> Result<String, Problem> {
    let at = place(namespace, &reference.name);
    labelled(reader, &at)?;
    trust::authority(reader, "", "Secret", &at, reference.key_or(trust::CA_KEY))
}

fn labelled<'a>(reader: &mut Reader<'a>, at: &Place) -> Result<&'a Arc<k8s_openapi::api::core::v1::Secret>, Problem> {
    let missing = || {
        Problem::new(
            Why::SecretNotFound,
            format!("Secret {at} does not exist, or lacks the label {LABEL}=true"),
        )
    };
    let secret = reader.secret(at).ok_or_else(missing)?;
    let label = secret.metadata.labels.as_ref().and_then(|labels| labels.get(LABEL));
    if label.is_some_and(|value| value == "true") {
        Ok(secret)
    } else {
        Err(Problem::new(
            Why::SecretInvalid,
            format!("Secret {at} lacks the label {LABEL}=true"),
        ))
    }
}
