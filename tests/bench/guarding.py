"""What guards cost: rules, authentication, rate limits, lists of an audience, each beside the same without guards.

First alone (`count guards`): CPU time of whole ext_proc streams without HTTP/2 and kernel, and the instructions of the same
where valgrind is installed. The goals are about these. Then through Envoy, which checks tokens itself: processes' CPU as in
`compare.py`.
"""

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import compare
import goals
import instructions
import load
import report
import setups

ISSUER, AUDIENCE = "https://idp.example.com/realms/mcp", "https://mcp.example.com/mcp"
KEY, USER, PASSWORD = "5c0a1b7e9f3d4a62b1e08d7c6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a", "ann", "correct horse"
UNFILTERED, FILTERED = "all that there are", "filtered"
PLAIN, FEW = "no guard", "100 rules, 5 can match"
# As much as the same without guards: in instructions, and in time, which a list spends on copying, at the mercy of caches.
EQUAL, NOISE = 1.05, 1.10
# `PASSWORD`, at the cost that htpasswd -B takes by default.
HASH = "$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2"
LIMIT = "rateLimits: [{ name: calls, per: [principal, tool], limit: 1000000/s, burst: 1000000 }]\n"
# Makes a key pair and a token: stdin has the claims, stdout {token, jwks}.
SIGN = """
const {generateKeyPairSync, sign} = require('crypto');
const {publicKey, privateKey} = generateKeyPairSync('rsa', {modulusLength: 2048});
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const head = part({alg: 'RS256', kid: 'bench', typ: 'JWT'}) + '.' + part(JSON.parse(require('fs').readFileSync(0)));
const token = head + '.' + sign('sha256', head, privateKey).toString('base64url');
const jwk = {...publicKey.export({format: 'jwk'}), kid: 'bench', alg: 'RS256', use: 'sig'};
console.log(JSON.stringify({token, jwks: {keys: [jwk]}}));
"""


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=2, help="of each measurement through Envoy")
    arguments.add_argument("--only", choices=["alone", "envoy"])
    options = arguments.parse_args()
    options.extra = ""
    parts, found = [], []
    if options.only != "envoy":
        scenes = measured_alone()
        found += goals_of(scenes)
        parts += [table(scenes)]
    if options.only != "alone":
        folder = Path(tempfile.mkdtemp(prefix="mcp-bench-"))
        try:
            with setups.House(folder) as house:
                rows = through_envoy(house, options)
                lists = lists_through_envoy(house, options)
        except Exception:
            print(f"the logs are in {folder}", file=sys.stderr)
            raise
        shutil.rmtree(folder)
        found.append(("the same through Envoy", added_through_envoy(rows, FEW), 10.0, False))
        found.append(("CPU of a filtered list for an audience that was seen, to as many tools without rules", of_lists(lists), NOISE, False))
        parts += [compare.machine(options), report.table("tools/call of 100 bytes, forwarded, under guards", rows, PLAIN)]
        parts.append(report.table("tools/list of 900 tools of 2 upstreams", lists, UNFILTERED))
    goals.keep("guarding", found)
    parts.append(goals.table(found))
    text = "\n".join(parts)
    print(text)
    compare.OUTPUT.mkdir(parents=True, exist_ok=True)
    (compare.OUTPUT / "guarding.md").write_text(text)


# === alone ===


