//! `status` and `tools`: questions to a running gateway, shown as tables or as the JSON that came back.

use super::arguments::{AskArguments, ExplainArguments};
use super::table::{Cell, Look, Table};
use crate::edge::ask::AdminClient;
use crate::edge::config_file::ConfigSource;
use crate::edge::secrets;
use crate::engine::mcp::Era;
use crate::engine::policy::{Explained, Question};
use crate::engine::status::{GatewayStatus, Tool, ToolList, UpstreamStatus};
use anyhow::Context;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

const DEFAULT_ADMIN: &str = "127.0.0.1:8002";

pub(super) fn status(arguments: &AskArguments) -> anyhow::Result<()> {
    let body = get(arguments, "/status")?;
    if arguments.json {
        return super::print(&with_line_end(body));
    }
    let status: GatewayStatus = serde_json::from_str(&body).context("the answer is not a gateway's status")?;
    super::print(&status_text(&status, Look::of_stdout()))
}

pub(super) fn tools(arguments: &AskArguments) -> anyhow::Result<()> {
    let body = get(arguments, "/tools")?;
    if arguments.json {
        return super::print(&with_line_end(body));
    }
    let list: ToolList = serde_json::from_str(&body).context("the answer is not a list of tools")?;
    super::print(&tools_text(&list.tools, Look::of_stdout()))
}

pub(super) fn explain(arguments: &ExplainArguments) -> anyhow::Result<()> {
    let body = match (arguments.offline, &arguments.ask.file) {
        (true, Some(file)) => serde_json::to_string(&offline(arguments, file)?)?,
        (_, _) => get(&arguments.ask, &question(arguments))?,
    };
    if arguments.ask.json {
        return super::print(&with_line_end(body));
    }
    let explained: Explained = serde_json::from_str(&body).context("the answer is not an explanation")?;
    super::print(&explained_text(&explained, Look::of_stdout()))
}

/// What the rules of the file say.
fn offline(arguments: &ExplainArguments, file: &Path) -> anyhow::Result<Explained> {
    let source = ConfigSource {
        file: Some(file.to_owned()),
        upstreams: Vec::new(),
    };
    let asked = Question {
        user: arguments.user.clone(),
        tool: arguments.tool.clone(),
        prompt: arguments.prompt.clone(),
        resource: arguments.resource.clone(),
        method: arguments.method.clone(),
        arguments: arguments.arguments.clone(),
        client: arguments.client.clone(),
        headers: arguments.headers.clone(),
    };
    crate::app::explain(source.load()?, &asked, arguments.annotations.as_deref())
}

/// Path and query of the question.
fn question(arguments: &ExplainArguments) -> String {
    let mut query = url::form_urlencoded::Serializer::new("/explain?".to_owned());
    let given = [
        ("user", Some(&arguments.user)),
        ("tool", arguments.tool.as_ref()),
        ("prompt", arguments.prompt.as_ref()),
        ("resource", arguments.resource.as_ref()),
        ("method", arguments.method.as_ref()),
        ("arguments", arguments.arguments.as_ref()),
        ("client", arguments.client.as_ref()),
        ("headers", arguments.headers.as_ref()),
    ];
    for (key, value) in given {
        if let Some(value) = value {
            query.append_pair(key, value);
        }
    }
    query.finish()
}

pub(super) fn explained_text(explained: &Explained, look: Look) -> String {
    let mut table = Table::new("RULE ACTION OUTCOME EXPRESSION", look);
    for step in &explained.steps {
        table.row(vec![
            Cell::plain(&step.rule),
            Cell::plain(&step.action),
            Cell::plain(&step.outcome),
            Cell::plain(&step.expression),
        ]);
    }
    let mut text = if explained.steps.is_empty() {
        String::new()
    } else {
        table.render() + "\n"
    };
    let rule = explained.rule.as_deref().map_or("no rule", |rule| rule);
    let verdict = match explained.verdict.as_str() {
        "scopes" => "more scopes are needed",
        "hidden" => "hidden: as if it were not there",
        verdict => verdict,
    };
    text.push_str(&format!("{verdict} ({})", super::table::plain(rule)));
    if let Some(message) = &explained.message {
        text.push_str(&format!(": {}", super::table::plain(message)));
    }
    text.push('\n');
    text
}

