export const plans = ["free", "custom"] as const;

export const planOf = {
  free: "free: a limit on agents, on tokens of each agent a month, on requests of each address",
  custom: "custom: no limit on agents or their tokens; requests count for each agent, not each address",
} as const;

const day = 86_400;

// ageOf words how long a client secret is good.
export const ageOf = (seconds: number): string =>
  seconds === 0 ? "no limit" : `${seconds % day === 0 ? seconds / day : (seconds / day).toFixed(1)} days`;

// secondsOf reads a number of days that somebody typed; undefined: it is none.
export const secondsOf = (days: string): number | undefined =>
  /^\d{1,4}$/.test(days.trim()) ? Number(days.trim()) * day : undefined;

// daysOf is the inverse, for a form.
export const daysOf = (seconds: number): string => String(Math.round(seconds / day));
