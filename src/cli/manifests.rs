//! `render manifests`: prints what installs controller and processors in a cluster.

use crate::edge::kube::manifests::{Definitions, GatewayChoice, manifests, values};
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "Examples:
  mcp-manifold render manifests --gateway infra/main | kubectl apply --server-side -f -
  mcp-manifold render manifests --namespace mcp-system --gateway infra/main=deployment --set controller.replicas=1
  mcp-manifold render manifests --no-crds -f values.yaml";

/// `render manifests`
#[derive(Debug, Args)]
pub(super) struct ManifestsArguments {
    /// Where the controller is to run
    #[arg(short, long, value_name = "NAMESPACE", default_value = "mcp-manifold-system")]
    namespace: String,
    /// A Gateway that gets processors: in Envoy's pods, or with =deployment in their own; may be given several times
    #[arg(long, value_name = "NAMESPACE/NAME[=sidecar|=deployment]")]
    gateway: Vec<GatewayChoice>,
    /// Values for deploy/chart/values.yaml (YAML); may be given several times
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// A single value; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Leave the custom resource definitions out: others' are installed
    #[arg(long)]
    no_crds: bool,
}

pub(super) fn run(arguments: &ManifestsArguments) -> anyhow::Result<()> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    let files: Vec<String> = arguments.file.iter().map(read).collect::<Result<_, _>>()?;
    let values = values(&files, &arguments.set, &arguments.gateway)?;
    let definitions = match arguments.no_crds {
        true => Definitions::Without,
        false => Definitions::With,
    };
    super::print(&manifests(&values, &arguments.namespace, definitions)?)
}
