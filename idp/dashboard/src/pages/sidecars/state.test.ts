import { expect, test } from "vitest";
import type { Schema } from "../../api/client";
import { rowsOf } from "./state";

const sidecar = (sidecarId: string, connected: boolean, feedCursor: string, policyRevision = "p1") =>
  ({ sidecarId, connected, feedCursor, policyRevision }) as Schema["Sidecar"];

test("sidecars that need somebody come first: away, then behind, then with another policy", () => {
  const rows = rowsOf(
    [
      sidecar("fine", true, "f.8"),
      sidecar("odd", true, "f.8", "p2"),
      sidecar("behind", true, "f.6"),
      sidecar("fine too", true, "f.8"),
      sidecar("away", false, "f.8", "p0"),
      sidecar("new feed", true, "g.1"),
    ],
    "f.8",
  );
  expect(rows.map((r) => r.sidecarId)).toEqual(["away", "behind", "odd", "fine", "fine too", "new feed"]);
  expect(rows.map((r) => r.behind)).toEqual([0, 2, 0, 0, 0, undefined]);
  expect(rows.filter((r) => r.odd).map((r) => r.sidecarId)).toEqual(["odd"]);
});

test("when policies are evenly divided, none is the odd one", () => {
  const rows = rowsOf([sidecar("a", true, "f.1", "p1"), sidecar("b", true, "f.1", "p2")], "f.1");
  expect(rows.some((r) => r.odd)).toBe(false);
});
