// What a page's validateSearch reads the URL with. What does not fit is as if it
// were not there: an old or mistyped link still opens the page.

type Raw = Record<string, unknown>;

export const text = (raw: Raw, name: string): string | undefined => {
  const value = raw[name];
  if (typeof value === "number" || typeof value === "boolean") return String(value); // the router reads ?owner=7 so
  return typeof value === "string" && value !== "" ? value : undefined;
};

export const oneOf = <K extends string>(raw: Raw, name: string, options: readonly K[]): K | undefined =>
  options.find((o) => o === raw[name]);

export const pageNumber = (raw: Raw, name = "page"): number | undefined => {
  const value = raw[name];
  return typeof value === "number" && Number.isSafeInteger(value) && value > 1 ? value : undefined;
};

export const texts = (raw: Raw, name: string): string[] | undefined => {
  const value = raw[name];
  return Array.isArray(value) && value.length > 0 && value.every((v) => typeof v === "string") ? value : undefined;
};

// present leaves out what is undefined, so that a link need not name it.
export function present<T extends Record<string, unknown>>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, v]) => v !== undefined)) as never;
}