fn get(arguments: &AskArguments, path: &str) -> anyhow::Result<String> {
    let client = client(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(client.get(path))?)
}

/// The address and token: the command line first, then the environment, then the file.
fn client(arguments: &AskArguments) -> anyhow::Result<AdminClient> {
    let config = match &arguments.file {
        Some(file) => Some(
            ConfigSource {
                file: Some(file.clone()),
                upstreams: Vec::new(),
            }
            .load()?,
        ),
        None => None,
    };
    let given = arguments.admin.as_ref().filter(|address| !address.is_empty());
    let address = match (given, &config) {
        (Some(address), _) => address.clone(),
        (None, Some(config)) => reachable(config.admin).to_string(),
        (None, None) => DEFAULT_ADMIN.to_owned(),
    };
    let secret = config.as_ref().and_then(|config| config.admin_token.as_ref());
    let token = match secret {
        Some(secret) => Some(secrets::resolve(secret).context("adminToken")?),
        None => std::env::var("MCP_MANIFOLD_ADMIN_TOKEN")
            .ok()
            .filter(|token| !token.is_empty()),
    };
    Ok(AdminClient::new(&address, token))
}

/// An address that listens everywhere is asked on loopback.
fn reachable(admin: SocketAddr) -> SocketAddr {
    match admin.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, admin.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, admin.port()).into(),
        IpAddr::V4(_) | IpAddr::V6(_) => admin,
    }
}

pub(super) fn status_text(status: &GatewayStatus, look: Look) -> String {
    const COLUMNS: &str = "NAME PREFIX READY REASON ERAS VERSION TOOLS PROMPTS RESOURCES LASTLISTED";
    let mut table = Table::new(COLUMNS, look);
    for upstream in &status.upstreams {
        table.row(status_row(upstream));
    }
    let mut text = table.render();
    if let Some(error) = &status.config_error {
        text.push_str(&format!(
            "\nconfiguration: the file on disk is not in force: {}\n",
            super::table::plain(error)
        ));
    }
    for trouble in &status.state_errors {
        text.push_str(&format!(
            "\nstate folder: {} cannot be written, a restart would not know them: {}\n",
            trouble.part.as_str(),
            super::table::plain(&trouble.error)
        ));
    }
    for upstream in &status.upstreams {
        let error = upstream.last_error.iter().map(|error| ("", error));
        let warnings = upstream.warnings.iter().map(|warning| ("warning: ", warning));
        for (mark, line) in error.chain(warnings) {
            text.push_str(&format!("{}: {mark}{}\n", upstream.name, super::table::plain(line)));
        }
    }
    text
}

fn status_row(upstream: &UpstreamStatus) -> Vec<Cell> {
    vec![
        Cell::plain(&upstream.name),
        Cell::plain(&upstream.prefix),
        if upstream.ready {
            Cell::good("yes")
        } else {
            Cell::bad("no")
        },
        Cell::plain(upstream.reason.as_str()),
        Cell::plain(&eras(&upstream.eras)),
        Cell::plain(upstream.protocol_version.map_or("-", |version| version.as_str())),
        Cell::plain(&upstream.tools.to_string()),
        Cell::plain(&upstream.prompts.to_string()),
        Cell::plain(&upstream.resources.to_string()),
        Cell::plain(upstream.last_listed.as_deref().unwrap_or("-")),
    ]
}

pub(super) fn tools_text(tools: &[Tool], look: Look) -> String {
    let mut table = Table::new("NAME UPSTREAM ERAS DESCRIPTION", look);
    for tool in tools {
        let first_line = tool
            .description
            .as_deref()
            .unwrap_or("")
            .trim_start()
            .lines()
            .next()
            .unwrap_or("");
        table.row(vec![
            Cell::plain(&tool.name),
            Cell::plain(&tool.upstream),
            Cell::plain(&eras(&tool.eras)),
            Cell::plain(first_line),
        ]);
    }
    table.render()
}

fn eras(eras: &[Era]) -> String {
    if eras.is_empty() {
        return "-".to_owned();
    }
    eras.iter().map(|era| era.as_str()).collect::<Vec<_>>().join(",")
}

fn with_line_end(mut body: String) -> String {
    if !body.ends_with('\n') {
        body.push('\n');
    }
    body
}
