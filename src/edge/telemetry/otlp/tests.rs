use super::*;
use crate::engine::config::file::parse;
use crate::engine::exchange::Traced;
use crate::engine::exchange::record::Way;
use crate::engine::mcp::trace::TraceContext;
use std::path::Path;
use tokio::net::TcpListener;

fn mk_telemetry(port: u16) -> Telemetry {
    let text = format!("telemetry: {{ otlp: 'http://127.0.0.1:{port}' }}\nupstreams: [{{name: a, url: 'http://a/'}}]");
    let config = parse(&text, Path::new("/"), Path::new("/")).expect("valid");
    config.telemetry.expect("given")
}

fn mk_record() -> Record {
    Record {
        way: Way::Answer,
        trace: Some(Box::new(Traced {
            own: TraceContext {
                trace: 1,
                span: 1,
                sampled: true,
            },
            ..Traced::default()
        })),
        ..Record::default()
    }
}

fn leave(spans: &Spans, count: usize) {
    for _ in 0..count {
        spans.record(&mk_record(), Duration::ZERO, SystemTime::now());
    }
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    // Refuses everybody from now on.
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (spans, exporter) = open(&mk_telemetry(port), None).expect("an address");
    let counts = Arc::clone(&spans.counts);
    leave(&spans, QUEUE + 100);
    assert_eq!(counts.dropped.load(Relaxed), 100, "the queue is full");
    let stop = CancellationToken::new();
    let running = tokio::spawn(exporter.run(String::new, stop.clone()));
    while counts.dropped.load(Relaxed) < 100 + BATCH as u64 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    leave(&spans, 1);
    stop.cancel();
    running.await.expect("it ends");
    assert_eq!(counts.sent.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_collector_that_says_nothing() {
    // Takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let (spans, exporter) = open(&mk_telemetry(port), None).expect("an address");
    leave(&spans, 3);
    let stop = CancellationToken::new();
    let running = tokio::spawn(exporter.run(String::new, stop.clone()));
    tokio::time::sleep(GATHER * 2).await;
    let began = Instant::now();
    leave(&spans, 1);
    stop.cancel();
    running.await.expect("it ends");
    assert!(
        began.elapsed() <= FAREWELL + Duration::from_millis(10),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn spans_gather_for_a_moment() {
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    for _ in 0..BATCH + 1 {
        sender.try_send(proto::Span::default()).expect("room");
    }
    assert_eq!(gather(&mut receiver).await.len(), BATCH, "a full one goes at once");
    let began = Instant::now();
    assert_eq!(gather(&mut receiver).await.len(), 1);
    assert_eq!(began.elapsed(), GATHER);
    drop(sender);
    assert!(gather(&mut receiver).await.is_empty());
}
