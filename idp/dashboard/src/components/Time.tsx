const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });

// What people count in: less than a minute in seconds, than an hour in minutes, than two days in hours.
const units: [Intl.RelativeTimeFormatUnit, number, number][] = [
  ["second", 1, 60],
  ["minute", 60, 60],
  ["hour", 3600, 48],
  ["day", 86_400, Number.POSITIVE_INFINITY],
];

// ago words the distance from now, rounded to the nearest whole unit.
export function ago(at: string, now = Date.now()): string {
  const seconds = (Date.parse(at) - now) / 1000;
  const [unit, size] = units.find(([, size, end]) => Math.round(Math.abs(seconds) / size) < end) ?? ["second", 1];
  return relative.format(Math.sign(seconds) * Math.round(Math.abs(seconds) / size), unit);
}

// Time shows an instant in the reader's zone, and UTC on hover. An absent one is a dash.
export function Time({ at, as = "local" }: { at: string | undefined; as?: "local" | "ago" }) {
  if (at === undefined) return <span className="muted">–</span>;
  const here = local.format(new Date(at));
  return (
    <time dateTime={at} title={as === "ago" ? `${here}\n${at} (UTC)` : `${at} (UTC)`}>
      {as === "ago" ? ago(at) : here}
    </time>
  );
}
