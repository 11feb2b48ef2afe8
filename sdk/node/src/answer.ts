import { AgentIdPError, ConnectionError, InvalidAnswerError, refusalOf } from "./error.js";

/** A request, and how much of an answer to it is read. */
export interface Ask {
  fetch: typeof globalThis.fetch;
  url: string;
  init: RequestInit;
  /** Milliseconds until the whole answer must be there. */
  timeout: number;
  /** The largest answer, in bytes. */
  limit: number;
  /** What was asked for, for errors. */
  what: string;
  /** A status beside 2xx whose body is an answer. */
  takes?: number | undefined;
}

/** A whole answer. */
export interface Answer {
  status: number;
  headers: Headers;
  body: Uint8Array;
}

/**
 * Sends the request, follows no redirect (it would carry a credential elsewhere), and reads the whole answer.
 * @throws RefusedError, ConnectionError, InvalidAnswerError, or the reason of the caller's signal.
 */
export async function ask(request: Ask): Promise<Answer> {
  const caller = request.init.signal;
  const deadline = AbortSignal.timeout(request.timeout);
  const signal = caller ? AbortSignal.any([caller, deadline]) : deadline;
  try {
    const response = await request.fetch(request.url, { ...request.init, signal, redirect: "manual" });
    const body = await bounded(response, request.limit);
    if (!response.ok && response.status !== request.takes) throw refusalOf(response, body ?? new Uint8Array());
    if (!body) throw new InvalidAnswerError(`${request.what}: the answer is larger than ${request.limit} bytes`);
    return { status: response.status, headers: response.headers, body };
  } catch (error) {
    throw failure(error, request.what, caller);
  }
}

/** What a failed exchange is to the caller: its own abort, an error of ours, or the connection's. */
export function failure(error: unknown, what: string, caller?: AbortSignal | null): unknown {
  if (caller?.aborted) return caller.reason;
  if (error instanceof AgentIdPError) return error;
  const late = error instanceof Error && error.name === "TimeoutError";
  return new ConnectionError(`${what}: ${late ? "no answer in time" : "the connection failed"}`, late, {
    cause: error,
  });
}

/** The body; undefined when it is larger than the limit. */
export async function bounded(response: Response, limit: number): Promise<Uint8Array | undefined> {
  if (!response.body) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.length;
    if (size > limit) return undefined; // leaving the loop cancels the body
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** @throws InvalidAnswerError */
export function jsonOf(answer: Answer, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(answer.body));
  } catch {
    throw new InvalidAnswerError(`${what}: the answer is not JSON`); // no cause: it would quote a token
  }
}
