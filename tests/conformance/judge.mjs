// Judges the checks of one conformance run.
//
// Usage: node judge.mjs WIRE FOLDER [--alone FOLDER] [--expected FILE] [--name NAME]
//
// Every check must succeed, except: with `--alone`, those that fail in that run as well (of the upstream without the
// gateway, or of what the cell is measured by); with `--expected`, those that the file names. What succeeds alone must
// have been checked here too. A line of FILE is `WIRES SCENARIO [CHECK]`, WIRES being `*`, or revisions joined by commas,
// each for every upstream or as `NAME:REVISION` for one; it stands below, or before, a comment with its reason. A line
// that nothing fails for any more is an error.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const [wire, folder, ...options] = process.argv.slice(2);
const option = (name) => (options.includes(name) ? options[options.indexOf(name) + 1] : undefined);

// Lists are answered from memory, as JSON in one piece: the suite notes then that streams are optional.
const optional = new Set(["server-sse-multiple-streams server-sse-streams-functional"]);

/** All checks of a run, as { scenario, id, status, said }. */
function checks(folder) {
  const runs = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return runs.flatMap((run) => {
    const scenario = run.name.replace(/^server-/, "").replace(/-\d{4}-\d\d-\d\dT.*$/, "");
    const found = JSON.parse(readFileSync(join(folder, run.name, "checks.json"), "utf8"));
    return found.map(({ id, status, errorMessage, description }) => ({ scenario, id, status, said: errorMessage ?? description }));
  });
}

/** The lines of an expectation file that speak of this wire; each must have a reason. */
function expectations(file) {
  const rows = [];
  let reason = "";
  for (const line of readFileSync(file, "utf8").split("\n")) {
    const [, words, comment] = /^([^#]*)(?:#\s*(.*))?$/.exec(line);
    const [wires, scenario, check] = words.trim().split(/\s+/);
    if (!wires) {
      reason = comment ?? "";
      continue;
    }
    if (!reason && !comment) throw new Error(`${file}: no reason for ${words.trim()}`);
    const places = wires.split(",");
    if (wires === "*" || places.includes(wire) || places.includes(`${option("--name")}:${wire}`)) rows.push({ scenario, check, failed: 0 });
  }
  return rows;
}

const bad = ({ status }) => status === "FAILURE" || status === "WARNING";
const key = ({ scenario, id }) => `${scenario} ${id}`;

const here = checks(folder);
const alone = option("--alone") ? checks(option("--alone")) : [];
const rows = option("--expected") ? expectations(option("--expected")) : [];
const failsAlone = new Set(alone.filter(bad).map(key));
const seen = new Set(here.filter(({ status }) => status === "SUCCESS").map(key));
const failing = new Set(here.filter(bad).map(key));
const lost = alone.filter((check) => check.status === "SUCCESS" && !seen.has(key(check)) && !failing.has(key(check)));

const count = { passed: 0, alone: 0 };
const surprises = [];
function fault(check, status) {
  const row = rows.find((row) => row.scenario === check.scenario && (row.check === undefined || row.check === check.id));
  if (row) row.failed += 1;
  else if (failsAlone.has(key(check))) count.alone += 1;
  else if (status === "UNCHECKED" && optional.has(key(check))) return;
  else surprises.push(`${status} ${key(check)}: ${check.said}`);
}
for (const check of here) {
  if (check.status === "SUCCESS") count.passed += 1;
  if (bad(check)) fault(check, check.status);
}
for (const check of lost) fault(check, "UNCHECKED");
if (count.passed === 0) surprises.push(`no check passed; see ${join(folder, "log")}`);

const stale = rows.filter((row) => row.failed === 0);
for (const line of new Set(surprises)) console.log(`  ${line}`);
for (const row of stale) console.log(`  STALE ${row.scenario} ${row.check ?? ""}: nothing fails, take it out of ${option("--expected")}`);
console.log(
  `conformance ${wire}: ${count.passed} checks passed, ${count.alone} fail without the gateway too, ` +
    `${rows.reduce((sum, row) => sum + row.failed, 0)} failed as expected, ${surprises.length} failed, ${stale.length} stale`,
);
process.exit(surprises.length + stale.length === 0 ? 0 : 1);
