#!/bin/bash
# `make bench`: the engine alone, what happens at scale, open streams, the ways of a call, guards, and the comparison (half
# an hour). With arguments only the comparison, which takes them. Exits with 1 if a goal was missed.
set -eu
cd "$(dirname "$0")/../.."
export MCP_MANIFOLD_TOOLS="${MCP_MANIFOLD_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/mcp-manifold/0.1.0}"
target=${CARGO_TARGET_DIR:-target}

echo "building with optimisation (5 minutes the first time)" >&2
cargo build --locked --quiet --release --bin mcp-manifold --example noop --example stub --example count --example sessions
rm -rf "$target/bench/goals"
if [ $# -eq 0 ]; then
    cargo bench --locked --quiet --bench engine --bench fold --bench policy --bench delegation -- --noplot --warm-up-time 1 --measurement-time 2
    if command -v valgrind >/dev/null; then
        python3 -B tests/bench/instructions.py
    else
        echo "instructions are not counted: valgrind is missing (apt-get install valgrind)" >&2
    fi
    for part in memory scale streams ways guarding; do
        python3 -B tests/bench/$part.py
    done
fi
python3 -B tests/bench/compare.py "$@"
# What was aimed at, in one table.
if [ $# -eq 0 ]; then
    exec python3 -B tests/bench/goals.py memory scale streams ways guarding compare
fi
exec python3 -B tests/bench/goals.py compare
