import { promisify } from "node:util";
import { inflate } from "node:zlib";
import { compactVerify } from "jose";
import { ask } from "./answer.js";
import { isObject, type StatusReference } from "./claims.js";
import { type Clock, type Instant, since } from "./clock.js";
import { decode, split } from "./compact.js";
import { baseOf } from "./config.js";
import type { KeySet } from "./key-set.js";
import { UndecidedError } from "./refusals.js";
import { readObject } from "./strict-json.js";

const TIME_LIMIT = 10_000;
const LARGEST = 512 << 10;
const LARGEST_LIST = 1 << 20;
const PAUSE_AFTER_FAILURE = 1_000;
const AWAY = 15_000; // after a failure nobody waits for the issuer for so long
const LONGEST_WAIT = 3_000; // of a verification, for a fetch
const MOST_BEHIND = 8; // fetches that nobody waits for
const DEFAULT_TTL = 15;
const MOST_LISTS = 64;

interface List {
  bits: Uint8Array;
  /** Unix seconds. */
  expiresAt: number;
  /** When it was fetched, and for how many milliseconds it is taken as it is. */
  at: Instant;
  ttl: number;
}

interface Entry {
  list?: List | undefined;
  /** When the last fetch failed; none after a good one. */
  failed?: Instant | undefined;
  /** The fetch under way, and when it began. */
  flight?: { begun: Instant; ended: Promise<void> } | undefined;
}

/** The Token Status Lists of an issuer (draft-ietf-oauth-status-list), kept for as long as they say. */
export class StatusLists {
  private readonly entries = new Map<string, Entry>();
  private readonly base: string;
  private flights = 0; // under way, whoever waits for them

  constructor(
    issuer: string,
    private readonly keys: KeySet,
    private readonly fetch: typeof globalThis.fetch | undefined,
    private readonly clock: Clock,
  ) {
    this.base = `${baseOf(issuer)}/`;
  }

  /**
   * Whether the token at this place is revoked.
   * @throws UndecidedError revocations_stale when no list says so
   */
  async revoked(place: StatusReference | undefined): Promise<boolean> {
    if (!place?.uri.startsWith(this.base)) throw new UndecidedError("revocations_stale");
    const entry = this.entry(place.uri);
    await this.freshen(place.uri, entry);
    const list = this.current(entry);
    const byte = list?.bits[Math.floor(place.index / 8)];
    if (byte === undefined) throw new UndecidedError("revocations_stale");
    return ((byte >> (place.index % 8)) & 1) === 1;
  }

  /** Ends when no fetch is under way. */
  async idle(): Promise<void> {
    for (const { flight } of this.entries.values()) await flight?.ended;
  }

  /** The list, unless it has expired. */
  private current({ list }: Entry): List | undefined {
    return list && list.expiresAt > this.clock.now().wall / 1000 ? list : undefined;
  }

  /**
   * Fetches a list that is due, behind the request while the one at hand will do. It does for two of its times to live,
   * and until it expires while the issuer is away.
   */
  private async freshen(uri: string, entry: Entry): Promise<void> {
    const [list, now] = [this.current(entry), this.clock.now()];
    const age = list ? since(list.at, now) : Number.POSITIVE_INFINITY;
    if (list && age < list.ttl) return;
    const hangs = entry.flight !== undefined && since(entry.flight.begun, now) >= LONGEST_WAIT;
    const away = hangs || (entry.failed !== undefined && since(entry.failed, now) < AWAY);
    const behind = list !== undefined && (age < 2 * list.ttl || away);
    this.begin(uri, entry, behind);
    if (!behind && entry.flight) await this.patience(entry.flight, now);
  }

  /** Begins a fetch, unless one is under way, has just failed, or too many are that nobody waits for. */
  private begin(uri: string, entry: Entry, behind: boolean): void {
    const now = this.clock.now();
    if (entry.flight || (entry.failed && since(entry.failed, now) < PAUSE_AFTER_FAILURE)) return;
    if (behind && this.flights >= MOST_BEHIND) return;
    this.flights++;
    const ended = this.load(uri, entry).finally(() => {
      entry.flight = undefined;
      this.flights--;
    });
    entry.flight = { begun: now, ended };
  }

  /** Waits for a fetch, until it is three seconds old. */
  private async patience(flight: { begun: Instant; ended: Promise<void> }, now: Instant): Promise<void> {
    const enough = new AbortController();
    const left = LONGEST_WAIT - since(flight.begun, now);
    const late = left > 0 ? this.clock.sleep(left, enough.signal).catch(() => {}) : undefined;
    await Promise.race([flight.ended, late]).finally(() => enough.abort());
  }

  /** The entry, which becomes the one that was used last. */
  private entry(uri: string): Entry {
    const entry = this.entries.get(uri) ?? {};
    this.entries.delete(uri);
    const [oldest] = this.entries.keys();
    if (this.entries.size === MOST_LISTS && oldest !== undefined) this.entries.delete(oldest);
    this.entries.set(uri, entry);
    return entry;
  }

  /** Fetches the list. What is none changes nothing. */
  private async load(uri: string, entry: Entry): Promise<void> {
    try {
      const answer = await ask({
        fetch: this.fetch ?? globalThis.fetch,
        url: uri,
        init: { headers: { Accept: "application/statuslist+jwt" } },
        timeout: TIME_LIMIT,
        limit: LARGEST,
        what: "status list",
      });
      const list =
        answer.status === 200 ? await this.read(uri, Buffer.from(answer.body).toString("latin1")) : undefined;
      entry.list = list ?? entry.list;
      entry.failed = list ? undefined : this.clock.now();
    } catch {
      entry.failed = this.clock.now(); // the list that is there counts until it expires
    }
  }

  private async read(uri: string, token: string): Promise<List | undefined> {
    const at = this.clock.now();
    const { kid, claims } = split(token, "statuslist+jwt", LARGEST);
    const key = await this.keys.find(kid);
    if (!key) return undefined;
    await compactVerify(token, key, { algorithms: ["RS256"] });
    const members = readObject(claims)?.members;
    const list = members?.status_list;
    if (members?.sub !== uri || !isObject(list) || list.bits !== 1) return undefined;
    const packed = typeof list.lst === "string" ? decode(list.lst) : undefined;
    const { exp, ttl } = members;
    if (!packed || typeof exp !== "number" || exp <= at.wall / 1000) return undefined;
    const bits = await promisify(inflate)(packed, { maxOutputLength: LARGEST_LIST });
    const seconds = typeof ttl === "number" ? Math.max(ttl, 1) : DEFAULT_TTL;
    return { bits, expiresAt: exp, at, ttl: seconds * 1000 };
  }
}
