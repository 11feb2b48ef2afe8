import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import type { ReactNode } from "react";
import { vi } from "vitest";
import { session } from "../session/session";

type Answers = Record<string, (url: URL, request: Request) => unknown>; // by the end of a path

// Idp answers the calls of what is rendered, signed in as agent "a" of organization "o".
// End it with vi.unstubAllGlobals.
export class Idp {
  readonly asked: string[] = [];

  private constructor(private readonly answers: Answers) {}

  static async start(answers: Answers): Promise<Idp> {
    const idp = new Idp(answers);
    vi.stubGlobal("fetch", (input: Request | string, init?: RequestInit) =>
      Promise.resolve(idp.answer(new Request(new URL(input instanceof Request ? input.url : input, origin), init))),
    );
    await session.signIn("aidp_c_1", "aidp_sk_1");
    return idp;
  }

  private answer(request: Request): Response {
    const url = new URL(request.url);
    if (url.pathname.endsWith("/token")) {
      const access_token = `.${btoa('{"sub":"a","org":"o"}')}.`;
      return Response.json({ access_token, expires_in: 3600, scope: "agents:read" });
    }
    this.asked.push(url.pathname.split("/").pop() + url.search);
    const [, found] = Object.entries(this.answers).find(([end]) => url.pathname.endsWith(end)) ?? [];
    const body = found?.(url, request);
    if (body !== undefined) return Response.json(body);
    return Response.json({ code: "NOT_FOUND", message: "no such thing", details: {} }, { status: 404 });
  }
}

const origin = "http://idp.test";

// show renders with a cache of its own.
export function show(children: ReactNode) {
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  return render(<QueryClientProvider client={client}>{children}</QueryClientProvider>);
}
