"""How many instructions one operation takes, counted by callgrind: the same on a busy machine as on an idle one.

Per operation: (count of 2N runs - count of N runs) / N, so that what happens once falls out. The table goes to standard
output and to target/bench/instructions.md. Needs target/release/examples/count and valgrind.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

import setups

COUNT = setups.EXAMPLES / "count"
OUTPUT = setups.TARGET / "bench" / "instructions.md"
NOTE = """
Valgrind knows no SHA instructions: 13,500 of each count over a whole exchange are SHA-256 in software (a session id is
verified or signed, and hashed for the log); processors that have them spend a tenth on it. Copying counts one instruction
for each byte.
"""
EVENTS = ["comment", "progress", "result", "request"]
METHODS = ["initialize", "tools/list", "tools/call", "ping"]
# What is counted, N, and how it is called in the table.
OPERATIONS = [
    ("text 1", 200, "envelope and splice, call of 150 B"),
    ("text 1048576", 3, "envelope and splice, call with 1 MiB of text"),
    ("rows 1048576", 3, "envelope and splice, call with 1 MiB of rows"),
    *((f"handle {method}", 200, f"engine, {method}") for method in METHODS),
    *((f"inspect {event}", 200, f"inspected stream, one {event}") for event in EVENTS),
    *((f"stream {method}", 200, f"whole ext_proc stream, {method}") for method in METHODS),
]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", default="", help="operations that contain this text")
    arguments.add_argument("--keep", type=Path, help="keep callgrind's output here, for callgrind_annotate")
    options = arguments.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("missing: valgrind; install it with: apt-get install valgrind")
    rows = [
        (title, per_operation(operation, times, options.keep))
        for operation, times, title in OPERATIONS
        if options.only in operation
    ]
    table = "\n".join(["| operation | instructions |", "|---|---:|", *(f"| {title} | {count:,} |" for title, count in rows)])
    print(table + "\n" + NOTE)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(table + "\n" + NOTE)


def per_operation(operation: str, times: int, keep: Path | None) -> int:
    once, twice = collected(operation, times, None), collected(operation, 2 * times, keep)
    return round((twice - once) / times)


def collected(operation: str, times: int, keep: Path | None) -> int:
    out = keep / re.sub(r"\W", "-", operation) if keep else "/dev/null"
    command = ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*count*measured*"]
    command += [f"--callgrind-out-file={out}", str(COUNT), operation, str(times)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return int(found[1])


if __name__ == "__main__":
    main()
