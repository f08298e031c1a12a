//! What does the engine cost per body and per exchange? Each bench answers the question that is its name.

mod bodies;
mod events;
mod gateway;

use bodies::{DEPTH, call, rename, rows, text};
use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gateway::{Gateway, Story};
use mcp_manifold::engine::jsonrpc::Envelope;
use std::hint::black_box;

criterion_group!(benches, scan, splice, handle, inspect);
criterion_main!(benches);

fn scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("what does it cost to find the tool's name");
    for (size, body) in mk_bodies() {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &body, |bencher, body| {
            bencher.iter(|| Envelope::scan(black_box(body), DEPTH).map(|envelope| envelope.params.string("name")));
        });
    }
    group.finish();
}

fn splice(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("what does it cost to find and replace the tool's name");
    for (size, body) in mk_bodies() {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &body, |bencher, body| {
            bencher.iter(|| rename(black_box(body), "search"));
        });
    }
    group.finish();
}

fn handle(criterion: &mut Criterion) {
    let gateway = Gateway::new();
    gateway.check();
    let mut group = criterion.benchmark_group("what does the engine take for a whole exchange");
    for story in Story::ALL {
        group.bench_function(story.method(), |bencher| {
            bencher.iter_batched(
                || gateway.events(story),
                |events| gateway.play(events),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn inspect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("what does it cost to look at an event of an upstream");
    for name in ["comment", "progress", "result", "request", "large"] {
        let chunk = events::chunk(name).expect("it is one of them");
        group.throughput(Throughput::Bytes(chunk.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &chunk, |bencher, chunk| {
            let mut inspector = events::inspector();
            bencher.iter(|| inspector.pass(black_box(chunk)));
        });
    }
    group.finish();
}

/// Calls with arguments from nothing to 1 MiB, as text and as nested values.
fn mk_bodies() -> Vec<(&'static str, Bytes)> {
    let line = r#"    let x = \"caf\u00e9\";\n"#;
    vec![
        ("call of 150 B", call("1")),
        ("call with 10 KB of text", call(&text(10_000))),
        ("call with 1 MiB of text", call(&text(1 << 20))),
        (
            "call with 1 MiB of escaped text",
            call(&format!("\"{}\"", line.repeat((1 << 20) / line.len()))),
        ),
        ("call with 1 MiB of rows", call(&rows(1 << 20))),
    ]
}
