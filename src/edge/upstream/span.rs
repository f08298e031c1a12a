//! For which span of a trace an upstream session is opened: what is said to the upstream meanwhile bears it.

use crate::engine::mcp::trace::TraceContext;

tokio::task_local! {
    static SPAN: Option<TraceContext>;
}

/// Opens something on behalf of this span.
pub async fn opened_for<F: Future>(span: Option<TraceContext>, opening: F) -> F::Output {
    SPAN.scope(span, opening).await
}

/// The same for a task of its own, on behalf of whoever starts it.
pub(super) fn inherited<F: Future>(opening: F) -> impl Future<Output = F::Output> {
    SPAN.scope(current(), opening)
}

/// On whose behalf this goes on; `None`: nobody's, or nobody wants to know.
pub(super) fn current() -> Option<TraceContext> {
    SPAN.try_with(|span| *span).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_goes_on_for_who_started_it() {
        let span = TraceContext {
            trace: 1,
            span: 2,
            sampled: true,
        };
        assert_eq!(current(), None);
        let found = opened_for(Some(span), async {
            let task = tokio::spawn(inherited(async { current() }));
            task.await.expect("it ends")
        });
        assert_eq!(found.await, Some(span));
    }
}
