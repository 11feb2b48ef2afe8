// Builds dist: ES modules and CommonJS, each with its types. `npm run check` checks them.
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";

const root = new URL("..", import.meta.url);
rmSync(new URL("dist", root), { recursive: true, force: true });
for (const project of ["tsconfig.build.json", "tsconfig.cjs.json"]) {
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", project], { cwd: root, stdio: "inherit" });
}
writeFileSync(new URL("dist/cjs/package.json", root), '{ "type": "commonjs" }\n');
