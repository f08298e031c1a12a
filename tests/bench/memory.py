"""What sessions and rate limits cost in memory, alone: runs the example `sessions` and keeps its goals."""

import json
import subprocess
import sys

import goals
import setups


def main():
    done = subprocess.run([setups.EXAMPLES / "sessions", *sys.argv[1:]], stdout=subprocess.PIPE, text=True, check=True)
    *lines, last = done.stdout.splitlines()
    print("\n".join(lines))
    # [[what, value, limit, at least?], ...]
    found = [tuple(goal) for goal in json.loads(last)]
    goals.keep("memory", found)
    print(goals.table(found))


if __name__ == "__main__":
    main()
