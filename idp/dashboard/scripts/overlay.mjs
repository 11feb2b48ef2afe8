// Prints what `go build -overlay` wants in order to embed another build than
// dist, which stays as it is: node scripts/overlay.mjs DIR
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";

const built = resolve(process.argv[2] ?? "");
const files = (root) =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));

const dist = resolve(import.meta.dirname, "../dist");
const Replace = Object.fromEntries([
  ...files(dist).map((name) => [join(dist, name), ""]), // "" is not there
  ...files(built).map((name) => [join(dist, name), join(built, name)]),
]);
console.log(JSON.stringify({ Replace }));
