// Writes ../LICENSES: what is in the bundles, each text once.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const tools = /^(esbuild|commander|iconv-lite|rw|safer-buffer)$/;
const packages = readdirSync("node_modules")
  .flatMap((name) => (name.startsWith("@") ? readdirSync(`node_modules/${name}`).map((inner) => `${name}/${inner}`) : [name]))
  .filter((name) => !name.startsWith(".") && !name.startsWith("@esbuild/") && !tools.test(name));
const texts = new Map();
for (const name of packages) {
  const file = readdirSync(`node_modules/${name}`).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} has no license file`);
  const text = readFileSync(`node_modules/${name}/${file}`, "utf8").trim();
  const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
  texts.set(text, [...(texts.get(text) ?? []), `${name} ${version}`]);
}
writeFileSync("../LICENSES", [...texts].map(([text, names]) => `${names.join(", ")}\n\n${text}\n`).join("\n\n"));
