"""Load by an established tool: wrk where it is installed (Debian's package, it costs least), else oha."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import setups


@dataclass
class Result:
    """One run: calls per second, latencies in milliseconds, number of calls."""

    per_second: float
    p50: float
    p99: float
    calls: int


class Failed(Exception):
    """Calls failed: what was measured would not be the gateway."""


def tool() -> str:
    """The load generator in use, with its version."""
    if shutil.which("wrk"):
        text = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout
        return text.split("[")[0].strip()
    text = subprocess.run([oha(), "--version"], capture_output=True, text=True, check=True).stdout
    return text.strip()


def oha() -> str:
    return str(setups.TOOLS / "bin" / "oha")


def run(url: str, headers: dict, body: str, connections: int, seconds: float, folder: Path) -> Result:
    """POSTs `body` as fast as `connections` connections allow."""
    if shutil.which("wrk"):
        return run_wrk(url, headers, body, connections, seconds, folder)
    return run_oha(url, headers, body, connections, seconds)


def run_wrk(url, headers, body, connections, seconds, folder) -> Result:
    lines = ['wrk.method = "POST"', f"wrk.body = {json.dumps(body)}"]
    lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
    script = folder / "post.lua"
    script.write_text("\n".join(lines))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "--latency", "-s", script, url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise Failed(f"{url}:\n{text}")
    return Result(
        per_second=float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        p50=milliseconds(re.search(r"\s50%\s+([\d.]+)(us|ms|s)", text)),
        p99=milliseconds(re.search(r"\s99%\s+([\d.]+)(us|ms|s)", text)),
        calls=int(re.search(r"(\d+) requests in", text)[1]),
    )


def milliseconds(match) -> float:
    return float(match[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[match[2]]


def run_oha(url, headers, body, connections, seconds) -> Result:
    command = [oha(), "--no-tui", "--output-format", "json", "-m", "POST", "-d", body]
    command += ["-c", str(connections), "-z", f"{seconds:g}s", "-t", "10s"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    said = json.loads(text)
    codes = said["statusCodeDistribution"]
    errors = {error: count for error, count in said["errorDistribution"].items() if "deadline" not in error}
    if set(codes) - {"200"} or errors:
        raise Failed(f"{url}: {codes} {errors}")
    return Result(
        per_second=said["summary"]["requestsPerSec"],
        p50=said["latencyPercentiles"]["p50"] * 1000,
        p99=said["latencyPercentiles"]["p99"] * 1000,
        calls=codes["200"],
    )
