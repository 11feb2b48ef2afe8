import createClient from "openapi-fetch";
import { apiBase } from "../base";
import { session } from "../session/session";
import { Problem, problemOf, unreachable } from "./problem";
import type { components, paths } from "./schema";

export type Schema = components["schemas"];

// api calls the operations of docs/openapi.yaml, typed by it, with the
// session's token. Wrap each call in `answer`, which throws a Problem.
export const api = createClient<paths>({ baseUrl: apiBase, fetch: (request) => session.fetch(request) });

type Outcome<T> = { data?: T; error?: unknown; response: Response };

// answer waits for a call and returns what a 2xx holds.
export async function answer<T>(call: Promise<Outcome<T>>): Promise<T> {
  const { data, response } = await entire(call);
  if (data === undefined) throw problemOf(response, undefined);
  return data as T;
}

// done waits for a call whose 2xx holds nothing.
export async function done(call: Promise<Outcome<unknown>>): Promise<void> {
  await entire(call);
}

// entire is for those who need headers (ETag, Idempotency-Replayed) as well.
export async function entire<T>(call: Promise<Outcome<T>>): Promise<Outcome<T>> {
  let outcome: Outcome<T>;
  try {
    outcome = await call;
  } catch (error) {
    if (error instanceof Problem || (error instanceof DOMException && error.name === "AbortError")) throw error;
    throw unreachable();
  }
  if (!outcome.response.ok) throw problemOf(outcome.response, outcome.error);
  return outcome;
}
