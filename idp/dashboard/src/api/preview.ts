import { queryOptions } from "@tanstack/react-query";
import { answer, api, type Schema } from "./client";
import { live } from "./live";

export type Preview = Schema["RevocationPreview"];

// previewQuery counts what a cut would kill. It asks anew whenever it is shown:
// somebody decides by it.
export const previewQuery = (type: Preview["type"], id: string) =>
  queryOptions({
    queryKey: ["revocations", "preview", type, id],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/revocations/preview", { params: { query: { type, id } }, signal })),
    ...live(30),
    staleTime: 0,
  });

// bounds word how exact a count is.
export const bounds = { exact: "", at_least: "at least ", at_most: "at most " } as const;
