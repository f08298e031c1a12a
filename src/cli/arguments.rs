//! The grammar of the command line. Nothing is done here; `clap` ends the process with 2 where the grammar is broken.

use super::controller::ControllerArguments;
use super::manifests::ManifestsArguments;
use crate::app::options::{DrainOptions, Listen, RegistryOptions, ServeFrom, ServeOptions, UpOptions};
use crate::edge::config_file::ConfigSource;
use crate::edge::telemetry::log::{self, LogFormat};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Many MCP servers behind one endpoint, on the Envoy you already run.
#[derive(Debug, Parser)]
#[command(
    name = "mcp-manifold",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = "Examples:
  mcp-manifold up --upstream everything=http://127.0.0.1:3001/mcp
  mcp-manifold up -f manifold.yaml
  mcp-manifold status

Exit codes: 0 good, 1 the thing asked failed, 2 wrong usage.")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) log: LogArguments,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// How the program logs.
#[derive(Debug, Args)]
pub(super) struct LogArguments {
    /// Shape of the log lines on standard error
    #[arg(long, global = true, value_enum, default_value = "text", help_heading = "Logging")]
    log_format: Format,
    /// What is logged: error, warn, info, debug, trace, or a filter such as info,mcp_manifold::edge=debug
    #[arg(
        long,
        global = true,
        env = "MCP_MANIFOLD_LOG",
        default_value = "info",
        help_heading = "Logging"
    )]
    #[arg(hide_env_values = true, value_parser = filter)]
    log_level: String,
}

/// Text or JSON, in clap's words.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

impl LogArguments {
    /// Log lines go to standard error from here on.
    pub(super) fn start(&self) -> anyhow::Result<()> {
        let format = match self.log_format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        };
        Ok(log::start(format, &self.log_level)?)
    }
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the whole gateway on this machine: the processor, and Envoy as its child
    ///
    /// Prints one line when it is ready. Reloads FILE when it changes, or on HUP; Ctrl-C or TERM drains and ends it.
    #[command(override_usage = "mcp-manifold up -f FILE [--upstream NAME=URL]... [--envoy PATH]
       mcp-manifold up --upstream NAME=URL... [--envoy PATH]")]
    #[command(after_help = "Examples:
  mcp-manifold up -f manifold.yaml
  mcp-manifold up --upstream github=https://mcp.github.example/mcp --upstream local=http://127.0.0.1:3001/mcp
  mcp-manifold up -f manifold.yaml --envoy /opt/envoy/bin/envoy --log-format json

Envoy is taken from --envoy, else $MCP_MANIFOLD_ENVOY, else `envoy` in PATH.")]
    Up(UpArguments),
    /// Run the processor alone, beside an Envoy that is already there
    #[command(after_help = "Examples:
  mcp-manifold serve -f manifold.yaml --listen unix:/run/mcp-manifold/processor.sock
  mcp-manifold serve -f manifold.yaml --listen 127.0.0.1:9002
  mcp-manifold serve --registry https://mcp-manifold-registry.mcp-system:9443 --registry-certs /etc/mcp-manifold \
    --gateway team/gateway --listen unix:/var/run/mcp-manifold/ext-proc.sock \
    --fallback unix:/var/run/mcp-manifold/fallback.sock --state-dir /var/lib/mcp-manifold")]
    Serve(ServeArguments),
    /// Tell a processor that serves that it, or the Envoy beside it, is about to end
    ///
    /// Streams that clients hold open end, in good order: clients come back where they are served on. Calls are still
    /// served. Meant for a preStop hook in the same pod.
    #[command(after_help = "Examples:
  mcp-manifold drain -f manifold.yaml
  mcp-manifold drain --state-dir /var/lib/mcp-manifold --wait 10s")]
    Drain(DrainArguments),
    /// Run the Kubernetes controller
    ///
    /// Watches the resources that register MCP servers, generates what Envoy Gateway needs, tells processors what to
    /// serve, and writes back how that goes. Of several replicas one leads. The cluster is that of the service account,
    /// or of $KUBECONFIG.
    #[command(after_help = super::controller::EXAMPLES)]
    Controller(ControllerArguments),
    /// Validate a configuration file, the secrets it names included
    ///
    /// Says `FILE: ok`, or names every problem, one line each, and ends with 1.
    #[command(after_help = "Example:
  mcp-manifold check -f manifold.yaml")]
    Check(CheckArguments),
    /// Print what other programs need
    #[command(subcommand)]
    Render(Render),
    /// Show the upstreams of a running gateway
    #[command(after_help = "Examples:
  mcp-manifold status
  mcp-manifold status --admin 127.0.0.1:8002 --json
  mcp-manifold status -f manifold.yaml

