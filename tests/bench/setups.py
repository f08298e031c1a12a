"""The gateways that are compared, each with an Envoy of its own and one worker thread, before the same upstream."""

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).parent
ROOT = BENCH.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
MANIFOLD = TARGET / "release" / "mcp-manifold"
EXAMPLES = TARGET / "release" / "examples"
VERSION = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
TOOLS = Path(os.environ.get("MCP_MANIFOLD_TOOLS", CACHE / "mcp-manifold" / VERSION))
ENVOY = TOOLS / "envoy"
PATIENCE = 30
TICKS = os.sysconf("SC_CLK_TCK")
HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}


def call_of(tool: str) -> str:
    """A tools/call of about 100 bytes."""
    params = {"name": tool, "arguments": {"city": "Lissabon"}}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, separators=(",", ":"))


LIST = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'


@dataclass
class Setup:
    """One way from client to upstream."""

    name: str
    port: int
    path: str
    bodies: dict  # workload -> request body
    processes: dict  # role -> Popen
    headers: dict = field(default_factory=lambda: dict(HEADERS))
    ready_at: float = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def post(self, body: str):
        request = urllib.request.Request(self.url, body.encode(), self.headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.headers, response.read()

    def open_session(self):
        """initialize; the session id goes with every later request."""
        body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": INITIALIZE}
        headers, _ = self.post(json.dumps(body))
        if session := headers.get("mcp-session-id"):
            self.headers["mcp-session-id"] = session

    def cpu(self) -> dict:
        """Seconds of processor time used so far, by role."""
        return {role: cpu_seconds(process.pid) for role, process in self.processes.items()}


def cpu_seconds(pid: int) -> float:
    # The second field may hold spaces; what follows its closing parenthesis does not.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class House:
    """Starts processes and ends them, however the run ends."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, name: str, *command) -> subprocess.Popen:
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        self.running.append(process)
        return process

    def envoy(self, name: str, config: str) -> subprocess.Popen:
        file = self.folder / f"{name}.yaml"
        file.write_text(config)
        options = ["--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
        return self.start(f"{name}-envoy", ENVOY, "-c", file, *options)


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_port(given=set()) -> int:
    """A port that nobody listens on, and that was not given before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in given:
            given.add(port)
            return port


def wait_for(what: str, is_true):
    end = time.monotonic() + PATIENCE
    while not is_true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} is not there after {PATIENCE} s")
        time.sleep(0.02)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def admits(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


# === the parts ===


def start_stub(house: House, *options) -> int:
    """The upstream; any path of it is an MCP server."""
    port = free_port()
    house.start("stub", EXAMPLES / "stub", "--listen", f"127.0.0.1:{port}", *options)
    wait_for("the upstream", lambda: listens(port))
    return port


def template(name: str, **values) -> str:
    text = (BENCH / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def alone(house: House, stub: int) -> Setup:
    """Envoy between client and upstream."""
    port = free_port()
    envoy = house.envoy("alone", template("envoy-alone.yaml", LISTEN=port, STUB=stub))
    return Setup("Envoy alone", port, "/one", {"call": call_of("tool_1")}, {"envoy": envoy})


def mcp_router(house: House, stub: int) -> Setup:
    """Envoy's own aggregation."""
    port = free_port()
    envoy = house.envoy("mcp_router", template("envoy-mcp-router.yaml", LISTEN=port, STUB=stub))
    return Setup("mcp_router", port, "/mcp", {"call": call_of("one__tool_1"), "list": LIST}, {"envoy": envoy})


def configuration(folder: Path, port: int, admin: int, stub: int, extra: str = "", upstreams: int = 2, more: str = "") -> Path:
    """As shipped, but for ports and folders. The upstreams are `one`, `two`, `u3`, `u4`, ...; `more` stands in each."""
    state = folder / "state"
    state.mkdir(parents=True)
    file = folder / "manifold.yaml"
    names = ["one", "two", *(f"u{number}" for number in range(3, upstreams + 1))]
    lines = [f"  - {{ name: {name}, url: 'http://127.0.0.1:{stub}/{name}'{more} }}\n" for name in names]
    file.write_text(
        f"listen: 127.0.0.1:{port}\nadmin: 127.0.0.1:{admin}\nstateDir: {state}\n"
        f"audit: {{ file: {folder}/audit.jsonl }}\n{extra}upstreams:\n" + "".join(lines)
    )
    return file


def render(file: Path) -> str:
    command = [MANIFOLD, "render", "envoy", "-f", file]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def noop(house: House, stub: int, name: str, extra: str = "", answer: int | None = None, hold: bool = False) -> Setup:
    """The floor: our Envoy configuration before a processor that looks at nothing."""
    folder = house.folder / name
    port = free_port()
    file = configuration(folder, port, free_port(), stub, extra)
    bootstrap = render(file)
    command = [EXAMPLES / "noop", "--listen", f"unix:{folder}/state/ext-proc.sock", "--upstream", "one", "--path", "/one"]
    command += ["--route-key", (folder / "state" / "route-key").read_text().strip()]
    command += [] if answer is None else ["--answer-bytes", str(answer)]
    command += ["--hold"] if hold else []
    processor = house.start(name, *command)
    envoy = house.envoy(name, bootstrap)
    bodies = {"call": call_of("tool_1")} if answer is None else {"list": LIST}
    # The route hides the upstream's session id; the upstream takes any.
    headers = HEADERS | {"mcp-session-id": "mp1.of-the-same-length-as-those-of-the-gateway-so-that-requests-are-alike"}
    return Setup("no-op", port, "/mcp", bodies, {"envoy": envoy, "processor": processor}, headers)


def ours(house: House, stub: int, name: str = "ours", extra: str = "", upstreams: int = 2, more: str = "") -> Setup:
    """mcp-manifold as a sidecar."""
    folder = house.folder / name
    port, admin = free_port(), free_port()
    file = configuration(folder, port, admin, stub, extra, upstreams, more)
    bootstrap = render(file)
    processor = house.start(name, MANIFOLD, "serve", "-f", file)
    wait_for("mcp-manifold", lambda: admits(f"http://127.0.0.1:{admin}/readyz"))
    ready_at = time.monotonic()
    envoy = house.envoy(name, bootstrap)
    bodies = {"call": call_of("one_tool_1"), "list": LIST}
    return Setup("mcp-manifold", port, "/mcp", bodies, {"envoy": envoy, "processor": processor}, ready_at=ready_at)
