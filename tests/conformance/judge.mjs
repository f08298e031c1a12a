// Judges the checks of one conformance run: usage node judge.mjs WIRE FOLDER EXPECTED-FAILURES.
//
// Expected failures stand in a file of lines `WIRES SCENARIO [CHECK]  # reason`, WIRES being `*` or revisions joined by
// commas. A failure that is not expected, an expected one that passed, and a run without checks are errors.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const [wire, folder, file] = process.argv.slice(2);

const expected = readFileSync(file, "utf8")
  .split("\n")
  .map((line) => line.replace(/#.*/, "").trim().split(/\s+/))
  .filter(([wires, scenario]) => scenario && (wires === "*" || wires.split(",").includes(wire)))
  .map(([, scenario, check]) => ({ scenario, check, failed: 0, ran: false }));

let passed = 0;
let awaited = 0;
const surprises = [];
for (const run of readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
  const scenario = run.name.replace(/^server-/, "").replace(/-\d{4}-\d\d-\d\dT.*$/, "");
  const rows = expected.filter((row) => row.scenario === scenario);
  for (const row of rows) row.ran = true;
  for (const check of JSON.parse(readFileSync(join(folder, run.name, "checks.json"), "utf8"))) {
    if (check.status === "SUCCESS") passed += 1;
    if (check.status !== "FAILURE" && check.status !== "WARNING") continue;
    const row = rows.find((row) => row.check === undefined || row.check === check.id);
    if (row) {
      row.failed += 1;
      awaited += 1;
    } else {
      surprises.push(`${check.status} ${scenario} ${check.id}: ${check.errorMessage ?? check.description}`);
    }
  }
}

const stale = expected.filter((row) => row.ran && row.failed === 0);
if (passed === 0) surprises.push(`no check passed; see ${join(folder, "log")}`);
for (const line of surprises) console.log(`  ${line}`);
for (const row of stale) console.log(`  STALE ${row.scenario} ${row.check ?? ""}: passes now, take it out of ${file}`);
console.log(`conformance ${wire}: ${passed} checks passed, ${awaited} failed as expected, ${surprises.length} failed, ${stale.length} stale`);
process.exit(surprises.length + stale.length === 0 ? 0 : 1);
