import { failure } from "../answer.js";
import { type Api, type CallOptions, path, type Query } from "../api.js";
import { type CursorPage, cursors, PAGE_SIZE } from "../page.js";
import type { AuditEvent, AuditList, ConsistencyProof, InclusionProof } from "../schemas.js";

const MOST_NEW = 10_000;
const IDLE_LIMIT = 60_000;

/** A stretch of time. */
export interface Span {
  /** At this time or later. */
  from?: Date | undefined;
  /** Before this time. */
  to?: Date | undefined;
}

/** Bounds a list of events; members that are left out do not. */
export interface EventFilter extends Span {
  /** Text in any value; in the newest 5,000 that the rest leaves. */
  search?: string | undefined;
  agentId?: string | undefined;
  action?: string | undefined;
  outcome?: AuditEvent["outcome"] | undefined;
}

/** How the log is followed. */
export interface TailOptions extends CallOptions {
  /** How many events that are there already come first. Default: none. */
  last?: number | undefined;
  /** Milliseconds between two looks. Default: 2,000. */
  every?: number | undefined;
}

/** The tamper-evident log. */
export class Audit {
  /** @internal */
  constructor(private readonly api: Api) {}

  /** The log, newest first, page by page as it is consumed. */
  events(filter: EventFilter = {}, options?: CallOptions): AsyncGenerator<AuditEvent, void> {
    return cursors((cursor) => this.page(filter, { cursor, limit: PAGE_SIZE }, options));
  }

  /** One page of that list. */
  page({ search, ...filter }: EventFilter = {}, page: CursorPage = {}, options?: CallOptions): Promise<AuditList> {
    return this.api.json({ method: "GET", path: "/api/v1/audit", query: { ...page, ...filter, q: search } }, options);
  }

  /**
   * Follows the log: the last events that are there, oldest first, then new ones as they come, until the signal ends it,
   * which is no error. More than 10,000 new events between two looks are one.
   */
  async *tail(
    filter: EventFilter = {},
    { last = 0, every = 2_000, signal }: TailOptions = {},
  ): AsyncGenerator<AuditEvent, void> {
    try {
      for (let after = -1, first = true; ; first = false) {
        const events = await this.newer(filter, after, first ? Math.max(last, 1) : MOST_NEW, first, signal);
        after = events.at(-1)?.sequence ?? after;
        yield* first ? events.slice(Math.max(events.length - last, 0)) : events;
        await this.api.clock.sleep(every, signal);
      }
    } catch (error) {
      if (!signal?.aborted) throw error;
    }
  }

  /** The events behind a sequence, oldest first. At the first look no more than so many. */
  private async newer(filter: EventFilter, after: number, most: number, first: boolean, signal?: AbortSignal) {
    const events: AuditEvent[] = [];
    for await (const event of this.events(filter, { signal })) {
      if (event.sequence <= after) break;
      if (events.length === most) {
        if (first) break;
        throw new RangeError(`more than ${MOST_NEW} new events: follow the log with a filter, or export it`);
      }
      events.push(event);
    }
    return events.reverse();
  }

  /** One event, and its leaf: the bytes that the tree hashes. */
  async get(eventId: string, options?: CallOptions): Promise<{ event: AuditEvent; leaf: Uint8Array }> {
    const { body } = await this.api.answer({ method: "GET", path: path`/api/v1/audit/${eventId}` }, options);
    return { event: JSON.parse(new TextDecoder().decode(body)) as AuditEvent, leaf: body };
  }

  /** Proves that the event at a place is in the log. Without a tree size: in that of the latest checkpoint that holds it. */
  inclusionProof(leafIndex: number, treeSize?: number, options?: CallOptions): Promise<InclusionProof> {
    const query = { leafIndex, treeSize };
    return this.api.json({ method: "GET", path: "/api/v1/audit/proof/inclusion", query }, options);
  }

  /** Proves that the log of `second` events extends the one of `first`. */
  consistencyProof(first: number, second: number, options?: CallOptions): Promise<ConsistencyProof> {
    const query = { first, second };
    return this.api.json({ method: "GET", path: "/api/v1/audit/proof/consistency", query }, options);
  }

  /** The latest signed checkpoint, a C2SP note. Keep it elsewhere. */
  async checkpoint(options?: CallOptions): Promise<string> {
    const call = { method: "GET", path: "/api/v1/audit/checkpoint", accept: "text/plain" } as const;
    return new TextDecoder().decode((await this.api.answer(call, options)).body);
  }

  /**
   * The log as a stream, oldest first, up to the latest checkpoint: all of it, or a stretch. NDJSON can be verified
   * without the IdP. An error says that it is incomplete; it fails when a minute brings nothing.
   */
  async *export(
    format: "ndjson" | "csv",
    span: Span = {},
    { signal }: CallOptions = {},
  ): AsyncGenerator<Uint8Array, void> {
    const query: Query = { format, ...span };
    const idle = new AbortController();
    const watch = setTimeout(
      () => idle.abort(new DOMException("nothing came for a minute", "TimeoutError")),
      IDLE_LIMIT,
    );
    try {
      const both = signal ? AbortSignal.any([signal, idle.signal]) : idle.signal;
      const body = await this.api.stream({ method: "GET", path: "/api/v1/audit/export", query, accept: "*/*" }, both);
      for await (const chunk of body) {
        watch.refresh();
        yield chunk;
      }
    } catch (error) {
      throw failure(error, "the export is incomplete", signal);
    } finally {
      clearTimeout(watch);
    }
  }
}
