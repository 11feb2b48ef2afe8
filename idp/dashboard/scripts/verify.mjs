// Builds the dashboard again and proves that dist and src/api/schema.d.ts are
// what the source and docs/openapi.yaml give, and that the first load is small.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const budget = 300 * 1024; // bytes of the first load, compressed
const problems = [];
const scratch = mkdtempSync(join(tmpdir(), "agentidp-dashboard-"));
const run = (program, ...args) =>
  execFileSync(join("node_modules/.bin", program), args, { stdio: ["ignore", "ignore", "inherit"] });
try {
  run("openapi-typescript", "../../docs/openapi.yaml", "-o", join(scratch, "schema.d.ts"));
  if (!same(join(scratch, "schema.d.ts"), "src/api/schema.d.ts"))
    problems.push("src/api/schema.d.ts is not what docs/openapi.yaml gives");
  run("vite", "build", "--logLevel", "warn", "--emptyOutDir", "--outDir", join(scratch, "dist"));
  const built = files(join(scratch, "dist"));
  for (const name of new Set([...built, ...files("dist")])) {
    if (!same(join(scratch, "dist", name), join("dist", name)))
      problems.push(`dist/${name} is not what the source gives`);
  }
} finally {
  rmSync(scratch, { recursive: true });
}

// What the overview needs: all that index.html names, and all that its modules import.
const needed = new Set(["index.html"]);
for (const name of needed) {
  const content = readFileSync(join("dist", name), "utf8");
  const page = name === "index.html" || name.includes("OverviewPage");
  const names = content.match(/[\w-]+\.(?:js|css)\b/g) ?? [];
  for (const found of names) {
    const asset = join("assets", found);
    const wanted =
      page ||
      content.includes(`from"./${found}"`) ||
      content.includes(`import"./${found}"`) ||
      found.startsWith("OverviewPage");
    if (wanted && files("dist").includes(asset)) needed.add(asset);
  }
}
const sizes = [...needed].map((name) => gzipSync(readFileSync(join("dist", name)), { level: 9 }).length);
const total = sizes.reduce((a, b) => a + b, 0);
if (total > budget) problems.push(`the first load is ${total} bytes compressed, more than ${budget}`);

for (const problem of problems) console.error(problem);
if (problems.length > 0) {
  console.error("run `make dashboard` and commit what it changes");
  process.exit(1);
}
console.log(
  `dashboard: dist is what the source gives; first load ${Math.round(total / 1024)} KB compressed in ${needed.size} files`,
);

function files(root) {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

function same(a, b) {
  try {
    return readFileSync(a).equals(readFileSync(b));
  } catch {
    return false;
  }
}
