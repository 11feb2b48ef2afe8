/** What a scripted endpoint is asked. */
export interface Asked {
  url: string;
  method: string;
  headers: Headers;
  form: URLSearchParams;
  body: string;
  signal?: AbortSignal | null | undefined;
}

/** A `fetch` that a function answers, for vectors that say what comes back. */
export function scripted(answer: (asked: Asked) => Response | Promise<Response>): typeof fetch {
  return async (input, init = {}) => {
    const url = String(input);
    const body = typeof init.body === "string" ? init.body : "";
    const { method = "GET", headers, signal } = init;
    if (init.redirect !== "manual") throw new Error("a redirect would be followed");
    return answer({ url, method, headers: new Headers(headers), form: new URLSearchParams(body), body, signal });
  };
}

/** What `fetch` throws where nobody listens. */
export function refusedConnection(): never {
  throw new TypeError("fetch failed", {
    cause: Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }),
  });
}

let issued = 0;

/** An answer of the token endpoint; every token is another one. */
export function goodToken(expiresIn = 3600): Response {
  return Response.json({ access_token: `token-${++issued}`, token_type: "Bearer", expires_in: expiresIn, scope: "" });
}

/** An answer, also with the statuses that have no body. */
export function answerOf(status: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(status === 204 || status === 304 ? null : body, { status, headers });
}

/** No answer until the caller gives up. */
export function hanging({ signal }: Asked): Promise<never> {
  return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

/** An answer of the vectors. */
export interface ScriptedAnswer {
  connection?: "refused";
  status: number;
  code?: string;
  retryAfter?: string;
  date?: string;
  body?: string;
}

/** That answer to a management call, or to `token` or `introspect`. */
export function responseTo(operation: string, answer: ScriptedAnswer | undefined): Response {
  if (!answer) throw new Error("more attempts than answers");
  if (answer.connection) refusedConnection();
  const headers: Record<string, string> = {};
  if (answer.retryAfter) headers["Retry-After"] = answer.retryAfter;
  if (answer.date) headers.Date = answer.date;
  const oauth = operation === "token" || operation === "introspect";
  if (answer.status < 300 && answer.body === undefined) {
    if (operation === "token") return goodToken();
    return answerOf(answer.status, operation === "introspect" ? '{"active":false}' : "{}");
  }
  const refusal = oauth ? { error: answer.code } : { code: answer.code, message: "m", details: {} };
  return answerOf(answer.status, answer.body ?? (answer.code ? JSON.stringify(refusal) : ""), headers);
}
