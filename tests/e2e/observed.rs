//! What others see of the gateway: a real OpenTelemetry collector its spans and metrics, a real Prometheus its metrics.

mod collector;
mod prometheus;
mod traces;
