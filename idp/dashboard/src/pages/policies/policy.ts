import { queryOptions } from "@tanstack/react-query";
import { answer, api } from "../../api/client";
import { live } from "../../api/live";

export const policyQuery = queryOptions({
  queryKey: ["policies"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/policies", { signal })),
  ...live(30),
});
