import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, test } from "vitest";
import { Problem } from "../../api/problem";
import { CapabilityField } from "./CapabilityField";
import { blank, draftOf, errorsOf, example, newAgent, parsed, placed, wrongCapabilities } from "./draft";
import { callSample, goSample, pathFor, quoted, tokenSample } from "./snippets";

const refusal = (fields: { field: string; rule: string }[]) =>
  new Problem({ status: 400, code: "VALIDATION_FAILED", message: "the request breaks a rule", details: { fields } });

test("a draft becomes the body of a registration, without what is empty", () => {
  expect(newAgent({ ...example, organizationId: " " })).toEqual({
    body: {
      email: "screener-001@example.com",
      agentType: "screener",
      version: "1.0.0",
      owner: "talent-team",
      deploymentEnv: "development",
      capabilities: ["notes:read"],
      metadata: { team: "talent" },
    },
  });
  expect(newAgent({ ...blank, metadata: "[]", jwks: "{" })).toEqual({
    errors: { metadata: expect.stringContaining("must be an object"), jwks: expect.stringContaining("is no JSON") },
  });
  expect(parsed("  ")).toEqual({ value: null });
});

test("the draft of an agent is what it was made of", () => {
  const made = newAgent(example);
  if (!("body" in made)) throw new Error("the example must be right");
  const agent = { ...made.body, organizationId: "default", agentId: "a", status: "active" as const };
  const draft = draftOf({ ...agent, metadata: { team: "talent" }, createdAt: "", updatedAt: "" } as never);
  expect(parsed(draft.metadata)).toEqual({ value: { team: "talent" } });
  expect(draft.jwks + draft.jwksUri).toBe("");
});

test("the API's rules go to their fields", () => {
  const problem = refusal([
    { field: "email", rule: "must be an address" },
    { field: "capabilities[1]", rule: "must be resource:action" },
    { field: "capabilities[3]", rule: "must be resource:action" },
    { field: "jwks.keys[0].kid", rule: "must be unique" },
    { field: "stranger", rule: "must not be" },
  ]);
  const sent = ["notes:read", "Notes", "x:y", "nothing"];
  expect(errorsOf(problem, sent)).toEqual({
    email: "must be an address",
    capabilities: "Notes, nothing: must be resource:action",
    jwks: "keys[0].kid must be unique",
  });
  expect(wrongCapabilities(problem, sent)).toEqual(["Notes", "nothing"]);
  expect(placed(problem)).toBe(false);
  expect(placed(refusal([{ field: "email", rule: "must be an address" }]))).toBe(true);
  const taken = new Problem({ status: 409, code: "AGENT_ALREADY_EXISTS", message: "the email is taken" });
  expect(errorsOf(taken)).toEqual({ email: "the email is taken" });
});

test("samples survive a shell, whatever stands in the fields", () => {
  expect(quoted("http://127.0.0.1:8081/notes")).toBe("http://127.0.0.1:8081/notes");
  expect(quoted("a'; rm -rf ~")).toBe(`'a'\\''; rm -rf ~'`);
  const target = { api: "http://api.example/", path: "/x?y=1&z" };
  expect(callSample(target)).toContain("'http://api.example/x?y=1&z'");
  expect(tokenSample("http://idp", "aidp_c_1", "aidp_sk_1", "http://api")).toContain(
    '\nuser = "aidp_c_1:aidp_sk_1"\nEND\n',
  );
  expect(tokenSample("http://idp", "aidp_c_1", undefined, "http://api")).toContain("-u aidp_c_1 ");
  expect(goSample("http://idp", "aidp_c_1", { api: 'h"', path: "/" })).toContain('"h\\""');
  expect(pathFor(["*:read", "notes:read"])).toBe("/notes");
  expect(pathFor([])).toBe("/");
});

function Editor() {
  const [value, setValue] = useState(["notes:read"]);
  return (
    <>
      <CapabilityField value={value} onChange={setValue} wrong={["notes:write"]} />
      <output>{value.join(" ")}</output>
    </>
  );
}

test("capabilities are added by Enter, a separator or leaving, and taken away", { timeout: 120_000 }, async () => {
  render(<Editor />);
  const user = userEvent.setup();
  const value = () => screen.getByRole("status").textContent;
  const field = screen.getByLabelText("Add a capability");
  await user.click(field);
  await user.paste("notes:write");
  expect(value()).toBe("notes:read");
  await user.keyboard("{Enter}");
  await user.paste("files:read,notes:read x:y");
  await user.paste("z:z");
  await user.click(document.body);
  expect(value()).toBe("notes:read notes:write files:read x:y z:z");
  expect(screen.getByRole("row", { name: "notes:write" }).getAttribute("data-wrong")).toBe("true");
  await user.click(screen.getByRole("button", { name: /Remove files:read/ }));
  expect(value()).toBe("notes:read notes:write x:y z:z");
  await user.click(screen.getByRole("button", { name: "Remove all" }));
  expect(value()).toBe("");
});
