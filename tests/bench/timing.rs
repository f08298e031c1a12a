//! What guards cost: CPU microseconds of each scene of `guards.rs`, the whole ext_proc stream without HTTP/2 and the
//! kernel.
//!
//! CPU time of this thread: what else runs on the machine counts only as far as it slows a core down, and since every
//! round plays every scene, that falls on all of them.

use crate::gateway::{Gateway, Story};
use crate::guards::{self, Scene};
use crate::stream::{self, Front};

/// Prints one line of JSON for each scene and round: `{"name", "title", "us"}`.
pub(crate) fn tell(rounds: usize) -> anyhow::Result<()> {
    let mut stages: Vec<Stage> = guards::scenes().into_iter().map(Stage::new).collect();
    for round in 0..=rounds {
        for stage in &mut stages {
            let us = stage.play();
            // The first round warms up.
            if round > 0 {
                let Scene { name, title, .. } = &stage.scene;
                println!("{}", serde_json::json!({ "name": name, "title": title, "us": us }));
            }
        }
    }
    Ok(())
}

/// A scene with its gateway.
struct Stage {
    scene: Scene,
    gateway: Gateway,
    front: Front,
}

impl Stage {
    fn new(scene: Scene) -> Self {
        let gateway = Gateway::guarded(&scene.guard);
        let mut front = stream::front(&scene.guard);
        let request = stream::request(&gateway, scene.story, &scene.guard.claims);
        stream::check(&mut front, request, scene.story, scene.guard.listed);
        Self { scene, gateway, front }
    }

    /// Microseconds of each exchange.
    fn play(&mut self) -> f64 {
        let times = match self.scene.story {
            Story::ToolsCall => 1000,
            Story::Initialize | Story::ToolsList | Story::Ping => 100,
        };
        let request = |_| stream::request(&self.gateway, self.scene.story, &self.scene.guard.claims);
        let requests: Vec<_> = (0..times).map(request).collect();
        let before = cpu_seconds();
        for request in requests {
            stream::play(&mut self.front, request);
        }
        (cpu_seconds() - before) * 1e6 / f64::from(times)
    }
}

/// CPU time of this thread so far.
#[expect(unsafe_code, reason = "the clock of a thread's CPU time has no safe name")]
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec of ours, which the call fills.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "every Linux has this clock");
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
