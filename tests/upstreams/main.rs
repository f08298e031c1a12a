//! An MCP server of both eras on one URL: the fixture that the conformance suite asks for, and a puppet for our tests.
//!
//! Prints `listening http://127.0.0.1:PORT/mcp` when it accepts connections. Beside `/mcp`, `/control/...` changes
//! its lists, forgets its sessions, makes it answer what a test wants, and tells what it was asked (see `control`).

#![expect(
    deprecated,
    reason = "rmcp marks what the current revision deprecates; older clients still use it"
)]

mod catalog;
mod control;
mod http;
mod input_required;
mod messages;
mod prompts;
mod questions;
mod resources;
mod server;
mod state;
mod subscriptions;
mod tasks;
mod tools;

use anyhow::Context as _;
use clap::Parser;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// How this server behaves.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The address to listen on.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    host: Ipv4Addr,
    /// The name in `serverInfo`.
    #[arg(long, default_value = "upstream")]
    name: String,
    /// Which revisions it speaks.
    #[arg(long, value_enum, default_value_t = Eras::Both)]
    eras: Eras,
    /// So many tools `generated_0`, `generated_1` ... more.
    #[arg(long, default_value_t = 0)]
    tools: usize,
    /// Besides, a tool `for_NAME_own`, a prompt and a resource of somebody, whom alone they are shown: `x-user`, else the
    /// bearer token, says who asks.
    #[arg(long)]
    visitor: Vec<String>,
    /// Only the generated tools: none of the conformance suite, no prompts, no resources.
    #[arg(long)]
    bare: bool,
    /// Lists come in pages of so many items; 0: one page.
    #[arg(long, default_value_t = 0)]
    page: usize,
    /// Every page names itself as the next one.
    #[arg(long)]
    endless: bool,
    /// Issues no session ids.
    #[arg(long)]
    stateless: bool,
    /// Answers requests with a JSON body where the protocol allows it (only with `--stateless`).
    #[arg(long)]
    json: bool,
    /// Milliseconds that pass before any request is looked at.
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// The bearer token it requires; 401 without.
    #[arg(long)]
    token: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Eras {
    Legacy,
    Modern,
    Both,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind((options.host, options.port))
        .await
        .context("cannot listen")?;
    let address = listener.local_addr()?;
    let state = Arc::new(state::State::new(options));
    println!("listening http://{address}/mcp");
    axum::serve(listener, http::router(state)).await.context("server ended")
}