A token, where the admin port needs one, comes from FILE's adminToken or $MCP_MANIFOLD_ADMIN_TOKEN.")]
    Status(AskArguments),
    /// Show the merged tools of a running gateway
    #[command(after_help = "Examples:
  mcp-manifold tools
  mcp-manifold tools --json | jq -r '.tools[].name'

A token, where the admin port needs one, comes from FILE's adminToken or $MCP_MANIFOLD_ADMIN_TOKEN.")]
    Tools(AskArguments),
    /// Say which rule decides whether a caller may do something, and why
    ///
    /// Asks a running gateway, which knows the tools, their upstreams and their annotations; with --offline nobody: rules
    /// are tried before they are in force.
    #[command(after_help = "Examples:
  mcp-manifold explain --user '{\"sub\":\"ann\",\"roles\":[\"admin\"],\"scope\":\"mcp:tools\"}' --tool github_delete
  mcp-manifold explain --user ann --tool bank_pay --arguments '{\"amount\":500}'
  mcp-manifold explain --method ping --json
  mcp-manifold explain --offline -f manifold.yaml --tool bank_pay --annotations '{\"destructiveHint\":true}'

A token, where the admin port needs one, comes from FILE's adminToken or $MCP_MANIFOLD_ADMIN_TOKEN.")]
    Explain(ExplainArguments),
    /// Print a completion script for a shell
    #[command(after_help = "Example:
  mcp-manifold completions bash > ~/.local/share/bash-completion/completions/mcp-manifold")]
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// `render`
#[derive(Debug, Subcommand)]
pub(super) enum Render {
    /// Envoy's bootstrap for this configuration
    #[command(after_help = "Examples:
  mcp-manifold render envoy -f manifold.yaml > envoy.yaml
  mcp-manifold render envoy -f manifold.yaml --body-mode buffered --processor 127.0.0.1:9002")]
    Envoy(RenderEnvoyArguments),
    /// The custom resources of a cluster, for kubectl
    #[command(after_help = "Example:
  mcp-manifold render crds | kubectl apply --server-side -f -")]
    Crds,
    /// What installs controller and processors in a cluster, for kubectl; with -f what makes one configuration file a
    /// gateway there
    ///
    /// Without -f the same as the Helm chart in deploy/chart, with the same values. With -f objects for Envoy Gateway
    /// alone; what it cannot express is told on standard error, by its key.
    #[command(after_help = super::manifests::EXAMPLES)]
    Manifests(ManifestsArguments),
}

/// `up`
#[derive(Debug, Args)]
pub(super) struct UpArguments {
    /// Configuration file (YAML)
    #[arg(short, long, value_name = "FILE", required_unless_present = "upstream")]
    file: Option<PathBuf>,
    /// One more upstream; may be given several times, and without a file
    #[arg(long, value_name = "NAME=URL", value_parser = named_url)]
    upstream: Vec<(String, String)>,
    /// Envoy's executable
    #[arg(long, value_name = "PATH", env = "MCP_MANIFOLD_ENVOY")]
    envoy: Option<PathBuf>,
}

