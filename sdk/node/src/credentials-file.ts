import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { baseOf, type Config, problemsOf } from "./config.js";
import { ConfigError } from "./error.js";
import { assertionKeyOf } from "./private-key.js";

/** What `process.env` is. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads a configuration from the environment:
 *
 * - `AGENTIDP_URL`, `AGENTIDP_CLIENT_ID`, and `AGENTIDP_CLIENT_SECRET` or the name of a file that holds it in
 *   `AGENTIDP_CLIENT_SECRET_FILE`;
 * - or instead of a secret a private key: its file in `AGENTIDP_PRIVATE_KEY_FILE`, its `kid` in `AGENTIDP_KEY_ID`;
 * - or all of this in the file that `AGENTIDP_CREDENTIALS_FILE` names, see {@link fromFile}.
 *
 * @throws ConfigError that says everything that is missing or contradicts something else, and no secret.
 */
export function fromEnvironment(environment: Environment = process.env): Config {
  const get = (name: string) => environment[name] || undefined; // an empty variable is none
  const set = (...names: string[]) => names.filter(get);
  const file = get("AGENTIDP_CREDENTIALS_FILE");
  if (file) {
    const beside = set("AGENTIDP_CLIENT_ID", "AGENTIDP_CLIENT_SECRET", "AGENTIDP_CLIENT_SECRET_FILE");
    beside.push(...set("AGENTIDP_PRIVATE_KEY_FILE", "AGENTIDP_KEY_ID"));
    if (beside.length > 0) throw new ConfigError(`AGENTIDP_CREDENTIALS_FILE and ${beside.join(", ")} are both set`);
    return read(file, get("AGENTIDP_URL"), "AGENTIDP_CREDENTIALS_FILE");
  }
  const secrets = set("AGENTIDP_CLIENT_SECRET", "AGENTIDP_CLIENT_SECRET_FILE", "AGENTIDP_PRIVATE_KEY_FILE");
  if (secrets.length > 1) throw new ConfigError(`${secrets.join(" and ")} are both set`);
  const secretFile = get("AGENTIDP_CLIENT_SECRET_FILE");
  const keyFile = get("AGENTIDP_PRIVATE_KEY_FILE");
  const config: Config = { url: get("AGENTIDP_URL") ?? "", clientId: get("AGENTIDP_CLIENT_ID") };
  config.clientSecret = secretFile
    ? textOf(secretFile, "AGENTIDP_CLIENT_SECRET_FILE").trim()
    : get("AGENTIDP_CLIENT_SECRET");
  if (keyFile) Object.assign(config, keyOf(keyFile, get("AGENTIDP_KEY_ID"), "AGENTIDP_PRIVATE_KEY_FILE"));
  return checked(config);
}

/**
 * Reads a credentials file: a JSON object with `clientId` and `clientSecret`, as the IdP answers when a credential is
 * made and as it writes its first administrator's, or with `clientId`, `privateKeyFile` (beside it) and maybe `keyId`.
 * @param url - of the IdP. It may stand in the file as `url`, but not as another one.
 * @throws ConfigError
 */
export function fromFile(path: string, url?: string): Config {
  return read(path, url, "the credentials file");
}

function read(path: string, url: string | undefined, name: string): Config {
  const member = membersOf(textOf(path, name), name);
  const [inside, clientId, clientSecret] = [member("url"), member("clientId"), member("clientSecret")];
  const keyFile = member("privateKeyFile");
  if (url && inside && baseOf(url) !== baseOf(inside))
    throw new ConfigError(`${name} is of another IdP than AGENTIDP_URL`);
  if (clientSecret && keyFile) throw new ConfigError(`${name}: clientSecret and privateKeyFile are both there`);
  if (!clientSecret && !keyFile) throw new ConfigError(`${name}: clientSecret or privateKeyFile is missing`);
  const config: Config = { url: url ?? inside ?? "", clientId, clientSecret };
  if (keyFile)
    Object.assign(config, keyOf(resolve(dirname(path), keyFile), member("keyId"), `${name}: privateKeyFile`));
  return checked(config);
}

/** Finds the members that are texts, and not empty. */
function membersOf(text: string, name: string): (member: string) => string | undefined {
  let kept: unknown;
  try {
    kept = JSON.parse(text);
  } catch {
    // no cause: V8 quotes the text, which holds a secret
  }
  if (typeof kept !== "object" || kept === null) throw new ConfigError(`${name} is not a JSON object`);
  return (member) => {
    const value = (kept as Record<string, unknown>)[member];
    return typeof value === "string" && value !== "" ? value : undefined;
  };
}

function keyOf(file: string, keyId: string | undefined, name: string): Pick<Config, "privateKey" | "keyId"> {
  try {
    return { privateKey: assertionKeyOf(textOf(file, name)).key, keyId };
  } catch (error) {
    throw new ConfigError(`${name}: ${(error as Error).message}`);
  }
}

function textOf(file: string, name: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new ConfigError(`${name} cannot be read`, { cause });
  }
}

function checked(config: Config): Config {
  const problems = problemsOf(config);
  if (problems.length > 0) throw new ConfigError(problems.join("; "));
  return { ...config, url: baseOf(config.url) };
}
