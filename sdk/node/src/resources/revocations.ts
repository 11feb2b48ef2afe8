import { compactVerify } from "jose";
import type { Api, CallOptions } from "../api.js";
import { decode, split } from "../compact.js";
import { InvalidAnswerError } from "../error.js";
import { KeySet } from "../key-set.js";
import type { NewRevocation, RevocationEntry, RevocationPage, RevocationPreview, RevocationType } from "../schemas.js";

const LONGEST_WAIT = 25; // seconds, so that the answer comes within the call's time
const SNAPSHOT = "agentidp-revocations+jwt";

/** Where to go on in the feed, and how long to wait for news. */
export interface FeedPosition {
  /** The `cursor` of the page before. Default: every live entry. */
  after?: string | undefined;
  /** Seconds to wait for news, up to 25. Default: none. */
  wait?: number | undefined;
}

/** What is cut off. */
export class Revocations {
  private readonly keys: KeySet;

  /** @internal */
  constructor(
    private readonly api: Api,
    fetch: typeof globalThis.fetch | undefined,
  ) {
    this.keys = new KeySet(`${api.url}/.well-known/jwks.json`, fetch, api.clock);
  }

  /** Cuts off an agent, credential, organization, key or token. Nothing is suspended: new tokens can be issued. */
  create(revocation: NewRevocation, options?: CallOptions): Promise<RevocationEntry> {
    return this.api.json({ method: "POST", path: "/api/v1/revocations", body: revocation }, options);
  }

  /** Counts what a revocation of an agent, credential, organization or key would cut off. It changes nothing. */
  preview(type: Exclude<RevocationType, "jti">, id: string, options?: CallOptions): Promise<RevocationPreview> {
    return this.api.json({ method: "GET", path: "/api/v1/revocations/preview", query: { type, id } }, options);
  }

  /**
   * What is new behind a cursor, as soon as there is something or the wait is over. Without a cursor, or with one of
   * another feed, it is every live entry, whose signature is verified.
   */
  async feed({ after, wait = 0 }: FeedPosition = {}, options?: CallOptions): Promise<RevocationPage> {
    const query = { after, wait: wait > 0 ? Math.min(Math.ceil(wait), LONGEST_WAIT) : undefined };
    const answer = await this.api.answer({ method: "GET", path: "/api/v1/revocations", query, accept: "*/*" }, options);
    const text = new TextDecoder().decode(answer.body);
    return text.startsWith("{") ? (JSON.parse(text) as RevocationPage) : this.snapshot(text);
  }

  private async snapshot(token: string): Promise<RevocationPage> {
    try {
      const { kid } = split(token, SNAPSHOT, Number.POSITIVE_INFINITY);
      const key = await this.keys.find(kid);
      if (!key) throw new Error("unknown key");
      await compactVerify(token, key, { algorithms: ["RS256"] });
    } catch (cause) {
      throw new InvalidAnswerError("the snapshot of the revocations is not signed by the IdP", { cause });
    }
    const { epoch, cursor, entries } = JSON.parse(
      decode(token.split(".")[1] ?? "")?.toString() ?? "",
    ) as RevocationPage;
    return { epoch, cursor, entries };
  }
}
