"""What was aimed at and what was measured, of all parts of `make bench`: each part leaves its goals here; run as a program,
this prints all of them as one table and exits with 1 if one was missed (or a part that was asked for left none).
"""

import json
import sys
from pathlib import Path

import setups

FOLDER = setups.TARGET / "bench" / "goals"


def keep(part: str, goals: list):
    """`goals`: (what, value, limit, at least?)"""
    FOLDER.mkdir(parents=True, exist_ok=True)
    keys = ("goal", "measured", "limit", "at_least")
    rows = [dict(zip(keys, goal)) | {"met": is_met(*goal[1:])} for goal in goals]
    (FOLDER / f"{part}.json").write_text(json.dumps(rows, indent=1) + "\n")


def is_met(value: float, limit: float, at_least: bool) -> bool:
    # Written so that what is no number is no success.
    return value >= limit if at_least else value <= limit


def table(goals: list) -> str:
    """(what, value, limit, at least?) -> one line each."""
    lines = ["| goal | limit | measured | |", "|---|---:|---:|---|"]
    for what, value, limit, at_least in goals:
        sign, verdict = ">=" if at_least else "<=", "met" if is_met(value, limit, at_least) else "**missed**"
        lines.append(f"| {what} | {sign} {number(limit)} | {number(value)} | {verdict} |")
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def main(parts: list) -> int:
    """Of these parts. Exit code."""
    found, lacking = [], []
    for part in parts:
        file = FOLDER / f"{part}.json"
        if not file.exists():
            lacking.append(part)
            continue
        found += [(row["goal"], row["measured"], row["limit"], row["at_least"]) for row in json.loads(file.read_text())]
    print(table(found))
    missed = [what for what, *rest in found if not is_met(*rest)]
    print(f"{len(found) - len(missed)} goals met, {len(missed)} missed; target/bench/goals holds them as JSON")
    for part in lacking:
        print(f"{part}: nothing was measured")
    return 1 if missed or lacking else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
