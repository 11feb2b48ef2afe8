import { type ReactNode, useEffect, useRef, useState } from "react";
import { Meter } from "react-aria-components";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { ticks } from "./axis";
import css from "./charts.module.css";

export type Series = { label: string; values: number[] };

type ChartProps = {
  label: string; // what it shows, in one phrase
  times: number[]; // Unix seconds
  series: Series[]; // at most three, as many values as times
};

const colors = [css.c0, css.c1, css.c2];
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const minute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
export const count = new Intl.NumberFormat();

// TimeChart is counts over time. The legend is live under the pointer, and the
// figures are a table too, for those who do not see the drawing.
export function TimeChart({ label, times, series }: ChartProps) {
  const root = useRef<HTMLElement>(null);
  const plot = useRef<HTMLDivElement>(null);
  const drawn = useRef<uPlot>(null);
  const figures = useRef<uPlot.AlignedData>([times]);
  const [at, setAt] = useState<number | null>(null);
  const names = series.map((s) => s.label).join("\n");

  // First: what is drawn anew below, for other colours too, has the latest figures.
  useEffect(() => {
    figures.current = [times, ...series.map((s) => s.values)];
    drawn.current?.setData(figures.current);
  }, [times, series]);

  // A new drawing only for other series; new figures go into the one that is there.
  // biome-ignore lint/correctness/useExhaustiveDependencies: of the series only the names are drawn here
  useEffect(() => {
    const box = plot.current;
    if (!box || !root.current) return;
    const color = (name: string | undefined) => getComputedStyle(root.current?.querySelector(`.${name}`) ?? box).color;
    const draw = () => {
      drawn.current?.destroy();
      const axis = {
        stroke: color(css.axis),
        grid: { stroke: color(css.grid), width: 1 },
        ticks: { show: false },
        font: "12px system-ui",
      };
      drawn.current = new uPlot(
        {
          width: box.clientWidth,
          height: box.clientHeight,
          padding: [8, 8, 0, 0],
          legend: { show: false },
          cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
          scales: { y: { range: (_, __, max) => [0, Math.max(4, max * 1.1)] } },
          axes: [
            { ...axis, grid: { show: false }, space: 72, values: (_, at, __, ___, step) => ticks(at, step) },
            {
              ...axis,
              size: 44,
              incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7],
              values: (_, ticks) => ticks.map((t) => short(t)),
            },
          ],
          series: [
            {},
            ...series.map((s, i) => ({
              label: s.label,
              stroke: color(colors[i]),
              width: 2,
              points: { show: false },
              ...(i > 0 ? { dash: i === 1 ? [6, 4] : [2, 6] } : {}), // what lies below shows
            })),
          ],
          hooks: { setCursor: [(u) => setAt(u.cursor.idx ?? null)] },
        },
        figures.current,
        box,
      );
    };
    draw();
    const resized = new ResizeObserver(() =>
      drawn.current?.setSize({ width: box.clientWidth, height: box.clientHeight }),
    );
    resized.observe(box);
    const dressed = new MutationObserver(draw); // colours are read when it is drawn
    dressed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", draw);
    return () => {
      resized.disconnect();
      dressed.disconnect();
      system.removeEventListener("change", draw);
      drawn.current?.destroy();
      drawn.current = null;
    };
  }, [names]);

  const moment = at === null ? undefined : times[at];
  return (
    <figure className={css.chart} ref={root} aria-label={label}>
      <ul className={css.legend}>
        {series.map((s, i) => (
          <li key={s.label}>
            <span className={`${css.swatch} ${colors[i]}`} />
            {s.label}
            <strong>{count.format(at === null ? sum(s.values) : (s.values[at] ?? 0))}</strong>
          </li>
        ))}
        <li className={css.when}>{moment === undefined ? "in all" : when(moment, times)}</li>
        <li hidden className={css.grid} />
        <li hidden className={css.axis} />
      </ul>
      <div className={css.plot} ref={plot} aria-hidden="true" />
      <details className={css.more}>
        <summary>Figures</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls (WCAG 2.1.1) */}
        <section className={css.figures} tabIndex={0} aria-label={`${label}, figures`}>
          <table>
            <thead>
              <tr>
                <th scope="col">From</th>
                {series.map((s) => (
                  <th key={s.label} scope="col">
                    {s.label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {times.map((t, i) =>
                series.some((s) => s.values[i]) ? (
                  <tr key={t}>
                    <th scope="row">{when(t, times)}</th>
                    {series.map((s) => (
                      <td key={s.label}>{count.format(s.values[i] ?? 0)}</td>
                    ))}
                  </tr>
                ) : null,
              )}
            </tbody>
          </table>
        </section>
      </details>
    </figure>
  );
}

function when(time: number, times: number[]): string {
  const daily = times.length > 1 && (times[1] ?? 0) - (times[0] ?? 0) >= 86_400;
  return (daily ? day : minute).format(new Date(time * 1000));
}

const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
const compact = new Intl.NumberFormat("en", { notation: "compact" });
const short = (n: number) => compact.format(n);

export type Bar = { key: string; name: ReactNode; text: string; value: number; of?: number; tone?: "warn" | "bad" };

// limited is a bar against its limit, which warns from four fifths of it on. 0 is no limit.
export function limited(value: number, limit: number): Pick<Bar, "value" | "of" | "tone"> {
  if (limit <= 0) return { value };
  if (value < 0.8 * limit) return { value, of: limit };
  return { value, of: limit, tone: value < limit ? "warn" : "bad" };
}

// Bars compares a few numbers: with each other, or each with its own limit (`of`).
export function Bars({ bars }: { bars: Bar[] }) {
  const most = Math.max(1, ...bars.map((b) => b.value));
  return (
    <ul className={css.bars}>
      {bars.map((b) => (
        <li key={b.key}>
          <div className={css.barHead}>
            <span>{b.name}</span>
            <span>{label(b)}</span>
          </div>
          <Meter aria-label={b.text} value={b.value} maxValue={Math.max(1, b.of ?? most)} valueLabel={label(b)}>
            {({ percentage }) => (
              <div className={css.track}>
                <div
                  className={`${css.fill} ${b.tone ? css[b.tone] : ""}`}
                  data-some={b.value > 0 || undefined}
                  style={{ width: `${percentage}%` }}
                />
              </div>
            )}
          </Meter>
        </li>
      ))}
    </ul>
  );
}

const label = (b: Bar) => (b.of ? `${count.format(b.value)} of ${count.format(b.of)}` : count.format(b.value));

// Tiles are the numbers one looks at first.
export function Tiles({ tiles }: { tiles: { name: string; value: number; note?: ReactNode }[] }) {
  return (
    <dl className={css.tiles}>
      {tiles.map((t) => (
        <div key={t.name} className={css.tile}>
          <dt className={css.tileName}>{t.name}</dt>
          <dd className={css.tileValue}>{count.format(t.value)}</dd>
          <dd className={css.tileName}>{t.note}</dd>
        </div>
      ))}
    </dl>
  );
}
