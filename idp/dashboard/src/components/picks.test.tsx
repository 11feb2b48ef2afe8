import { render } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { Options } from "./picks";

vi.setConfig({ testTimeout: 30_000 }); // React Aria under jsdom is slow on a busy machine

test("options are chosen by keyboard", async () => {
  const user = userEvent.setup();
  const onChange = vi.fn();
  const options = [
    { id: "a", name: "Suspend", about: "can be undone" },
    { id: "b", name: "Decommission", about: "final" },
  ] as const;
  render(<Options label="How" value="a" options={options} onChange={onChange} />);
  await user.tab();
  await user.keyboard("{ArrowDown}");
  expect(onChange).toHaveBeenLastCalledWith("b");
});
