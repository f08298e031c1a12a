"""What an open stream costs in memory: the processor's and Envoy's resident bytes for each of 1,000 streams that say
nothing more, beside a no-op processor that holds as many streams of the same kind.

Then: what answers of 20 MB cost that nobody reads. Envoy has no flow control towards an external processor, so that what
we say is held by Envoy, and only a plain forward is bounded by its buffer limits.

A relayed call: StreamedImmediateResponse, and for the gateway a connection of its own to the upstream. An inspected
forward: request and response bodies FULL_DUPLEX, the connection to the upstream is Envoy's. A session's own stream (GET):
the gateway listens to the upstream's stream of that session; the floor is the no-op's relayed call.
"""

import argparse
import asyncio
import json
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import compare
import goals
import setups

GOAL = 16
SAMPLING = setups.INITIALIZE | {"capabilities": {"sampling": {}}}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--streams", type=int, default=1000)
    streams = arguments.parse_args().streams
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    folder = Path(tempfile.mkdtemp(prefix="mcp-bench-"))
    try:
        text = "\n".join(measured(folder, streams) + unread(folder)) + "\n"
    except Exception:
        print(f"the logs are in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    print(text)
    compare.OUTPUT.mkdir(parents=True, exist_ok=True)
    (compare.OUTPUT / "streams.md").write_text(text)


def measured(folder: Path, streams: int) -> list:
    pairs = {
        "relayed call": (held, direct),
        "inspected forward": (passed, inspected),
        "session's own stream": (held, listening),
    }
    lines = [f"| KiB for each of {streams:,} open streams | no-op | mcp-manifold | more | Envoy, no-op | Envoy, mcp-manifold |"]
    lines += ["|---|---:|---:|---:|---:|---:|"]
    found = []
    for kind, lineup in pairs.items():
        (floor, floor_envoy), (own, own_envoy) = (measure(folder, start, streams) for start in lineup)
        lines.append(f"| {kind} | {floor:.1f} | {own:.1f} | {own - floor:.1f} | {floor_envoy:.1f} | {own_envoy:.1f} |")
        found.append((kind, own - floor))
    aims = [(f"KiB of an open stream above the no-op's: {kind}", more, GOAL, False) for kind, more in found]
    goals.keep("streams", aims)
    return [*lines, "", goals.table(aims)]


def held(house, stub):
    return setups.noop(house, stub, "noop-held", hold=True), "tool_3"


def direct(house, stub):
    setup = setups.ours(house, stub, "direct", more=", via: direct")
    compare.ready(setup)
    return setup, "one_tool_3"


def passed(house, stub):
    setup = setups.noop(house, stub, "noop-inspected")
    # The mark chooses the route whose response body is inspected.
    setup.headers["mcp-session-id"] = setup.headers["mcp-session-id"].replace("mp1.", "mi1.", 1)
    compare.ready(setup)
    return setup, "tool_3"


def inspected(house, stub):
    setup = setups.ours(house, stub, "inspected")
    compare.ready(setup)
    body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": SAMPLING}
    headers, _ = setup.post(json.dumps(body))
    setup.headers["mcp-session-id"] = headers["mcp-session-id"]
    return setup, "one_tool_3"


def listening(house, stub):
    setup = setups.ours(house, stub, "listening")
    compare.ready(setup)
    return setup, None


def measure(folder: Path, start, streams: int):
    """KiB for each stream: of the processor, of Envoy."""
    with setups.House(folder) as house:
        stub = setups.start_stub(house, "--stateful", "--tools", "5")
        setup, tool = start(house, stub)
        setups.wait_for(setup.name, lambda: setups.listens(setup.port))
        found = asyncio.run(open_all(setup, tool and setups.call_of(tool), streams))
        compare.say(f"{start.__name__}: {found[0]:.1f} KiB, Envoy {found[1]:.1f} KiB")
        return found


async def open_all(setup, body: str, streams: int):
    # What is allocated once, for the first streams, is no stream's.
    warm = [await open_one(setup, body) for _ in range(50)]
    before = resident(setup)
    opened = []
    for _ in range(0, streams, 50):
        opened += await asyncio.gather(*(open_one(setup, body) for _ in range(50)))
    await asyncio.sleep(1)
    after = resident(setup)
    for writer in [*warm, *opened]:
        writer.close()
    return [(after[role] - before[role]) / len(opened) for role in ("processor", "envoy")]


def unread(folder: Path) -> list:
    """MiB that 8 answers of 20 MB take while their clients do not read."""
    clients = 8
    lines = [f"| MiB for {clients} answers of 20 MB that nobody reads | mcp-manifold | Envoy |", "|---|---:|---:|"]
    for name, start in {"forward": forward, "inspected forward": inspected, "direct": direct}.items():
        own = folder / "unread"
        own.mkdir(exist_ok=True)
        with setups.House(own) as house:
            setup, _ = start(house, setups.start_stub(house, "--stateful", "--tools", "5"))
            processor, envoy = asyncio.run(hold_unread(setup, setups.call_of("one_tool_4"), clients))
            lines.append(f"| {name} | {processor:.0f} | {envoy:.0f} |")
    return [*lines, ""]


def forward(house, stub):
    setup = setups.ours(house, stub, "forward")
    compare.ready(setup)
    return setup, "one_tool_4"


async def hold_unread(setup, body: str, clients: int):
    before = resident(setup)
    opened = [await send(setup, body, 4096) for _ in range(clients)]
    now, last = resident(setup), None
    while now != last:
        await asyncio.sleep(1)
        now, last = resident(setup), now
    for _, writer in opened:
        writer.close()
    return [(now[role] - before[role]) / 1024 for role in ("processor", "envoy")]


async def send(setup, body: str, limit: int, more: dict = {}):
    """A request on its way, GET without a body; of its response no more is read than `limit`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", setup.port, limit=limit)
    headers = setup.headers | more | {"host": "127.0.0.1"} | ({"content-length": str(len(body))} if body else {})
    lines = [f"{'POST' if body else 'GET'} {setup.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write(("\r\n".join(lines) + "\r\n\r\n" + (body or "")).encode())
    return reader, writer


async def bound_session(setup) -> dict:
    """The header of a new session that has called its upstream once."""
    body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": setups.INITIALIZE}
    reader, writer = await send(setup, json.dumps(body), 1 << 16)
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).decode()
    writer.close()
    fields = dict(line.lower().split(":", 1)[:1] + [line.partition(":")[2].strip()] for line in head.splitlines()[1:] if line)
    session = {"mcp-session-id": fields["mcp-session-id"]}
    reader, writer = await send(setup, setups.call_of("one_tool_1"), 1 << 16, session)
    await asyncio.wait_for(reader.readuntil(b"evening"), 30)
    writer.close()
    return session


async def open_one(setup, body: str):
    """A stream whose first event has arrived: a call's, or a new session's own."""
    reader, writer = await send(setup, body, 1 << 16, {} if body else await bound_session(setup))
    said = await asyncio.wait_for(reader.readuntil(b"\n\n"), 30)
    if b" 200 OK" not in said or b"data:" not in said:
        raise RuntimeError(f"{setup.name} said {said!r}")
    return writer


def resident(setup) -> dict:
    """KiB by role."""
    found = {}
    for role, process in setup.processes.items():
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                found[role] = int(line.split()[1])
    return found


if __name__ == "__main__":
    main()