def measured_alone() -> dict:
    """name -> {title, us: of each round, count: instructions or None}"""
    command = [setups.EXAMPLES / "count", "guards", "25"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    scenes = {}
    for line in map(json.loads, done.splitlines()):
        scene = scenes.setdefault(line["name"], {"title": line["title"], "us": [], "count": None})
        scene["us"].append(line["us"])
    if shutil.which("valgrind"):
        for name, scene in scenes.items():
            scene["count"] = instructions.per_operation(f"guard {name}", 20 if is_list(name) else 200, None)
    return scenes


def is_list(name: str) -> bool:
    return name.startswith("list")


def base_of(name: str) -> str:
    """The same without its guard."""
    if name == "list-seen":
        return "list-900"
    return "list" if is_list(name) else "plain"


def added(scenes: dict, name: str) -> float:
    """Microseconds that a guard adds: the median of the rounds' own differences."""
    return median(own - base for own, base in zip(scenes[name]["us"], scenes[base_of(name)]["us"]))


def ratio(scenes: dict, name: str) -> float:
    return median(own / base for own, base in zip(scenes[name]["us"], scenes[base_of(name)]["us"]))


def table(scenes: dict) -> str:
    lines = ["**Whole ext_proc streams, without HTTP/2 and kernel**", ""]
    lines += ["| | CPU us | added us | instructions | added |", "|---|---:|---:|---:|---:|"]
    for name, scene in scenes.items():
        base = scenes[base_of(name)]
        more = f"{added(scenes, name):+.1f}" if base is not scene else ""
        counts = "- | -"
        if scene["count"] is not None:
            counts = f"{scene['count']:,} | " + (f"{scene['count'] - base['count']:+,}" if base is not scene else "")
        lines.append(f"| {scene['title']} | {median(scene['us']):.1f} | {more} | {counts} |")
    return "\n".join(lines) + "\n" + instructions.NOTE


def goals_of(scenes: dict) -> list:
    """(what, value, limit, at least?)"""
    rules = "us of CPU that 100 rules add to a call, 5 can match"
    found = [
        (rules, added(scenes, "few"), 10.0, False),
        ("CPU of a list of 1,000 tools under 100 rules about calls, to the same without rules", ratio(scenes, "list-open"), NOISE, False),
    ]
    if scenes["list"]["count"]:
        # What no other load on the machine touches.
        counted = lambda name: scenes[name]["count"] / scenes[base_of(name)]["count"]
        found.append(("instructions of the list under 100 rules about calls, to the same without", counted("list-open"), EQUAL, False))
        found.append(("instructions of the filtered list, to the same tools without rules", counted("list-seen"), EQUAL, False))
    return found


# === through Envoy ===


def through_envoy(house, options) -> dict:
    stub = setups.start_stub(house, "--stateful", "--tools", "20")
    token, jwks = signed(house.folder)
    (house.folder / "keys.yaml").write_text(f"[{{ name: ci, sha256: {hashlib.sha256(KEY.encode()).hexdigest()}, roles: [user] }}]\n")
    (house.folder / "htpasswd").write_text(f"{USER}:{HASH}\n")
    key = f"authentication: {{ apiKeys: {{ header: x-api-key, file: {house.folder}/keys.yaml }} }}\n"
    basic = f"authentication: {{ basic: {{ file: {house.folder}/htpasswd }} }}\n"
    issuer = f"{{ issuer: '{ISSUER}', audiences: ['{AUDIENCE}'], jwks: {{ file: {jwks} }} }}"
    jwt = f"authentication: {{ jwt: [ {issuer} ], scopes: [mcp:tools] }}\n"
    shown = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    lineup = {
        PLAIN: ("", {}),
        FEW: (few(), {}),
        "100 rules, all can match": (every(), {}),
        "token": (jwt, {"authorization": f"Bearer {token}"}),
        "API key": (key, {"x-api-key": KEY}),
        "password": (basic, {"authorization": f"Basic {shown}"}),
        "API key, limit": (key + LIMIT, {"x-api-key": KEY}),
        "the demo's": (jwt + demo(), {"authorization": f"Bearer {token}"}),
    }
    setups_of = {}
    for place, (name, (extra, headers)) in enumerate(lineup.items()):
        setup = setups.ours(house, stub, f"guard{place}", extra=extra)
        setup.headers |= headers
        compare.ready(setup)
        _, body = setup.post(setup.bodies["call"])
        if b'"content"' not in body:
            raise load.Failed(f"{name} answered {body[:300]!r}")
        setups_of[name] = setup
    return rounds(house, setups_of, "call", options)


def lists_through_envoy(house, options) -> dict:
    hides = "policies: { rules: [{ name: sevens, deny: \"tool.name.endsWith('7') && !('admin' in roles)\" }] }\n"
    setups_of = {}
    for name, (tools, extra) in {UNFILTERED: (450, ""), FILTERED: (500, hides)}.items():
        stub = setups.start_stub(house, "--stateful", "--tools", str(tools))
        setup = setups.ours(house, stub, f"lists{tools}", extra=extra)
        compare.ready(setup)
        _, body = setup.post(setup.bodies["list"])
        if (found := len(json.loads(body)["result"]["tools"])) != 900:
            raise load.Failed(f"{name}: {found} tools")
        setups_of[name] = setup
    return rounds(house, setups_of, "list", options)


def of_lists(rows: dict) -> float:
    """CPU of Envoy and processor together: the median of the rounds' own ratios."""
    cpu = lambda run: run["envoy"] + run["processor"]
    return median(cpu(own) / cpu(base) for own, base in zip(rows[FILTERED]["runs"], rows[UNFILTERED]["runs"]))


def rounds(house, setups_of: dict, workload: str, options) -> dict:
    runs = {name: [] for name in setups_of}
    for round in range(options.rounds + 1):
        for name, setup in list(setups_of.items())[:: -1 if round % 2 else 1]:
            # The first round warms up.
            figures = compare.one(house, setup, setup.bodies[workload], options.seconds if round else 1)
            if round:
                runs[name].append(figures)
                compare.say(f"guards {round}/{options.rounds} {name}: {figures['per_second']:,.0f}/s")
    return {name: report.medians(figures) for name, figures in runs.items()}


def added_through_envoy(rows: dict, name: str) -> float:
    """Microseconds of the processor's CPU."""
    pairs = zip(rows[name]["runs"], rows[PLAIN]["runs"])
    return median(own["processor"] - base["processor"] for own, base in pairs)


def signed(folder: Path) -> tuple:
    """A token of `ISSUER` that is good for an hour, and the file of its keys."""
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "f3b1c2d4-ann", "aud": AUDIENCE, "iat": now, "exp": now + 3600}
    claims |= {"azp": "desktop", "scope": "openid mcp:tools", "realm_access": {"roles": ["user", "team-red"]}}
    command = [setups.TOOLS / "node" / "bin" / "node", "-e", SIGN]
    done = subprocess.run(command, input=json.dumps(claims), stdout=subprocess.PIPE, text=True, check=True).stdout
    made = json.loads(done)
    file = folder / "jwks.json"
    file.write_text(json.dumps(made["jwks"]))
    return made["token"], file


def few() -> str:
    """Five rules are about the tool of the call."""
    of = lambda at: f"tool.name == '{'one_tool_1' if at % 20 == 0 else f'tool_{at}'}' && {condition(at)}"
    return ruled(of)


def every() -> str:
    return ruled(condition)


def condition(at: int) -> str:
    """Not true of the call; half of them read its arguments, the other half its caller."""
    return f"'role{at}' in roles" if at % 2 else f"arguments.city == 'town{at}'"


def ruled(rule) -> str:
    lines = [f'    - {{ name: rule{at}, deny: "{rule(at)}" }}\n' for at in range(100)]
    return "policies:\n  rules:\n" + "".join(lines)


def demo() -> str:
    """As `tests/demo/guarded.sh` has it, but that nothing is used up."""
    return (
        "policies:\n  rules:\n"
        "    - { name: environment, deny: \"tool.name == 'two_tool_1' && !('admin' in roles)\" }\n"
        "    - { name: small-sums, deny: \"tool.name == 'one_tool_1' && arguments.city.size() > 100\" }\n"
        "rateLimits: [{ name: calls, per: [principal, tool], limit: 1000000/s, burst: 1000000, tools: one_tool_1 }]\n"
    )


if __name__ == "__main__":
    main()
