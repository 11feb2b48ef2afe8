// What this browser remembers of the log between visits: the latest checkpoint
// that it checked, and the key that signed it. Neither is secret; both are what
// tells a log that was cut or signed anew from the one that was here before.

export type Memory = { note: string; verifierKey: string | undefined; at: string };

const name = "agentidp.checkpoint";

export function recall(): Memory | undefined {
  try {
    const value = JSON.parse(localStorage.getItem(name) ?? "null") as Partial<Memory> | null;
    if (typeof value?.note !== "string" || typeof value.at !== "string") return undefined;
    return { note: value.note, verifierKey: value.verifierKey, at: value.at };
  } catch {
    return undefined; // unreadable, or storage is forbidden
  }
}

export function remember(memory: Memory) {
  try {
    localStorage.setItem(name, JSON.stringify(memory));
  } catch {
    // storage is forbidden: then each visit is the first
  }
}

export function forget() {
  try {
    localStorage.removeItem(name);
  } catch {
    // as above
  }
}
