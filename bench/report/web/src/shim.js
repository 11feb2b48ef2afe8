// What the libraries touch when they are loaded, and goja has not. Every text
// of a chart is formatted in Go, so nothing here is ever asked for a number.
const nothing = () => {};
globalThis.console ??= { log: nothing, warn: nothing, error: nothing };
for (const name of ["setTimeout", "clearTimeout", "setInterval", "clearInterval"]) globalThis[name] ??= nothing;
class Plain {
  format(value) {
    return String(value);
  }
}
globalThis.Intl ??= { NumberFormat: Plain, DateTimeFormat: Plain };
