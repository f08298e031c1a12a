#!/bin/bash
# The cluster tests: builds what they run, then everything in a cluster of their own. Arguments: filters (default: all).
set -eu -o pipefail
cd "$(dirname "$0")/../.."

cargo build --locked --quiet --bins --examples
binary=$(cargo test --locked --quiet --no-run --test all --message-format=json |
    sed -n 's/.*"kind":\["test"\].*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ $# -gt 0 ] || set -- kube::
exec bash tests/kube/cluster.sh with "$binary" "$@" --test-threads 4
