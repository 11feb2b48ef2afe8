const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

// ticks words the time axis: hours of the day by 24, the date where it changes.
export function ticks(at: number[], step: number): string[] {
  const days = at.map((t) => date.format(new Date(t * 1000)));
  if (step >= 86_400) return days;
  return at.map((t, i) => {
    const hour = clock.format(new Date(t * 1000));
    return days[i] === days[i - 1] ? hour : `${hour}\n${days[i]}`;
  });
}
