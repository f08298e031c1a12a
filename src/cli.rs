//! What people type: the commands, their options, their exit codes (0 good, 1 the thing asked failed, 2 wrong usage).
//!
//! One thin function per command. `up` and `serve` hand plain option structs to `app`; the others do their small
//! errand here. Results go to standard output, everything else to standard error.

mod arguments;
mod ask;
mod check;
mod controller;
mod manifests;
mod of_file;
mod render;
mod table;

use arguments::{Arguments, Command, Render};
use clap::{CommandFactory, Parser};
use std::io::Write;
use std::process::ExitCode;

/// Reads the arguments of the process, does what they ask and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let log = arguments.log;
    match arguments.command {
        Command::Up(up) => {
            log.start()?;
            crate::app::up(up.into_options())
        }
        Command::Serve(serve) => {
            log.start()?;
            crate::app::serve(serve.into_options())
        }
        Command::Drain(drain) => crate::app::drain(drain.into_options()),
        Command::Controller(controller) => {
            log.start()?;
            crate::app::controller(controller.into_options())
        }
        Command::Check(check) => check::run(&check),
        Command::Render(Render::Envoy(envoy)) => render::envoy(&envoy),
        Command::Render(Render::Manifests(manifests)) => manifests::run(&manifests),
        Command::Render(Render::Crds) => print(&crate::edge::kube::resources::definitions()),
        Command::Status(ask) => ask::status(&ask),
        Command::Tools(ask) => ask::tools(&ask),
        Command::Explain(explain) => ask::explain(&explain),
        Command::Completions { shell } => print(&completions(shell)),
    }
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "mcp-manifold", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes a result. A reader that went away early (`| head`) is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// One line per problem where the error is a list of them, else `error: ...`.
fn complain(error: &anyhow::Error) {
    if error.is::<check::Findings>()
        || error.is::<crate::edge::config_file::LoadError>()
        || error.is::<of_file::Impossible>()
    {
        eprintln!("{error}");
    } else {
        eprintln!("error: {error:#}");
    }
}

#[cfg(test)]
mod tests;
