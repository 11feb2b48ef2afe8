import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { Combo } from "./Combo";

vi.setConfig({ testTimeout: 30_000 }); // React Aria under jsdom is slow on a busy machine

const items = [
  { id: "1", name: "screener@b.c" },
  { id: "2", name: "router@b.c", note: "suspended" },
];

test("one of many is found by typing a part of its name", async () => {
  const user = userEvent.setup();
  const onChange = vi.fn();
  render(<Combo label="Key" items={items} value={undefined} onChange={onChange} />);
  await user.type(screen.getByRole("combobox", { name: "Key" }), "oute");
  expect(screen.getAllByRole("option")).toHaveLength(1);
  await user.click(screen.getByRole("option", { name: /router/ }));
  expect(onChange).toHaveBeenLastCalledWith("2");
});

test("what is chosen stays, also when the value comes back late", async () => {
  const user = userEvent.setup();
  const onChange = vi.fn();
  const combo = (value?: string) => <Combo label="Key" items={items} value={value} onChange={onChange} />;
  const { rerender } = render(combo());
  const field = screen.getByRole("combobox", { name: "Key" });
  await user.type(field, "oute");
  await user.click(screen.getByRole("option", { name: /router/ }));
  await user.tab();
  expect(field).toHaveProperty("value", "router@b.c");
  rerender(combo("2"));
  expect(field).toHaveProperty("value", "router@b.c");
  expect(onChange.mock.calls).toEqual([["2"]]);
});

test("a whole name counts as chosen when it is left", async () => {
  const user = userEvent.setup();
  const onChange = vi.fn();
  render(<Combo label="Key" items={items} value="2" onChange={onChange} />);
  const field = screen.getByRole("combobox", { name: "Key" });
  expect(field).toHaveProperty("value", "router@b.c");
  await user.click(field);
  await user.keyboard("{Control>}a{/Control}");
  await user.paste("screener@b.c");
  await user.tab();
  expect(onChange).toHaveBeenLastCalledWith("1");
});
