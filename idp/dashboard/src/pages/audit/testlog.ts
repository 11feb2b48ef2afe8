import { vi } from "vitest";
import { session } from "../../session/session";
import { type Bytes, Edge, leafHash, sha256 } from "./merkle";

// TestLog is a small signed log behind a `fetch` that answers as the IdP does. What
// is put in `instead` is answered in place of the truth.
export class TestLog {
  readonly events: string[];
  readonly hashes: Bytes[] = [];
  readonly instead: Record<string, (url: URL) => string | undefined> = {};
  note = "";
  verifierKey = "";

  private constructor(size: number) {
    this.events = Array.from({ length: size }, (_, i) =>
      JSON.stringify({
        action: i % 2 ? "token.issued" : "agent.created",
        agentId: "a, b",
        eventId: idOf(i),
        outcome: "success",
        sequence: i,
      }),
    );
  }

  static async start(size: number): Promise<TestLog> {
    const log = new TestLog(size);
    const edge = new Edge();
    for (const event of log.events) {
      const hash = await leafHash(encode(event));
      log.hashes.push(hash);
      await edge.add(0, hash);
    }
    await log.sign(size, await edge.root());
    vi.stubGlobal("fetch", async (input: Request | string) =>
      log.answer(new URL(typeof input === "string" ? input : input.url)),
    );
    await session.signIn("client", "secret");
    return log;
  }

  // sign makes the checkpoint, under a key of its own each time.
  async sign(size: number, root: Bytes): Promise<void> {
    const { publicKey, privateKey } = (await crypto.subtle.generateKey("Ed25519", true, [
      "sign",
      "verify",
    ])) as CryptoKeyPair;
    const key = new Uint8Array([1, ...new Uint8Array(await crypto.subtle.exportKey("raw", publicKey))]);
    const id = (await sha256(encode("idp.test/audit\n"), key)).slice(0, 4);
    const text = `idp.test/audit\n${size}\n${base64(root)}\n`;
    const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", privateKey, encode(text)));
    this.note = `${text}\n— idp.test/audit ${base64(new Uint8Array([...id, ...signature]))}\n`;
    this.verifierKey = `idp.test/audit+${Array.from(id, (b) => b.toString(16).padStart(2, "0")).join("")}+${base64(key)}`;
  }

  // export is what the IdP would stream.
  get export(): string {
    const header = JSON.stringify({ export: { version: 1, checkpoint: this.note } });
    return [header, ...this.events, ""].join("\n");
  }

  private async answer(url: URL): Promise<Response> {
    const name = url.pathname.slice(url.pathname.lastIndexOf("/") + 1);
    const lie = this.instead[name]?.(url);
    if (lie !== undefined) return new Response(lie);
    switch (name) {
      case "token":
        return Response.json({
          access_token: `.${btoa('{"sub":"a","org":"o"}')}.`,
          expires_in: 3600,
          scope: "audit:read",
        });
      case "checkpoint":
        return new Response(this.note);
      case "keys":
        return Response.json({ data: [], verifierKey: this.verifierKey });
      case "inclusion":
        return Response.json({ hashes: (await this.proof(Number(url.searchParams.get("leafIndex")))).map(base64) });
      case "export":
        return new Response(this.export);
    }
    const event = this.events[Number(name.slice(-4))];
    return event
      ? new Response(event)
      : Response.json({ code: "NOT_FOUND", message: "no such event", details: {} }, { status: 404 });
  }

  // proof is the siblings of a leaf, from the whole tree (RFC 6962 section 2.1.1).
  private async proof(index: number, hashes = this.hashes): Promise<Bytes[]> {
    if (hashes.length <= 1) return [];
    const k = 2 ** Math.floor(Math.log2(hashes.length - 1));
    const [left, right] = [hashes.slice(0, k), hashes.slice(k)];
    const inside = index < k ? await this.proof(index, left) : await this.proof(index - k, right);
    return [...inside, await rootOf(index < k ? right : left)];
  }
}

export const idOf = (i: number) => `00000000-0000-7000-8000-00000000${String(i).padStart(4, "0")}`;
export const encode = (text: string): Bytes => new TextEncoder().encode(text) as Bytes;
export const base64 = (bytes: Bytes) => btoa(String.fromCharCode(...bytes));

export async function rootOf(hashes: Bytes[]): Promise<Bytes> {
  const edge = new Edge();
  for (const hash of hashes) await edge.add(0, hash);
  return edge.root();
}
