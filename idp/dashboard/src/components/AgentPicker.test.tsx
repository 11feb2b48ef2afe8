import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { afterEach, expect, test, vi } from "vitest";
import { session } from "../session/session";
import { Idp, show } from "../test/idp";
import { AgentPicker } from "./AgentPicker";

vi.setConfig({ testTimeout: 30_000 }); // React Aria under jsdom is slow on a busy machine

const id = "3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11";
const agent = (agentId: string, email: string, owner = "ops") => ({
  agentId,
  email,
  owner,
  status: "active",
  organizationId: "default",
});
const screener = agent(id, "screener@b.c");
const far = agent("3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f22", "router@b.c", "net");

const start = () =>
  Idp.start({
    "/agents": (url) => ({ data: (url.searchParams.get("q") ?? "").startsWith("rout") ? [far] : [screener], total: 1 }),
    [`/agents/${id}`]: () => screener,
    [`/agents/${far.agentId}`]: () => far,
  });

afterEach(() => {
  session.signOut();
  vi.unstubAllGlobals();
});

function Picker({ value: first, onChange }: { value?: string; onChange?: (id: string | undefined) => void }) {
  const [value, setValue] = useState(first);
  return (
    <AgentPicker
      label="Agent"
      value={value}
      onChange={(next) => {
        setValue(next);
        onChange?.(next);
      }}
    />
  );
}

const field = () => screen.getByRole("combobox", { name: "Agent" }) as HTMLInputElement;

test("the IdP finds an agent by what is typed, also one that no page of the list holds", async () => {
  const idp = await start();
  const user = userEvent.setup();
  const onChange = vi.fn();
  show(<Picker onChange={onChange} />);
  await user.type(field(), "rout");
  await user.click(await screen.findByRole("option", { name: /router@b.c/ }));
  expect(onChange).toHaveBeenLastCalledWith(far.agentId);
  await vi.waitFor(() => expect(field().value).toBe("router@b.c"));
  expect(idp.asked).toContain("agents?limit=20&q=rout");
});

test("what is chosen has its name, and text that names nobody is put back", async () => {
  await start();
  const user = userEvent.setup();
  const onChange = vi.fn();
  show(<Picker value={id} onChange={onChange} />);
  await vi.waitFor(() => expect(field().value).toBe("screener@b.c"));
  await user.type(field(), "x");
  await user.tab();
  await vi.waitFor(() => expect(field().value).toBe("screener@b.c"));
  expect(onChange).not.toHaveBeenCalled();
  await user.clear(field());
  expect(onChange).toHaveBeenLastCalledWith(undefined);
});

test("a whole id counts as chosen", async () => {
  await start();
  const user = userEvent.setup();
  const onChange = vi.fn();
  show(<Picker onChange={onChange} />);
  await user.click(field());
  await user.paste(` ${far.agentId.toUpperCase()}`);
  expect(onChange).toHaveBeenLastCalledWith(far.agentId);
  await vi.waitFor(() => expect(field().value).toBe("router@b.c"));
});
