"""The three ways of a call side by side: a forward, an inspected forward (its client can be asked), and `via: direct`;
JSON answers and event streams of three events. The no-op processor stands beside each forward with the same body modes;
a relay has no such floor, it is compared with the no-op's plain forward.
"""

import argparse
import copy
import json
import shutil
import sys
import tempfile
from pathlib import Path

import compare
import goals
import load
import report
import setups

WORKLOADS = {"JSON": ("tool_1", "one JSON answer of 130 bytes"), "SSE": ("tool_2", "an event stream of three events")}
SAMPLING = setups.INITIALIZE | {"capabilities": {"sampling": {}}}
FORWARD, INSPECTED, DIRECT = "forward", "inspected forward", "direct"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=int, default=3, help="of each measurement")
    options = arguments.parse_args()
    options.extra = ""
    folder = Path(tempfile.mkdtemp(prefix="mcp-bench-"))
    try:
        with setups.House(folder) as house:
            rows = measured(house, options)
    except Exception:
        print(f"the logs are in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    parts = [report.table(WORKLOADS[kind][1], found, "no-op " + FORWARD) for kind, found in rows.items()]
    found = aims(rows)
    goals.keep("ways", found)
    text = "\n".join([compare.machine(options), *parts, goals.table(found)])
    print(text)
    compare.OUTPUT.mkdir(parents=True, exist_ok=True)
    (compare.OUTPUT / "ways.md").write_text(text)


def measured(house, options) -> dict:
    stub = setups.start_stub(house, "--stateful", "--tools", "20")
    floor = setups.noop(house, stub, "noop")
    gateway = setups.ours(house, stub)
    direct = setups.ours(house, stub, "direct", more=", via: direct")
    for setup in (floor, gateway, direct):
        compare.ready(setup)
    lineup = {
        "no-op " + FORWARD: (floor, ""),
        FORWARD: (gateway, "one_"),
        "no-op " + INSPECTED: (marked(floor), ""),
        INSPECTED: (asked(gateway), "one_"),
        DIRECT: (direct, "one_"),
    }
    return {kind: measure(house, kind, lineup, options) for kind in WORKLOADS}


def marked(setup):
    """The same, on the route of sessions that are inspected."""
    other = copy.copy(setup)
    session = setup.headers["mcp-session-id"].replace("mp1.", "mi1.", 1)
    other.headers = setup.headers | {"mcp-session-id": session}
    return other


def asked(setup):
    """The same for a client that can be asked."""
    other = copy.copy(setup)
    body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": SAMPLING}
    headers, _ = setup.post(json.dumps(body))
    other.headers = setup.headers | {"mcp-session-id": headers["mcp-session-id"]}
    return other


def measure(house, kind: str, lineup: dict, options) -> dict:
    tool = WORKLOADS[kind][0]
    for name, (setup, prefix) in lineup.items():
        headers, body = setup.post(setups.call_of(prefix + tool))
        streamed = headers.get("content-type", "").startswith("text/event-stream")
        if b'"content"' not in body or streamed != (kind == "SSE"):
            raise load.Failed(f"{name} answered {body[:300]!r}")
    runs = {name: [] for name in lineup}
    for round in range(options.rounds + 1):
        for name, (setup, prefix) in lineup.items():
            # The first round warms up.
            seconds = options.seconds if round else 1
            figures = compare.one(house, setup, setups.call_of(prefix + tool), seconds)
            if round:
                runs[name].append(figures)
                compare.say(f"{kind} {round}/{options.rounds} {name}: {figures['per_second']:,.0f}/s")
    return {name: report.medians(figures) for name, figures in runs.items()}


def aims(rows: dict) -> list:
    """(what, value, limit, at least?)"""
    found = []
    for kind, limit in (("JSON", 1.10), ("SSE", 1.15)):
        row = rows[kind]
        ratio = row[FORWARD]["per_second"] / row[INSPECTED]["per_second"]
        found.append((f"{kind}: time of an inspected forward to a forward's", ratio, limit, False))
    ratio = rows["JSON"][DIRECT]["per_second"] / rows["JSON"]["no-op " + FORWARD]["per_second"]
    found.append(("JSON: direct calls/s to a no-op forward's", ratio, 1.15, True))
    return found


if __name__ == "__main__":
    main()
