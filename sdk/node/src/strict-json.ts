const MOST_LEVELS = 8;
const MOST_MEMBERS = 64; // of one object

/** An object that all readers agree on. */
export interface StrictObject {
  members: Record<string, unknown>;
  /** Which members are or hold a number that is not written as an integer, such as 1.0, 1e3 or -0. */
  inexact: ReadonlySet<string>;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads one JSON object as the sidecar does: valid UTF-8 without lone surrogates, no member name twice in an object at
 * any depth, at most 8 levels deep and 64 members an object, nothing after it. `undefined` for anything else.
 */
export function readObject(data: Uint8Array): StrictObject | undefined {
  try {
    const text = decoder.decode(data);
    const members: unknown = JSON.parse(text);
    if (typeof members !== "object" || members === null || Array.isArray(members)) return undefined;
    const inexact = inexactMembers(text);
    return inexact && { members: members as Record<string, unknown>, inexact };
  } catch {
    return undefined;
  }
}

const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Walks the tokens of a text that is JSON; `undefined` where it breaks a rule that JSON.parse does not know. */
function inexactMembers(text: string): Set<string> | undefined {
  const inexact = new Set<string>();
  const open: (Set<string> | undefined)[] = []; // member names of each open object; undefined: an array
  let top = ""; // the member of the outermost object
  let naming = false; // a string is a member name here
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === "}" || token === "]") open.pop();
    if (token === "," || token === "}" || token === "]" || token === ":") {
      naming = token === "," && open.at(-1) !== undefined;
      continue;
    }
    const string = token.startsWith('"') ? (JSON.parse(token) as string) : undefined;
    if (string !== undefined && LONE_SURROGATE.test(string)) return undefined;
    const names = open.at(-1);
    if (naming && names && string !== undefined) {
      if (names.has(string) || names.size === MOST_MEMBERS) return undefined;
      names.add(string);
      if (open.length === 1) top = string;
      continue;
    }
    if (open.length >= MOST_LEVELS) return undefined;
    if (token === "{" || token === "[") {
      naming = token === "{";
      open.push(naming ? new Set() : undefined);
    } else if (/^[-0-9]/.test(token) && !/^(0|-?[1-9][0-9]*)$/.test(token)) {
      inexact.add(top);
    }
  }
  return inexact;
}
