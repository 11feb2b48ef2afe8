import { expect, test } from "vitest";
import { ageOf, daysOf, secondsOf } from "./words";

test("the age of secrets goes from days to seconds and back", () => {
  expect([secondsOf("0"), secondsOf(" 90 "), secondsOf("3650")]).toEqual([0, 7_776_000, 315_360_000]);
  for (const wrong of ["", "-1", "1.5", "many", "99999"]) expect(secondsOf(wrong), wrong).toBeUndefined();
  expect([daysOf(7_776_000), ageOf(0), ageOf(7_776_000), ageOf(129_600)]).toEqual([
    "90",
    "no limit",
    "90 days",
    "1.5 days",
  ]);
});
