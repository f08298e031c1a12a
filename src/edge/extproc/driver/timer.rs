//! The one timer of an exchange. Registered with the runtime only when an exchange really has to wait.
//!
//! Deadlines mostly move outwards (receive, then call), so a registration that is too early is left to fire and then
//! moved, instead of being moved each time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Default)]
pub(super) struct Timer {
    deadline: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Replaces the deadline. One beyond the clock's range never comes.
    pub(super) fn arm(&mut self, after: Duration) {
        self.deadline = Instant::now().checked_add(after);
    }

    pub(super) const fn disarm(&mut self) {
        self.deadline = None;
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(context));
            if sleep.deadline() >= deadline {
                self.deadline = None;
                self.sleep = None;
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn wait(timer: &mut Timer) -> Duration {
        let began = Instant::now();
        poll_fn(|context| timer.poll(context)).await;
        began.elapsed()
    }

    async fn look(timer: &mut Timer) -> Poll<()> {
        poll_fn(|context| Poll::Ready(timer.poll(context))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_deadline_replaces_an_earlier_one() {
        let mut timer = Timer::default();
        timer.arm(Duration::from_secs(1));
        assert!(look(&mut timer).await.is_pending(), "registered");
        timer.arm(Duration::from_secs(5));
        assert_eq!(wait(&mut timer).await.as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_deadline_replaces_a_later_one() {
        let mut timer = Timer::default();
        timer.arm(Duration::from_secs(5));
        assert!(look(&mut timer).await.is_pending(), "registered");
        timer.arm(Duration::from_secs(1));
        assert_eq!(wait(&mut timer).await.as_secs(), 1);
        assert!(look(&mut timer).await.is_pending(), "it fires once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_disarmed_timer_never_fires() {
        let mut timer = Timer::default();
        timer.arm(Duration::from_secs(1));
        assert!(look(&mut timer).await.is_pending(), "registered");
        timer.disarm();
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(look(&mut timer).await.is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_beyond_the_clock_never_comes() {
        let mut timer = Timer::default();
        timer.arm(Duration::MAX);
        assert!(look(&mut timer).await.is_pending());
    }
}