/// `serve`
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// Configuration file (YAML); with --registry only settings that are not about endpoints
    #[arg(short, long, value_name = "FILE", required_unless_present = "registry")]
    file: Option<PathBuf>,
    /// Where Envoy reaches the processor; default: ext-proc.sock in the state folder
    #[arg(long, value_name = "unix:PATH|HOST:PORT", env = "MCP_MANIFOLD_LISTEN")]
    listen: Option<Listen>,
    /// Where requests are refused (530) that were sent to no upstream: the backend of public routes on Envoy Gateway
    #[arg(long, value_name = "unix:PATH|HOST:PORT", env = "MCP_MANIFOLD_FALLBACK")]
    fallback: Option<Listen>,
    #[command(flatten)]
    registry: RegistryArguments,
}

/// `serve --registry`
#[derive(Debug, Args)]
#[command(next_help_heading = "Served from a registry")]
struct RegistryArguments {
    /// Controller that says what is served
    #[arg(long, value_name = "URL", env = "MCP_MANIFOLD_REGISTRY", value_parser = registry_url)]
    #[arg(requires_all = ["registry_certs", "gateway"])]
    registry: Option<url::Url>,
    /// Folder with ca.crt, tls.crt and tls.key; read again when they change
    #[arg(long, value_name = "DIR", env = "MCP_MANIFOLD_REGISTRY_CERTS", requires = "registry")]
    registry_certs: Option<PathBuf>,
    /// Gateway whose endpoints are served
    #[arg(long, value_name = "NAMESPACE/NAME", env = "MCP_MANIFOLD_GATEWAY", value_parser = gateway)]
    #[arg(requires = "registry")]
    gateway: Option<String>,
    /// Name of this processor in reports; default: the host's
    #[arg(long, value_name = "NAME", env = "MCP_MANIFOLD_PROCESSOR", requires = "registry")]
    processor: Option<String>,
    /// Admin address, instead of the settings'; other than loopback, all but health and readiness needs
    /// $MCP_MANIFOLD_ADMIN_TOKEN
    // The variable is that of `status` too, so it may well be set without a registry.
    #[arg(long, value_name = "HOST:PORT", env = "MCP_MANIFOLD_ADMIN")]
    admin: Option<std::net::SocketAddr>,
    /// Folder for what outlives a restart: the last assignment, catalogs, sessions
    #[arg(long, value_name = "DIR", env = "MCP_MANIFOLD_STATE_DIR", requires = "registry")]
    state_dir: Option<PathBuf>,
}

/// `drain`
#[derive(Debug, Args)]
pub(super) struct DrainArguments {
    /// Configuration file that the processor runs with, for its state folder
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The processor's state folder; default: FILE's
    #[arg(
        long,
        value_name = "DIR",
        env = "MCP_MANIFOLD_STATE_DIR",
        required_unless_present = "file"
    )]
    state_dir: Option<PathBuf>,
    /// Return only after this long: for a processor that Envoys elsewhere still ask until they have heard that it ends
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    wait: Duration,
}

/// `check`
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Configuration file (YAML)
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: PathBuf,
}

/// `render envoy`
#[derive(Debug, Args)]
pub(super) struct RenderEnvoyArguments {
    /// Configuration file (YAML)
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: PathBuf,
    /// How Envoy hands over request bodies
    #[arg(long, value_enum, default_value = "full-duplex")]
    pub(super) body_mode: BodyMode,
    /// Where the processor listens; default: ext-proc.sock in the state folder
    #[arg(long, value_name = "unix:PATH|HOST:PORT")]
    pub(super) processor: Option<Listen>,
}

/// How Envoy hands over request bodies.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum BodyMode {
    /// Piece by piece, with answers that may stream
    FullDuplex,
    /// Whole
    Buffered,
}

/// `status`, `tools`
#[derive(Debug, Args)]
pub(super) struct AskArguments {
    /// Admin address of the running gateway; default: FILE's, else 127.0.0.1:8002
    #[arg(long, value_name = "ADDR", env = "MCP_MANIFOLD_ADMIN")]
    pub(super) admin: Option<String>,
    /// Configuration file that the gateway runs with, for its admin address and token
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Print JSON as the admin port gives it
    #[arg(long)]
    pub(super) json: bool,
}

