//! Builds every part from the configuration, wires them, owns the task list and the drain. (Interface first; bodies to come.)

use crate::cli::{ServeOptions, UpOptions};

/// Runs the whole gateway on one machine until it is told to end.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn up(_options: UpOptions) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}

/// Runs the processor alone until it is told to end.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn serve(_options: ServeOptions) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
