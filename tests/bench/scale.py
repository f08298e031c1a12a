"""Whether it stays flat: start with 50 upstreams, lists up to 100,000 tools, memory of 1,000 upstreams and at 100,000
sessions.

Everything goes through Envoy, as clients see it. Figures are medians of a few requests on one connection.
"""

import argparse
import http.client
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import compare
import goals
import load
import setups

SESSIONS = 100_000
BOUND = 20_000
# KiB: 124 were measured when this was written, of which 5 are the 20 tools as they were listed.
PER_UPSTREAM = 160


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", choices=["start", "lists", "sessions"])
    only = arguments.parse_args().only
    folder = Path(tempfile.mkdtemp(prefix="mcp-bench-"))
    lines, aims = [], []
    try:
        for name, part in {"start": start, "lists": lists, "sessions": sessions}.items():
            if only in (None, name):
                with setups.House(folder) as house:
                    lines += part(house, aims)
                    compare.say("\n".join(lines[-4:]))
    except Exception:
        print(f"the logs are in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    goals.keep("scale", aims)
    text = "\n".join([*lines, goals.table(aims)])
    print(text)
    compare.OUTPUT.mkdir(parents=True, exist_ok=True)
    (compare.OUTPUT / "scale.md").write_text(text)


# Each part: lines for people; its goals are added to `aims`: (what, value, limit, at least?)


def start(house, aims: list) -> list:
    """From the start of the process to /readyz."""
    stub = setups.start_stub(house, "--stateful", "--tools", "20")
    taken = []
    for round in range(5):
        before = time.monotonic()
        setup = setups.ours(house, stub, f"start{round}", upstreams=50)
        taken.append(setup.ready_at - before)
    aims.append(("seconds from start to ready, 50 upstreams of 20 tools", median(taken), 2.0, False))
    return [f"start to ready, 50 upstreams of 20 tools: {median(taken):.2f} s", ""]


def lists(house, aims: list) -> list:
    """Milliseconds for each megabyte, and what an upstream costs in memory."""
    each = {}
    lines = ["| tools/list | MB | ms | ms for each MB |", "|---|---:|---:|---:|"]
    for count, tools in [(2, 20), (10, 100), (100, 100), (1000, 100)]:
        stub = setups.start_stub(house, "--stateful", "--tools", str(tools))
        setup = setups.ours(house, stub, f"lists{count}", upstreams=count)
        compare.ready(setup)
        size, taken = timed(setup, setups.LIST, count * tools, 9)
        row = f"| {count} upstreams of {tools} tools | {size / 1e6:.2f} | {taken * 1e3:.2f} |"
        each[count] = taken * 1e3 / (size / 1e6)
        lines.append(f"{row} {each[count]:.1f} |")
    aims.append(("ms for each MB of a list: 1,000 upstreams to 10", each[1000] / each[10], 2.0, False))
    few, many = (resident_with(house, count) for count in (10, 1000))
    more = (many - few) / 990 / 1024
    aims.append(("KiB of memory for each upstream of 20 tools, at 1,000", more, PER_UPSTREAM, False))
    return [*lines, "", f"memory with 1,000 upstreams of 20 tools: {many / 2**20:.0f} MiB, {more:.1f} KiB for each", ""]


def resident_with(house, upstreams: int) -> int:
    """Bytes of a processor that has listed so many."""
    stub = setups.start_stub(house, "--stateful", "--tools", "20")
    setup = setups.ours(house, stub, f"memory{upstreams}", upstreams=upstreams)
    compare.ready(setup)
    timed(setup, setups.LIST, upstreams * 20, 1)
    return resident(setup.processes["processor"].pid)


def timed(setup, body: str, tools: int, times: int):
    """Bytes and median seconds of one request, the body read to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", setup.port, timeout=60)
    taken = []
    for _ in range(times):
        before = time.monotonic()
        connection.request("POST", setup.path, body, setup.headers)
        answer = connection.getresponse().read()
        taken.append(time.monotonic() - before)
    found = len(json.loads(answer)["result"]["tools"])
    if found != tools:
        raise load.Failed(f"{found} tools instead of {tools}")
    return len(answer), median(taken)


def sessions(house, aims: list) -> list:
    """Resident memory of the processor before and after."""
    stub = setups.start_stub(house, "--stateful", "--tools", "20")
    setup = setups.ours(house, stub, "sessions", extra="limits: { sessions: 1000000 }\n")
    compare.ready(setup)
    pid = setup.processes["processor"].pid
    body = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": setups.INITIALIZE})
    plain = {name: value for name, value in setup.headers.items() if name != "mcp-session-id"}
    # What one session needs that all share, and the allocator's first growth, is not counted.
    load.run(setup.url, plain, body, 32, 2, house.folder)
    before, opened = resident(pid), 0
    while opened < SESSIONS:
        opened += load.run(setup.url, plain, body, 32, 4, house.folder).calls
    alone = (resident(pid) - before) / opened
    with_binding = bindings(setup, body, plain, lambda: resident(pid))
    aims.append(("bytes of memory for each of 100,000 sessions", alone, 512, False))
    aims.append(("bytes more where it is bound to an upstream", with_binding, 256, False))
    return [
        f"memory at {opened:,} sessions: {alone:.0f} bytes each",
        f"{BOUND:,} of them bound to an upstream: {with_binding:.0f} bytes more each",
        "",
    ]


def bindings(setup, initialize: str, headers: dict, used) -> float:
    """Bytes for each of some sessions that make their first call."""
    connection = http.client.HTTPConnection("127.0.0.1", setup.port, timeout=60)

    def post(body, headers):
        connection.request("POST", setup.path, body, headers)
        response = connection.getresponse()
        response.read()
        return response.headers

    ids = [post(initialize, headers)["mcp-session-id"] for _ in range(BOUND)]
    before = used()
    for id in ids:
        post(setup.bodies["call"], headers | {"mcp-session-id": id})
    return (used() - before) / BOUND


def resident(pid: int) -> int:
    """Bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


if __name__ == "__main__":
    main()
