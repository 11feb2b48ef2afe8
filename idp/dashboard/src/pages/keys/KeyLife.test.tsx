import { render, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import type { Schema } from "../../api/client";
import { KeyLife } from "./KeyLife";

const key = (members: Partial<Schema["Key"]>): Schema["Key"] => ({
  kid: "k",
  alg: "RS256",
  bits: 2048,
  status: "active",
  createdAt: "2026-07-01T12:00:00.000Z",
  activatedAt: "2026-07-01T12:00:00.000Z",
  ...members,
});

const steps = () => screen.getAllByRole("listitem").map((li) => li.querySelector("time")?.dateTime);

test("a key says when it gives way, and when it leaves the JWKS, as the API knows it", () => {
  const rotateAt = "2026-07-31T12:00:00.000Z";
  const { rerender } = render(<KeyLife of={key({ rotateAt })} />);
  expect(steps()).toContain(rotateAt);
  screen.getByText("2 hours after that");
  rerender(<KeyLife of={key({})} />);
  screen.getByText("when another signs");
  const leavesAt = "2026-08-01T14:00:00.000Z";
  rerender(<KeyLife of={key({ status: "retired", retiredAt: "2026-08-01T12:00:00.000Z", leavesAt })} />);
  expect(steps()).toContain(leavesAt);
});
