import { type Bytes, equal, fromBase64, Refuted, sha256, type Tree } from "./merkle";

// Checkpoint is a C2SP tlog-checkpoint: a signed note that names a tree.
export type Checkpoint = Tree & {
  origin: string; // the log's name
  text: Bytes; // what is signed
  note: string; // whole, as it came
  signatures: { name: string; id: Bytes; signature: Bytes }[];
};

// Verifier is a C2SP signed-note verifier key of the only kind that logs here have: Ed25519.
export type Verifier = { name: string; id: Bytes; key: Bytes };

const encoder = new TextEncoder();
const ed25519 = 1; // the algorithm's number in keys and their ids

export function parseCheckpoint(note: string): Checkpoint {
  const end = note.lastIndexOf("\n\n");
  const text = note.slice(0, end + 1);
  const [origin, size, root] = text.split("\n");
  if (end < 0 || !origin || !/^(0|[1-9]\d{0,14})$/.test(size ?? ""))
    throw new Refuted("the checkpoint has not its form");
  const signatures = note
    .slice(end + 2)
    .split("\n")
    .flatMap((line) => {
      const [, name, value] = /^— (\S+) (\S+)$/.exec(line) ?? [];
      if (!name || !value) return [];
      const bytes = decode(value);
      return [{ name, id: bytes.slice(0, 4), signature: bytes.slice(4) }];
    });
  const hash = decode(root ?? "");
  if (hash.length !== 32) throw new Refuted("the checkpoint has no root");
  return { origin, size: Number(size), root: hash, text: encoder.encode(text), note, signatures };
}

// parseVerifier reads name+id+base64 of algorithm and key, and holds the id
// against the rest, of which it is a hash.
export async function parseVerifier(text: string): Promise<Verifier> {
  const [, name, hex, value] = /^([^+\s]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text) ?? [];
  const bytes = decode(value ?? "");
  if (!name || !hex || bytes[0] !== ed25519 || bytes.length !== 33)
    throw new Refuted("the verifier key has not its form");
  const id = (await sha256(encoder.encode(`${name}\n`), bytes)).slice(0, 4);
  const named = Uint8Array.from(hex.match(/../g) ?? [], (h) => Number.parseInt(h, 16));
  if (!equal(id, named)) throw new Refuted("the verifier key is not the one that its id names");
  return { name, id, key: bytes.slice(1) };
}

// checkSignature throws Refuted unless the verifier's key signed the checkpoint,
// and reports false where the browser knows no Ed25519.
export async function checkSignature(checkpoint: Checkpoint, verifier: Verifier): Promise<boolean> {
  const signed = checkpoint.signatures.find((s) => s.name === verifier.name && equal(s.id, verifier.id));
  if (!signed || checkpoint.origin !== verifier.name)
    throw new Refuted("the checkpoint is not signed by the key that the IdP shows as the log's");
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey("raw", verifier.key, "Ed25519", false, ["verify"]);
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotSupportedError") return false;
    throw error;
  }
  if (!(await crypto.subtle.verify("Ed25519", key, signed.signature, checkpoint.text)))
    throw new Refuted("the signature of the checkpoint is wrong");
  return true;
}

function decode(base64: string): Bytes {
  try {
    return fromBase64(base64);
  } catch {
    throw new Refuted("a hash or signature is no base64");
  }
}
