//! The manifests that install controller and processors, for `render manifests`: the Helm chart of `deploy/chart`,
//! filled in without Helm. The chart is the only source; what it may use of Helm's language is what [`template`] knows.

mod template;
mod values;

pub use template::TemplateError;
pub use values::{GatewayChoice, ValuesError, values};

use super::resources;
use serde_json::{Value, json};

/// Every template, in the order in which they are to be applied.
const TEMPLATES: [&str; 5] = [
    include_str!("../../../deploy/chart/templates/controller.yaml"),
    include_str!("../../../deploy/chart/templates/rbac.yaml"),
    include_str!("../../../deploy/chart/templates/network-policy.yaml"),
    include_str!("../../../deploy/chart/templates/processors.yaml"),
    include_str!("../../../deploy/chart/templates/sidecars.yaml"),
];
const DEFAULTS: &str = include_str!("../../../deploy/chart/values.yaml");

/// Whether the custom resources are among the manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definitions {
    /// They are, and come first.
    With,
    /// They are not: others' are installed.
    Without,
}

/// All manifests for an installation in `namespace`, which is made as well.
///
/// # Errors
/// A value has a type that its place in a manifest does not fit.
pub fn manifests(values: &Value, namespace: &str, definitions: Definitions) -> Result<String, TemplateError> {
    let root = json!({
        "Values": values,
        "Release": {"Namespace": namespace},
        "Chart": {"AppVersion": env!("CARGO_PKG_VERSION")},
    });
    let mut documents = vec![home(namespace)];
    if definitions == Definitions::With {
        documents.push(resources::definitions());
    }
    for text in TEMPLATES {
        let filled = template::fill(text, &root)?;
        documents.extend(split(&filled));
    }
    Ok(documents.join("---\n"))
}

/// Its pods keep to the strictest of Kubernetes' standards.
fn home(namespace: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n  labels:\n    \
         pod-security.kubernetes.io/enforce: restricted\n"
    )
}

/// The documents of a text that have something in them.
fn split(text: &str) -> Vec<String> {
    let documents = text.split("---\n").map(|document| document.trim_start_matches('\n'));
    let full = documents.filter(|document| document.lines().any(|line| !line.is_empty() && !line.starts_with('#')));
    full.map(|document| format!("{}\n", document.trim_end())).collect()
}

#[cfg(test)]
mod tests;
