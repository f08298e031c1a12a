"""What a gateway costs: Envoy alone, a no-op processor, mcp-manifold and Envoy's mcp_router, in one run, interleaved.

Each round measures every setup once, so that what else the machine does falls on all of them alike; figures are
medians over the rounds, ratios the medians of the rounds' own ratios. CPU per call is what /proc says of each process
over the run with 32 connections.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import goals
import load
import report
import setups

OUTPUT = setups.TARGET / "bench"
TITLES = {"call": "tools/call of 100 bytes, forwarded", "list": "tools/list of 40 tools of 2 upstreams"}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--seconds", type=int, default=2, help="of each measurement")
    arguments.add_argument("--only", choices=list(TITLES), help="one workload")
    arguments.add_argument("--extra", default="", help="more lines for manifold.yaml, such as 'envoy: {responsePhase: false}'")
    options = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mcp-bench-"))
    try:
        with setups.House(folder) as house:
            rows = compare(house, options)
    except Exception:
        print(f"the logs are in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    publish(rows, options)


def compare(house, options) -> dict:
    extra = options.extra + "\n" if options.extra else ""
    stub = setups.start_stub(house, "--stateful", "--tools", "20")
    gateway = setups.ours(house, stub, extra=extra)
    router = setups.mcp_router(house, stub)
    floor = setups.noop(house, stub, "noop", extra)
    for setup in (gateway, router, floor):
        ready(setup)
    _, listed = gateway.post(setups.LIST)
    answer = setups.noop(house, stub, "noop-answer", extra, answer=len(listed))
    plain = setups.alone(house, stub)
    for setup in (answer, plain):
        ready(setup)
    workloads = {"call": [plain, floor, gateway, router], "list": [answer, gateway, router]}
    if options.only:
        workloads = {options.only: workloads[options.only]}
    check(workloads)
    return {workload: measure(house, workload, lineup, options) for workload, lineup in workloads.items()}


def ready(setup):
    """Waits until the setup answers, and opens the session that its requests go with."""

    def answers():
        try:
            setup.open_session()
            return True
        except OSError:
            return False

    setups.wait_for(setup.name, answers)


def check(workloads: dict):
    """What is fast because it fails does not count."""
    for workload, lineup in workloads.items():
        for setup in lineup:
            _, body = setup.post(setup.bodies[workload])
            if setup.name == "no-op" and workload == "list":
                continue
            result = json.loads(body).get("result", {})
            good = "content" in result if workload == "call" else len(result.get("tools", [])) == 40
            if not good:
                raise load.Failed(f"{setup.name} answered {workload} with {body[:300]!r}")


def measure(house, workload: str, lineup: list, options) -> dict:
    runs = {setup.name: [] for setup in lineup}
    for round in range(options.rounds + 1):
        # Now and then backwards: nobody is always the one after the heaviest.
        for setup in lineup[:: -1 if round % 2 else 1]:
            # The first round warms up.
            seconds = options.seconds if round else 1
            figures = one(house, setup, setup.bodies[workload], seconds)
            if round:
                runs[setup.name].append(figures)
                say(f"{workload} {round}/{options.rounds} {setup.name}: {figures['per_second']:,.0f}/s")
    return {name: report.medians(figures) for name, figures in runs.items()}


def one(house, setup, body: str, seconds: float) -> dict:
    """Latency with one connection, then throughput and CPU with 32."""
    single = load.run(setup.url, setup.headers, body, 1, seconds / 2, house.folder)
    before = setup.cpu()
    many = load.run(setup.url, setup.headers, body, 32, seconds, house.folder)
    used = {role: (seconds - before[role]) / many.calls * 1e6 for role, seconds in setup.cpu().items()}
    return {"per_second": many.per_second, "p50": single.p50, "p99": many.p99, **used}


def say(text: str):
    print(text, file=sys.stderr, flush=True)


def publish(rows: dict, options):
    parts = [machine(options)]
    parts += [report.table(TITLES[workload], found, "no-op") for workload, found in rows.items()]
    found = aims(rows)
    goals.keep("compare", found)
    parts.append(goals.table(found))
    text = "\n".join(parts)
    print(text)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "table.md").write_text(text)
    bars = {TITLES[workload]: {name: row["per_second"] for name, row in found.items()} for workload, found in rows.items()}
    (OUTPUT / "chart.svg").write_text(report.chart(bars))
    print(f"written to {OUTPUT}/table.md and chart.svg")


def aims(rows: dict) -> list:
    """(what, value, limit, at least?)"""

    def ratio(workload, key, base):
        return report.ratio(rows[workload]["mcp-manifold"], rows[workload][base], key)

    found = []
    if "call" in rows:
        found.append(("call: CPU of the processor to the no-op's", ratio("call", "processor", "no-op"), 1.15, False))
        found.append(("call: calls/s to the no-op's", ratio("call", "per_second", "no-op"), 0.95, True))
        found.append(("call: p99 at 32 connections to the no-op's", ratio("call", "p99", "no-op"), 1.25, False))
    if "list" in rows:
        found.append(("list: calls/s to the no-op's answer of the same bytes", ratio("list", "per_second", "no-op"), 0.90, True))
        found.append(("list: calls/s to mcp_router's", ratio("list", "per_second", "mcp_router"), 3.5, True))
    return found


def machine(options) -> str:
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    said = subprocess.run([setups.ENVOY, "--version"], capture_output=True, text=True).stdout
    version = match[1] if (match := re.search(r"version: \w+/([\d.]+)/", said)) else "?"
    return (
        f"{os.cpu_count()} x {model}, Linux {platform.release()}; Envoy {version} with one worker; {load.tool()}; "
        f"medians of {options.rounds} rounds of {options.seconds:g} s. Repeat it with `make bench`.\n"
    )


if __name__ == "__main__":
    main()