/// `explain`
#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// Claims of a token as a JSON object (sub, roles, scope, ...), or a name; default: nobody
    #[arg(long, value_name = "CLAIMS", default_value = "", hide_default_value = true)]
    pub(super) user: String,
    /// Name of the tool, as clients see it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["prompt", "resource"])]
    pub(super) tool: Option<String>,
    /// Name of the prompt, as clients see it
    #[arg(long, value_name = "NAME", conflicts_with = "resource")]
    pub(super) prompt: Option<String>,
    /// URI of the resource
    #[arg(long, value_name = "URI")]
    pub(super) resource: Option<String>,
    /// MCP method; default: the one that uses what is named
    #[arg(long, value_name = "METHOD", required_unless_present_any = ["tool", "prompt", "resource"])]
    pub(super) method: Option<String>,
    /// Arguments of the call, JSON
    #[arg(long, value_name = "JSON")]
    pub(super) arguments: Option<String>,
    /// What the client calls itself
    #[arg(long, value_name = "NAME")]
    pub(super) client: Option<String>,
    /// Headers of the request: a JSON object, names in lower case
    #[arg(long, value_name = "JSON")]
    pub(super) headers: Option<String>,
    /// Without a running gateway: the rules of FILE, with the tools that its state folder has kept
    #[arg(long, requires = "file")]
    pub(super) offline: bool,
    /// With --offline: annotations of a tool that is not known, a JSON object; {} for none
    #[arg(long, value_name = "JSON", requires = "offline")]
    pub(super) annotations: Option<String>,
    #[command(flatten)]
    pub(super) ask: AskArguments,
}

// === what app gets ===

impl UpArguments {
    pub(super) fn into_options(self) -> UpOptions {
        UpOptions {
            source: ConfigSource {
                file: self.file,
                upstreams: self.upstream,
            },
            envoy: self.envoy.filter(|path| !path.as_os_str().is_empty()),
        }
    }
}

impl ServeArguments {
    pub(super) fn into_options(self) -> ServeOptions {
        let source = ConfigSource {
            file: self.file,
            upstreams: Vec::new(),
        };
        ServeOptions {
            from: self.registry.from(source),
            listen: self.listen,
            fallback: self.fallback,
        }
    }
}

impl DrainArguments {
    pub(super) fn into_options(self) -> DrainOptions {
        DrainOptions {
            source: ConfigSource {
                file: self.file,
                upstreams: Vec::new(),
            },
            state_dir: self.state_dir,
            wait: self.wait,
        }
    }
}

impl RegistryArguments {
    /// The grammar lets all three come together only.
    fn from(self, source: ConfigSource) -> ServeFrom {
        let (Some(url), Some(certs), Some(gateway)) = (self.registry, self.registry_certs, self.gateway) else {
            return ServeFrom::File(source);
        };
        ServeFrom::Registry(Box::new(RegistryOptions {
            url,
            certs,
            gateway,
            name: self.processor.unwrap_or_else(host_name),
            settings: source,
            admin: self.admin,
            state_dir: self.state_dir,
        }))
    }
}

/// In a cluster that of the pod.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "processor".to_owned(),
        name => name.to_owned(),
    }
}

fn filter(text: &str) -> Result<String, String> {
    // An empty environment variable counts as an absent one.
    let text = if text.is_empty() { "info" } else { text };
    match log::check(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn registry_url(text: &str) -> Result<url::Url, String> {
    let complaint = || "write https://HOST:PORT, such as https://mcp-manifold-registry.mcp-system:9443".to_owned();
    let url: url::Url = text.parse().map_err(|_| complaint())?;
    match (url.scheme(), url.has_host()) {
        ("https", true) => Ok(url),
        _ => Err(complaint()),
    }
}

fn gateway(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(text.to_owned())
        }
        _ => Err("write NAMESPACE/NAME, such as team/gateway".to_owned()),
    }
}

fn named_url(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, url)) if !name.is_empty() && url.contains("://") => Ok((name.to_owned(), url.to_owned())),
        _ => Err("write name=URL, such as github=https://mcp.example.com/mcp".to_owned()),
    }
}
