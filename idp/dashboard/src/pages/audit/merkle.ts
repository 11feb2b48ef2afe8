// The tree of RFC 6962 section 2.1, over SHA-256 of the browser. Sizes and
// indexes are safe integers, so there is no bit arithmetic, which has 32 bits.

export type Bytes = Uint8Array<ArrayBuffer>;

// Refuted says that what the IdP showed contradicts itself, or what this browser
// knows: no failure of the check, but its result.
export class Refuted extends Error {}

export function concat(parts: Bytes[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export async function sha256(...parts: Bytes[]): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concat(parts)));
}

export const leafHash = (leaf: Bytes) => sha256(new Uint8Array([0]), leaf);
const nodeHash = (left: Bytes, right: Bytes) => sha256(new Uint8Array([1]), left, right);

export function equal(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export const fromBase64 = (text: string): Bytes => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
export const toHex = (bytes: Bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

const odd = (n: number) => n % 2 === 1;
const half = (n: number) => Math.floor(n / 2);

// rootOfInclusion is the root that a leaf and its proof give (RFC 9162 section 2.1.3.2).
export async function rootOfInclusion(index: number, size: number, leaf: Bytes, proof: Bytes[]): Promise<Bytes> {
  if (index >= size) throw new Refuted("the event lies beyond the tree of the proof");
  let [node, last, hash] = [index, size - 1, leaf];
  for (const sibling of proof) {
    if (last === 0) throw new Refuted("the proof is longer than the tree is high");
    if (odd(node) || node === last) {
      hash = await nodeHash(sibling, hash);
      while (!odd(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = await nodeHash(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  if (last !== 0) throw new Refuted("the proof is shorter than the tree is high");
  return hash;
}

export type Tree = { size: number; root: Bytes };

// checkConsistency proves that an earlier tree is the beginning of a later one
// (RFC 9162 section 2.1.4.2), or throws Refuted.
export async function checkConsistency(first: Tree, second: Tree, proof: Bytes[]): Promise<void> {
  if (first.size > second.size) throw new Refuted("the log has become shorter");
  if (first.size === second.size) {
    if (!equal(first.root, second.root)) throw new Refuted("two trees of one size have different roots");
    return;
  }
  let [node, last] = [first.size - 1, second.size - 1];
  while (odd(node)) [node, last] = [half(node), half(last)];
  const path = node === 0 ? [first.root, ...proof] : proof; // its size is a power of two: the root itself
  const start = path[0];
  if (!start) throw new Refuted("the proof of consistency is empty");
  let [before, after] = [start, start];
  for (const sibling of path.slice(1)) {
    if (last === 0) throw new Refuted("the proof of consistency is too long");
    if (odd(node) || node === last) {
      before = await nodeHash(sibling, before);
      after = await nodeHash(sibling, after);
      while (!odd(node) && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      after = await nodeHash(after, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  if (last !== 0) throw new Refuted("the proof of consistency is too short");
  if (!equal(before, first.root))
    throw new Refuted("what was in front has been changed: the earlier root does not come out");
  if (!equal(after, second.root)) throw new Refuted("the later root does not come out of the earlier tree");
}

// Edge grows a tree from the left and holds only its right edge: one hash a level.
export class Edge {
  size = 0;
  private readonly hashes: { level: number; hash: Bytes }[] = [];

  // add appends a complete subtree of 2^level leaves.
  async add(level: number, hash: Bytes): Promise<void> {
    const leaves = 2 ** level;
    if (this.size % leaves !== 0) throw new Refuted(`at leaf ${this.size} a subtree of ${leaves} leaves cannot begin`);
    this.size += leaves;
    for (let top = this.hashes.at(-1); top?.level === level; top = this.hashes.at(-1)) {
      hash = await nodeHash(top.hash, hash);
      this.hashes.pop();
      level++;
    }
    this.hashes.push({ level, hash });
  }

  async root(): Promise<Bytes> {
    let root: Bytes | undefined;
    for (const { hash } of this.hashes.toReversed()) root = root ? await nodeHash(hash, root) : hash;
    return root ?? sha256();
  }
}
