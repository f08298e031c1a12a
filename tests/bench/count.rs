//! Does one thing a number of times, for callgrind: `count OPERATION TIMES`. See `instructions.py`.
//!
//! Only what runs within [`measured`] is meant: preparing the inputs is not. `count guards ROUNDS` is for `guarding.py`: it
//! tells what each scene takes.

#![allow(missing_docs, reason = "a program, not a library")]

mod bodies;
mod events;
mod gateway;
mod guards;
mod stream;
mod timing;

use anyhow::{Context, bail};
use gateway::{Gateway, Guard, Story};
use std::hint::black_box;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let operation = arguments.next().context("usage: count OPERATION TIMES")?;
    let times: usize = arguments.next().context("usage: count OPERATION TIMES")?.parse()?;
    if operation == "guards" {
        return timing::tell(times);
    }
    match operation.split_once(' ') {
        Some(("text", length)) => splice(&bodies::text(length.parse()?), times),
        Some(("rows", length)) => splice(&bodies::rows(length.parse()?), times),
        Some(("handle", method)) => handle(story(method)?, times),
        Some(("inspect", event)) => inspect(&events::chunk(event).context("unknown event")?, times),
        Some(("stream", method)) => play(story(method)?, &Guard::default(), times),
        Some(("guard", name)) => {
            let scene = guards::scene(name).context("unknown guard")?;
            play(scene.story, &scene.guard, times);
        }
        Some(_) | None => bail!("unknown operation {operation:?}"),
    }
    Ok(())
}

fn story(method: &str) -> anyhow::Result<Story> {
    let mut all = Story::ALL.into_iter();
    all.find(|story| story.method() == method).context("unknown method")
}

/// Envelope and splice of a call with this argument.
fn splice(argument: &str, times: usize) {
    let body = bodies::call(argument);
    for _ in 0..times {
        measured(|| bodies::rename(&body, "search"));
    }
}

/// The engine alone.
fn handle(story: Story, times: usize) {
    let gateway = Gateway::new();
    gateway.check();
    for _ in 0..times {
        let events = gateway.events(story);
        measured(|| gateway.play(events));
    }
}

/// One event of an inspected stream.
fn inspect(chunk: &bytes::Bytes, times: usize) {
    let mut inspector = events::inspector();
    for _ in 0..times {
        measured(|| inspector.pass(chunk));
    }
}

/// The whole ext_proc stream.
fn play(story: Story, guard: &Guard, times: usize) {
    let gateway = Gateway::guarded(guard);
    let mut front = stream::front(guard);
    let request = || stream::request(&gateway, story, &guard.claims);
    stream::check(&mut front, request(), story, guard.listed);
    for _ in 0..times {
        let request = request();
        measured(|| stream::play(&mut front, request));
    }
}

/// Callgrind counts from here to its return.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) {
    black_box(work());
}
