// Writes src/schemas.ts from the schemas of the API's description; with --check
// it says whether that would change anything.
import { readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";
import { parse } from "yaml";

const target = new URL("../src/schemas.ts", import.meta.url);
const document = parse(await readFile(new URL("../../../docs/openapi.yaml", import.meta.url), "utf8"));
const { openapi, info, components } = document;
const nodes = await openapiTS(
  { openapi, info, paths: {}, components: { schemas: components.schemas } },
  {
    rootTypes: true,
    rootTypesNoSchemaPrefix: true,
    additionalProperties: false,
    defaultNonNullable: false,
    silent: true,
  },
);
const written = `// Made from docs/openapi.yaml by \`npm run models\`; do not edit.\n${astToString(nodes)}`
  .replace(/^export type (paths|webhooks|\$defs|operations) = .*;\n/gm, "")
  .replace(/^ {4}(responses|parameters|requestBodies|headers|pathItems): never;\n/gm, "");

if (process.argv.includes("--check")) {
  const committed = await readFile(target, "utf8").catch(() => "");
  if (committed !== written) {
    process.stderr.write("src/schemas.ts is not what docs/openapi.yaml gives: run `npm run models`\n");
    process.exit(1);
  }
} else {
  await writeFile(target, written);
}
