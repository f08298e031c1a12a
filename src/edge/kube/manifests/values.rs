//! What was chosen for an installation: the chart's defaults, files, single values, Gateways; the later ones win.

use crate::edge::kube::plan::Place;
use serde_json::{Map, Value, json};
use std::str::FromStr;

/// A Gateway that is to have processors: `NAMESPACE/NAME`, or `NAMESPACE/NAME=deployment`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayChoice {
    namespace: String,
    name: String,
    processor: &'static str,
}

/// Why values cannot be used.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ValuesError {
    /// Not YAML, or not a map.
    #[error("values must be a YAML map")]
    NotAMap,
    /// The defaults have no such key: it would have no effect.
    #[error("unknown value: {0}")]
    Unknown(String),
    /// No `=`, or no key before it.
    #[error("write KEY=VALUE, such as controller.replicas=1: {0}")]
    NoAssignment(String),
}

/// Everything together. `files` are texts in YAML, `single` are `KEY=VALUE` with dots in the key.
///
/// # Errors
/// See [`ValuesError`].
pub fn values(files: &[String], single: &[String], gateways: &[GatewayChoice]) -> Result<Value, ValuesError> {
    let mut all = read(super::DEFAULTS)?;
    for file in files {
        merge(&mut all, read(file)?, "")?;
    }
    for assignment in single {
        merge(&mut all, assigned(assignment)?, "")?;
    }
    if let Some(Value::Array(chosen)) = all.get_mut("gateways") {
        chosen.extend(gateways.iter().map(|gateway| {
            let GatewayChoice {
                namespace,
                name,
                processor,
            } = gateway;
            json!({"namespace": namespace, "name": name, "processor": processor})
        }));
    }
    Ok(Value::Object(all))
}

fn read(text: &str) -> Result<Map<String, Value>, ValuesError> {
    match serde_saphyr::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) | Err(_) => Err(ValuesError::NotAMap),
    }
}

fn assigned(assignment: &str) -> Result<Map<String, Value>, ValuesError> {
    let wrong = || ValuesError::NoAssignment(assignment.to_owned());
    let (path, text) = assignment.split_once('=').ok_or_else(wrong)?;
    let mut keys = path.split('.').rev();
    let last = keys.next().filter(|key| !key.is_empty()).ok_or_else(wrong)?;
    let value = serde_saphyr::from_str(text).unwrap_or_else(|_| text.into());
    let innermost = Map::from_iter([(last.to_owned(), value)]);
    Ok(keys.fold(innermost, |inner, key| {
        Map::from_iter([(key.to_owned(), Value::Object(inner))])
    }))
}

/// Maps are merged where the defaults have keys in them; lists and everything else are replaced.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>, at: &str) -> Result<(), ValuesError> {
    for (key, value) in from {
        let path = format!("{at}{key}");
        let Some(known) = into.get_mut(&key) else {
            return Err(ValuesError::Unknown(path));
        };
        match (known, value) {
            (Value::Object(known), Value::Object(value)) if is_open(&key) => overlay(known, value),
            (Value::Object(known), Value::Object(value)) => merge(known, value, &format!("{path}."))?,
            (known, value) => *known = value,
        }
    }
    Ok(())
}

/// Whether Kubernetes' own keys stand below it, rather than the chart's.
fn is_open(key: &str) -> bool {
    matches!(key, "resources" | "nodeSelector" | "affinity" | "podAnnotations")
}

fn overlay(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(value)) => overlay(known, value),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

impl GatewayChoice {
    /// The Gateway.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            namespace: self.namespace.as_str().into(),
            name: self.name.as_str().into(),
        }
    }

    /// Its processors are to be in Envoy's pods.
    #[must_use]
    pub fn is_sidecar(&self) -> bool {
        self.processor == "sidecar"
    }
}

impl FromStr for GatewayChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (place, processor) = text.split_once('=').unwrap_or((text, "sidecar"));
        let processor = match processor {
            "sidecar" => "sidecar",
            "deployment" => "deployment",
            _ => return Err("write sidecar or deployment behind =".to_owned()),
        };
        match place.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => Ok(Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                processor,
            }),
            _ => Err("write NAMESPACE/NAME, such as infra/main".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_values(files: &[&str], single: &[&str]) -> Result<Value, ValuesError> {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
        values(&own(files), &own(single), &[])
    }

    #[test]
    fn single_values_win_over_files_and_files_over_the_defaults() {
        let chosen = mk_values(
            &["controller: {replicas: 3, logLevel: debug}"],
            &["controller.replicas=4"],
        );
        let chosen = chosen.expect("good values");
        assert_eq!(chosen["controller"]["replicas"], 4);
        assert_eq!(chosen["controller"]["logLevel"], "debug");
        assert!(
            chosen["controller"]["resources"]["limits"]["memory"].is_string(),
            "defaults stay"
        );
    }

    #[test]
    fn a_value_without_effect_is_refused() {
        let unknown = |path: &str| Err(ValuesError::Unknown(path.to_owned()));
        assert_eq!(mk_values(&[], &["controller.replica=4"]), unknown("controller.replica"));
        assert_eq!(mk_values(&["image: {name: x}"], &[]), unknown("image.name"));
        assert_eq!(mk_values(&["- a"], &[]), Err(ValuesError::NotAMap));
        assert_eq!(mk_values(&[], &["x"]), Err(ValuesError::NoAssignment("x".to_owned())));
    }

    #[test]
    fn maps_in_kubernetes_words_take_any_key() {
        let chosen = mk_values(
            &["processor: {resources: {limits: {cpu: 1}}, nodeSelector: {a: b}}"],
            &[],
        );
        let limits = &chosen.expect("good values")["processor"]["resources"]["limits"];
        assert!(limits["cpu"] == 1 && limits["memory"].is_string());
    }

    #[test]
    fn a_gateway_is_chosen_by_place_and_kind_of_processor() {
        let sidecar: GatewayChoice = "infra/main".parse().expect("good");
        let deployment: GatewayChoice = "infra/other=deployment".parse().expect("good");
        let chosen = values(&[], &[], &[sidecar, deployment]).expect("good values");
        assert_eq!(
            chosen["gateways"][0],
            json!({"namespace": "infra", "name": "main", "processor": "sidecar"})
        );
        assert_eq!(chosen["gateways"][1]["processor"], "deployment");
        for wrong in ["main", "/main", "a/b/c", "a/b=pod"] {
            assert!(wrong.parse::<GatewayChoice>().is_err(), "{wrong}");
        }
    }
}
