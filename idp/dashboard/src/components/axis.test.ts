import { expect, test } from "vitest";
import { ticks } from "./axis";

test("the time axis is by 24 hours and names the day where it changes", () => {
  const at = (iso: string) => new Date(iso).getTime() / 1000; // local time
  const words = ticks([at("2026-11-21T21:00"), at("2026-11-22T00:00"), at("2026-11-22T15:00")], 3600);
  expect(words[0]).toMatch(/^21:00\n.*21/);
  expect(words[1]).toMatch(/^00:00\n.*22/);
  expect(words[2]).toBe("15:00");
  expect(ticks([at("2026-11-22T00:00")], 86_400)[0]).not.toContain(":");
});
