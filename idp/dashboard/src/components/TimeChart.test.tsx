import { render, waitFor } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { TimeChart } from "./charts";

// Drawing is a canvas without a canvas: jsdom has none. It keeps what it was given to draw.
const { drawings } = vi.hoisted(() => ({ drawings: [] as { data: unknown; gone: boolean }[] }));
vi.mock("uplot", () => ({
  default: class Drawing {
    gone = false;
    constructor(
      _: unknown,
      public data: unknown,
    ) {
      drawings.push(this);
    }
    setData(data: unknown) {
      this.data = data;
    }
    setSize() {}
    destroy() {
      this.gone = true;
    }
  },
}));

afterEach(() => {
  drawings.length = 0;
  document.documentElement.removeAttribute("data-theme");
});

const chart = (values: number[]) => (
  <TimeChart label="Tokens" times={[60, 120]} series={[{ label: "issued", values }]} />
);
const shown = () => drawings.filter((d) => !d.gone).map((d) => d.data);

test("a chart shows the latest figures, also after it was drawn again in other colours", async () => {
  const { rerender, unmount } = render(chart([1, 2]));
  expect(shown()).toEqual([
    [
      [60, 120],
      [1, 2],
    ],
  ]);

  rerender(chart([3, 4]));
  expect(drawings).toHaveLength(1); // new figures alone are no new drawing
  expect(shown()).toEqual([
    [
      [60, 120],
      [3, 4],
    ],
  ]);

  document.documentElement.setAttribute("data-theme", "dark");
  await waitFor(() => expect(drawings).toHaveLength(2));
  expect(shown()).toEqual([
    [
      [60, 120],
      [3, 4],
    ],
  ]);

  rerender(chart([5, 6]));
  expect(shown()).toEqual([
    [
      [60, 120],
      [5, 6],
    ],
  ]);
  unmount();
  expect(shown()).toEqual([]);
});

test("another series is another drawing, with its figures", () => {
  const { rerender } = render(chart([1, 2]));
  rerender(<TimeChart label="Tokens" times={[180]} series={[{ label: "refused", values: [9] }]} />);
  expect(drawings).toHaveLength(2);
  expect(shown()).toEqual([[[180], [9]]]);
});
