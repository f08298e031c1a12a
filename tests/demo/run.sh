#!/bin/bash
# The demo behind `make demo`: two real MCP servers by others, one endpoint on a real Envoy.
#
# Usage: run.sh [--once]. Without --once it stays in the foreground until Ctrl-C. With it, it runs the curl flow itself,
# prints each request and reply, and exits 0 or 1. Everything it starts ends with it; files go to a temporary folder.
set -eu -o pipefail
cd "$(dirname "$0")/../.."

once=no
case ${1-} in
    "") ;;
    --once) once=yes ;;
    *) echo "usage: make demo [ARGS=--once]" >&2; exit 2 ;;
esac

tools=$MCP_MANIFOLD_TOOLS
program=${CARGO_TARGET_DIR:-target}/debug/mcp-manifold
# The host name of the guide that the curl lines come from; resolved by curl itself, no DNS is asked.
host=mcp.127-0-0-1.sslip.io
work=$(mktemp -d)
servers=()
gateway=

say() { printf '%s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

finish() {
    trap - EXIT INT TERM
    for process in $gateway "${servers[@]}"; do
        kill -TERM "$process" 2>/dev/null || continue
        wait_for_end "$process" || kill -KILL "$process" 2>/dev/null || true
    done
    rm -rf "$work"
}

# Calls that still run are drained; this long at most.
wait_for_end() {
    for _ in $(seq 150); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    return 1
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The wanted port, or a free one where it is taken.
port() {
    python3 - "$1" <<'PYTHON'
import socket, sys
for port in (int(sys.argv[1]), 0):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(listener.getsockname()[1])
        break
PYTHON
}

# Waits until a line of the file starts with the words, and prints it; gives up when the process has ended.
line_of() {
    local file=$1 words=$2 process=$3
    for _ in $(seq 600); do
        if grep -m1 "^$words" "$file" 2>/dev/null; then return 0; fi
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    return 1
}

say "1/4 building mcp-manifold (about 3 minutes on two cores the first time, seconds later)"
cargo build --locked --quiet --bin mcp-manifold

say "2/4 starting two MCP servers: server-everything (TypeScript SDK) and words (Python SDK)"
everything_port=$(port 0)
PORT=$everything_port "$tools/node/bin/node" "$tools/npm/node_modules/@modelcontextprotocol/server-everything/dist/index.js" \
    streamableHttp >"$work/everything.log" 2>&1 &
servers+=($!)
"$tools/python/bin/python" tests/upstreams/python_server.py >"$work/words.log" 2>&1 &
servers+=($!)
line_of "$work/everything.log" "MCP Streamable HTTP Server listening" "${servers[0]}" >/dev/null \
    || fail "server-everything did not start: $(cat "$work/everything.log")"
words_url=$(line_of "$work/words.log" "listening " "${servers[1]}" | cut -d' ' -f2) \
    || fail "the Python server did not start: $(cat "$work/words.log")"

say "3/4 starting the gateway (a few seconds)"
listen=$(port 8001) admin=$(port 8002)
cat >"$work/manifold.yaml" <<YAML
listen: 127.0.0.1:$listen
admin: 127.0.0.1:$admin
hosts: [$host]
stateDir: $work/state
audit: { file: $work/audit.jsonl }
upstreams:
  - { name: everything, url: "http://127.0.0.1:$everything_port/mcp" }
  - { name: words, url: "$words_url" }
YAML
sed 's/^/    /' "$work/manifold.yaml"
"$program" up --envoy "$tools/envoy" -f "$work/manifold.yaml" >"$work/ready" 2>"$work/gateway.log" &
gateway=$!
line_of "$work/ready" "ready " "$gateway" || fail "the gateway did not get ready:"$'\n'"$(cat "$work/gateway.log")"

say "4/4 the merged tools"
"$program" tools --admin "127.0.0.1:$admin"

url=http://$host:$listen/mcp
resolve=$host:$listen:127.0.0.1
initialize='{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test-client", "version": "1.0.0"}}}'
list='{"jsonrpc": "2.0", "id": 2, "method": "tools/list"}'
call_words='{"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "words_reverse", "arguments": {"text": "manifold"}}}'
call_everything='{"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "everything_echo", "arguments": {"message": "manifold"}}}'

if [ $once = no ]; then
    cat <<TEXT

Try it:
  curl -s -D mcp_headers --resolve $resolve -X POST $url -H "Content-Type: application/json" \\
    -d '$initialize'
  SESSION_ID=\$(grep -i "mcp-session-id:" mcp_headers | cut -d' ' -f2 | tr -d '\r')
  curl --resolve $resolve -X POST $url -H "Content-Type: application/json" -H "mcp-session-id: \$SESSION_ID" \\
    -d '$list'
  curl --resolve $resolve -X POST $url -H "Content-Type: application/json" -H "mcp-session-id: \$SESSION_ID" \\
    -d '$call_words'

An MCP client connects to http://127.0.0.1:$listen/mcp; the status page is http://127.0.0.1:$admin/. Ctrl-C ends everything.
TEXT
    wait "$gateway" || fail "the gateway ended:"$'\n'"$(cat "$work/gateway.log")"
    gateway=
    exit 0
fi

# Prints a request and its reply; the reply's body stays in $work/reply, its headers in $work/headers.
post() {
    local body=$1
    shift
    printf '\n> POST %s\n' "$url"
    printf '> Content-Type: application/json\n'
    for header; do printf '> %s\n' "$header"; done
    printf '> %s\n' "$body"
    local headers=()
    for header; do headers+=(-H "$header"); done
    curl -sS --max-time 30 -D "$work/headers" -o "$work/reply" --resolve "$resolve" -X POST "$url" \
        -H "Content-Type: application/json" "${headers[@]}" -d "$body"
    sed 's/\r$//; /^$/d; s/^/< /' "$work/headers"
    sed 's/^/< /' "$work/reply"
    printf '\n'
}

# The reply must hold a result in which the Python expression over `result` is true. SSE replies count as well.
expect() {
    python3 - "$work/reply" "$1" 2>/dev/null <<'PYTHON' || fail "the reply is not what it should be: $1"
import json, sys
text = open(sys.argv[1], encoding="utf-8").read()
lines = [line[5:] for line in text.splitlines() if line.startswith("data:") and line[5:].strip()] or [text]
result = json.loads(lines[-1]).get("result")
names = {tool["name"] for tool in (result or {}).get("tools", [])}
sys.exit(not (result is not None and eval(sys.argv[2])))
PYTHON
}

post "$initialize"
expect 'result["protocolVersion"] == "2025-11-25"'
session=$(grep -i "mcp-session-id:" "$work/headers" | cut -d' ' -f2 | tr -d '\r')
[ -n "$session" ] || fail "no session id"
say "MCP Session ID: $session"
post "$list" "mcp-session-id: $session"
expect '{"words_reverse", "words_add", "everything_echo"} <= names'
post "$call_words" "mcp-session-id: $session"
expect 'result["content"][0]["text"] == "dlofinam"'
post "$call_everything" "mcp-session-id: $session"
expect '"manifold" in result["content"][0]["text"]'
say "demo: good"
