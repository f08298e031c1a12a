#!/bin/bash
# A Kubernetes cluster with Envoy Gateway out of plain processes, in network, mount and process namespaces of its own:
# several run at once. Works as root and as an ordinary user.
#
#   cluster.sh up FOLDER          starts one; returns when Envoy Gateway runs; says how to use it
#   cluster.sh in FOLDER CMD ...  runs a command inside it, with kubectl in PATH and KUBECONFIG set
#   cluster.sh down FOLDER        ends it; the logs stay in FOLDER
#   cluster.sh with CMD ...       up in a folder of its own, CMD inside, down; exits as CMD does
#
# Containers of the images that cluster/images.py names run as programs of this machine: the tools of the Makefile, and
# what cargo built in ${CARGO_TARGET_DIR:-target}/debug (mcp-manifold, examples/upstream),
# or in /$MCP_MANIFOLD_PROFILE.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)
export MCP_MANIFOLD_TOOLS=${MCP_MANIFOLD_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/mcp-manifold/$version}
built=${CARGO_TARGET_DIR:-$root/target}/${MCP_MANIFOLD_PROFILE:-debug}

usage() { sed -n '5,8s/^# *//p' "$0" >&2; exit 2; }

up() {
    local folder=$1 user=() step
    mkdir -p "$folder"
    [ -z "$(ls -A "$folder")" ] || { echo "$folder is not empty" >&2; return 1; }
    if [ "$(id -u)" != 0 ]; then
        user=(--user --map-root-user)
        export CLUSTER_ROOTLESS=1
    fi
    # The shell is the first process of the namespace: it takes in orphans, and when it ends, everything does.
    PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 setsid "${CLUSTER_TIE[@]}" unshare "${user[@]}" --net --mount --pid --fork \
        --mount-proc --kill-child bash -c 'python3 -m cluster "$@" & trap "kill $!" TERM; wait $!; exit' cluster "$folder" "$built" \
        </dev/null >"$folder/cluster.log" 2>&1 &
    echo $! >"$folder/unshare.pid"
    for ((step = 0; step < 1800; step++)); do
        [ ! -e "$folder/ready" ] || return 0
        kill -0 $! 2>/dev/null || break
        sleep 0.1
    done
    echo "the cluster does not start:" >&2
    tail -n 20 "$folder/cluster.log" >&2
    down "$folder"
    return 1
}

first() { cat "/proc/$1/task/$1/children" 2>/dev/null | cut -d' ' -f1; }

inside() {
    local folder=$1 pid user=()
    shift
    pid=$(first "$(cat "$folder/unshare.pid")")
    [ -n "$pid" ] || { echo "no cluster runs in $folder" >&2; return 1; }
    [ "$(id -u)" = 0 ] || user=(--user --preserve-credentials)
    nsenter --target "$pid" "${user[@]}" --net --mount --pid -- env -C "$PWD" KUBECONFIG="$folder/kubeconfig" \
        MCP_MANIFOLD_CLUSTER="$folder" PATH="$MCP_MANIFOLD_TOOLS/bin:$PATH" "$@"
}

down() {
    local pid step
    pid=$(cat "$1/unshare.pid")
    kill -KILL "$(first "$pid")" 2>/dev/null || true
    for ((step = 0; step < 100; step++)); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    echo "the cluster in $1 does not end" >&2
    return 1
}

# What is left of a cluster that served one command: nothing, or the logs and the last words of our own programs.
leave() {
    [ "$2" != 0 ] || { rm -rf "$1"; return; }
    echo "the logs of the cluster are in $1; the ends of our own:" >&2
    find "$1/pods" \( -name controller.log -o -name mcp-manifold.log -o -name processor.log \) -exec tail -n 15 {} + >&2
    tail -n 15 "$1/cluster.log" >&2
}

CLUSTER_TIE=()
case ${1:-} in
    up)
        [ $# = 2 ] || usage
        folder=$(mkdir -p "$2" && cd "$2" && pwd)
        up "$folder"
        echo "ready; use it with: $0 in $folder kubectl get pods -A     end it with: $0 down $folder"
        ;;
    in) [ $# -ge 3 ] || usage; folder=$(cd "$2" && pwd); shift 2; inside "$folder" "$@" ;;
    down) [ $# = 2 ] || usage; down "$(cd "$2" && pwd)" ;;
    with)
        [ $# -ge 2 ] || usage
        shift
        folder=$(mktemp -d)
        # It must not outlive this shell, however that ends.
        CLUSTER_TIE=(setpriv --pdeathsig KILL)
        trap 'ended=$?; down "$folder" || true; leave "$folder" $ended' EXIT
        up "$folder"
        inside "$folder" "$@"
        ;;
    *) usage ;;
esac
