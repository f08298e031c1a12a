//! What does the engine cost per exchange? Each bench answers the question that is its name.

mod gateway;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use gateway::{Gateway, Story};

criterion_group!(benches, handle);
criterion_main!(benches);

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
