// @vitest-environment node
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { type Bytes, checkConsistency, Edge, leafHash, Refuted, rootOfInclusion, toHex } from "./merkle";

const bytes = (hex: string): Bytes => Uint8Array.from(hex.match(/../g) ?? [], (h) => Number.parseInt(h, 16));

// The eight leaves of the tests of Certificate Transparency, with the roots of
// each of their trees.
const leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"].map(
  bytes,
);
const roots = [
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
].map(bytes);

const inclusion: [index: number, size: number, proof: string[]][] = [
  [0, 1, []],
  [
    0,
    8,
    [
      "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
  ],
  [
    5,
    8,
    [
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
  ],
  [2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]],
  [
    1,
    5,
    [
      "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
  ],
];

const consistency: [first: number, second: number, proof: string[]][] = [
  [1, 1, []],
  [
    1,
    8,
    [
      "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
  ],
  [
    6,
    8,
    [
      "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
  ],
  [
    2,
    5,
    [
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
  ],
];

const at = <T>(list: T[], i: number): T => {
  const value = list[i];
  if (value === undefined) throw new Error(`no ${i}`);
  return value;
};
const tree = (size: number) => ({ size, root: at(roots, size - 1) });
const broken = (proof: Bytes[]) =>
  proof.map((hash, i) => (i === 0 ? hash.map((b, j) => (j === 31 ? b ^ 1 : b)) : hash));

test.each(inclusion)("RFC 6962 inclusion of leaf %i in a tree of %i", async (index, size, hex) => {
  const leaf = await leafHash(at(leaves, index));
  const proof = hex.map(bytes);
  const want = toHex(at(roots, size - 1));
  expect(toHex(await rootOfInclusion(index, size, leaf, proof))).toBe(want);
  if (proof.length === 0) return;
  expect(toHex(await rootOfInclusion(index, size, leaf, broken(proof)))).not.toBe(want);
  expect(toHex(await rootOfInclusion(index, size, await leafHash(at(leaves, 7 - index)), proof))).not.toBe(want);
  await expect(rootOfInclusion(index, size, leaf, proof.slice(1))).rejects.toThrow(Refuted);
  await expect(rootOfInclusion(index, size, leaf, [...proof, at(proof, 0)])).rejects.toThrow(Refuted);
  await expect(rootOfInclusion(size, size, leaf, proof)).rejects.toThrow(Refuted);
});

test.each(consistency)("RFC 6962 consistency from %i to %i", async (first, second, hex) => {
  const proof = hex.map(bytes);
  await checkConsistency(tree(first), tree(second), proof);
  if (proof.length === 0) return;
  for (const wrong of [broken(proof), proof.slice(1), proof.slice(0, -1), [...proof, at(proof, 0)], []])
    await expect(checkConsistency(tree(first), tree(second), wrong)).rejects.toThrow(Refuted);
  const other = { size: first, root: at(roots, first) };
  await expect(checkConsistency(other, tree(second), proof)).rejects.toThrow(Refuted);
});

test("a log that is shorter, or another of the same size, is refuted", async () => {
  await expect(checkConsistency(tree(8), tree(6), [])).rejects.toThrow("shorter");
  await expect(checkConsistency(tree(6), { size: 6, root: at(roots, 0) }, [])).rejects.toThrow("different roots");
});

test("a tree grows leaf by leaf, or by whole subtrees where they fit", async () => {
  const edge = new Edge();
  expect(toHex(await edge.root())).toBe(createHash("sha256").digest("hex"));
  for (const [i, leaf] of leaves.entries()) {
    await edge.add(0, await leafHash(leaf));
    expect(toHex(await edge.root())).toBe(toHex(at(roots, i)));
  }
  const short = new Edge();
  await short.add(2, at(roots, 3));
  for (const leaf of leaves.slice(4)) await short.add(0, await leafHash(leaf));
  expect([short.size, toHex(await short.root())]).toEqual([8, toHex(at(roots, 7))]);
  const misplaced = new Edge();
  await misplaced.add(0, await leafHash(at(leaves, 0)));
  await expect(misplaced.add(1, at(roots, 1))).rejects.toThrow(Refuted);
});
