# What the demos share: sourced by run.sh and guarded.sh, which set `url`, `resolve` and the processes they start.
# shellcheck shell=bash
tools=$MCP_MANIFOLD_TOOLS
program=${CARGO_TARGET_DIR:-target}/debug/mcp-manifold
# The host name of the guide that the curl lines come from; resolved by curl itself, no DNS is asked.
host=mcp.127-0-0-1.sslip.io
work=$(mktemp -d)
servers=()
gateway=
resolve=

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

build() {
    cargo build --locked --quiet --bin mcp-manifold
}

# Two MCP servers by others; sets everything_port and words_url.
start_servers() {
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
}

# Starts the gateway with $work/manifold.yaml and waits until it is ready.
start_gateway() {
    sed 's/^/    /' "$work/manifold.yaml"
    "$program" up --envoy "$tools/envoy" -f "$work/manifold.yaml" >"$work/ready" 2>"$work/gateway.log" &
    gateway=$!
    line_of "$work/ready" "ready " "$gateway" || fail "the gateway did not get ready:"$'\n'"$(cat "$work/gateway.log")"
}

# In the foreground until the gateway ends.
stay() {
    wait "$gateway" || fail "the gateway ended:"$'\n'"$(cat "$work/gateway.log")"
    gateway=
    exit 0
}

# Prints a request and its reply; the reply's body stays in $work/reply, its headers in $work/headers.
post() {
    local body=$1
    shift
    printf '\n> POST %s\n' "$url"
    printf '> Content-Type: application/json\n'
    for header; do printf "> %s\n" "$header" | sed -E "s/(Bearer .{12}).*/\1.../"; done
    printf '> %s\n' "$body"
    local headers=()
    for header; do headers+=(-H "$header"); done
    curl -sS --max-time 30 -D "$work/headers" -o "$work/reply" ${resolve:+--resolve "$resolve"} -X POST "$url" \
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
