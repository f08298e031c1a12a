#!/bin/bash
# The cluster tests: builds what they run, then everything in a cluster of their own. Arguments: filters (default: all);
# before them --release, for programs that are optimised.
set -eu -o pipefail
cd "$(dirname "$0")/../.."

if [ "${1-}" = --release ]; then
    shift
    export MCP_MANIFOLD_PROFILE=release
    echo "building with optimisation (5 minutes the first time)" >&2
    cargo build --locked --quiet --release --bin mcp-manifold --example upstream
fi
cargo build --locked --quiet --bins --examples
binary=$(cargo test --locked --quiet --no-run --test all --message-format=json |
    sed -n 's/.*"kind":\["test"\].*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
# Those that disturb the others come last, one by one.
if [ $# -gt 0 ]; then
    exec bash tests/kube/cluster.sh with "$binary" --test-threads 3 "$@"
fi
exec bash tests/kube/cluster.sh with sh -c '
    failed=0
    "$0" kube:: --skip kube::alone --skip kube::scale --test-threads 3 || failed=1
    "$0" kube::alone --test-threads 1 || failed=1
    exit $failed' "$binary"
