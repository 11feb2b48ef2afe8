import { expect, test } from "vitest";
import { limited } from "./charts";

test("a bar warns from four fifths of its limit on; without a limit it has none", () => {
  expect(limited(79, 100)).toEqual({ value: 79, of: 100 });
  expect(limited(80, 100)).toEqual({ value: 80, of: 100, tone: "warn" });
  expect(limited(100, 100)).toEqual({ value: 100, of: 100, tone: "bad" });
  expect(limited(7, 0)).toEqual({ value: 7 });
});
