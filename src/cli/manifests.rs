//! `render manifests`: prints what installs controller and processors in a cluster.

use crate::edge::kube::manifests::{Definitions, GatewayChoice, manifests, values};
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "Examples:
  mcp-manifold render manifests --gateway infra/main | kubectl apply --server-side -f -
  mcp-manifold render manifests --namespace mcp-system --gateway infra/main=deployment --set controller.replicas=1
  mcp-manifold render manifests --no-crds --values values.yaml
  mcp-manifold render manifests -f manifold.yaml --gateway infra/mcp --with-secrets | kubectl apply --server-side -f -";

/// `render manifests`
#[derive(Debug, Args)]
pub(super) struct ManifestsArguments {
    /// Configuration file (YAML): prints the Gateway, routes and policies that make it a gateway on Envoy Gateway,
    /// without controller
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// A Gateway that gets processors: in Envoy's pods, or with =deployment in their own; may be given several times.
    /// With -f the one that is made, in Envoy's pods; default: mcp/mcp
    #[arg(long, value_name = "NAMESPACE/NAME[=sidecar|=deployment]")]
    pub(super) gateway: Vec<GatewayChoice>,
    /// Values for deploy/chart/values.yaml (YAML); may be given several times
    #[arg(long, value_name = "FILE")]
    values: Vec<PathBuf>,
    /// A single value; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where the controller is to run
    #[arg(
        short,
        long,
        value_name = "NAMESPACE",
        default_value = "mcp-manifold-system",
        conflicts_with = "file"
    )]
    namespace: String,
    /// Leave the custom resource definitions out: others' are installed
    #[arg(long, conflicts_with = "file")]
    no_crds: bool,
    /// With -f: a GatewayClass that is there already; default: one is made
    #[arg(long, value_name = "NAME", requires = "file")]
    pub(super) gateway_class: Option<String>,
    /// With -f: print the Secrets too, with what environment and files hold now
    #[arg(long, requires = "file")]
    pub(super) with_secrets: bool,
}

pub(super) fn run(arguments: &ManifestsArguments) -> anyhow::Result<()> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    let files: Vec<String> = arguments.values.iter().map(read).collect::<Result<_, _>>()?;
    if let Some(file) = &arguments.file {
        let values = values(&files, &arguments.set, &[])?;
        return super::of_file::run(file, arguments, &values);
    }
    let values = values(&files, &arguments.set, &arguments.gateway)?;
    let definitions = match arguments.no_crds {
        true => Definitions::Without,
        false => Definitions::With,
    };
    super::print(&manifests(&values, &arguments.namespace, definitions)?)
}

#[cfg(test)]
mod tests {
    use super::super::arguments::Arguments;
    use super::*;
    use clap::{CommandFactory, Parser};
    use serde_json::Value;

    /// The containers of everything that can be installed.
    fn containers() -> Vec<Value> {
        let gateways = ["infra/main", "infra/other=deployment"].map(|text| text.parse().expect("good"));
        let values = values(&[], &[], &gateways).expect("good values");
        let text = manifests(&values, "home", Definitions::Without).expect("it can be rendered");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("it is YAML");
        let patch = "/spec/provider/kubernetes/envoyDeployment/patch/value/spec/template/spec/initContainers/0";
        let found = |document: &Value| {
            let own = document.pointer("/spec/template/spec/containers/0");
            own.or_else(|| document.pointer(patch)).cloned()
        };
        documents.iter().filter_map(found).collect()
    }

    /// The same as the container's command line, with its variables as options.
    fn command_line(container: &Value) -> Vec<String> {
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let mut line = vec!["mcp-manifold".to_owned()];
        line.extend(container["args"].as_array().expect("a list").iter().map(text));
        let mut grammar = Arguments::command();
        grammar.build();
        let command = line
            .get(1)
            .and_then(|name| grammar.find_subcommand(name))
            .expect("a command");
        for variable in container["env"].as_array().expect("a list") {
            let name = text(&variable["name"]);
            let option = command
                .get_arguments()
                .find(|option| option.get_env() == Some(name.as_ref()));
            let option = option.unwrap_or_else(|| panic!("{} takes no {name}", command.get_name()));
            // What the cluster fills in is a name.
            let value = variable["value"].as_str().unwrap_or("name");
            line.push(format!("--{}={value}", option.get_long().expect("all have one")));
        }
        line
    }

    #[test]
    fn what_is_installed_starts_with_arguments_and_variables_that_exist() {
        let containers = containers();
        assert_eq!(containers.len(), 3, "controller, processor, sidecar");
        for container in containers {
            let line = command_line(&container);
            if let Err(error) = Arguments::try_parse_from(&line) {
                panic!("{line:?}: {error}");
            }
        }
    }
}
