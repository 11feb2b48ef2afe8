// Draws a chart of the report (chart.go) with Observable Plot: in the page at
// the width there is, and in goja as a file of its own.
"use strict";

const FONT = 12, LETTER = 6.7; // px; no browser, no measuring
const NARROW = 560;
const halo = { stroke: "var(--paper)", strokeWidth: 4 }; // a line behind a text does not cross it
const colour = (name) => `var(--${name})`;
const longest = (texts) => LETTER * Math.max(0, ...texts.map((t) => t.length));

// chartSVG is the chart as an SVG element. `head` is room above it.
function chartSVG(chart, { width, document, interactive = false, head = 0 }) {
  const frame = { lines, bars, limits }[chart.kind](chart, width, interactive);
  return Plot.plot({
    ...frame,
    document,
    width,
    className: "plot",
    marginTop: frame.marginTop + head,
    height: frame.height + head,
    style: { fontSize: `${FONT}px`, overflow: "visible", "--plot-background": "var(--paper)" },
  });
}

// picture is the chart as the text of an SVG file, with its title.
function picture(chart, document, theme, width = 860) {
  const note = wrap(chart.note, (width - 40) / LETTER);
  const svg = chartSVG(chart, { width, document, head: 40 + 16 * note.length });
  const height = Number(svg.getAttribute("height")) + 12;
  const add = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text) element.textContent = text;
    return element;
  };
  const front = [
    add("title", {}, chart.title),
    add("style", {}, `${theme}:root{color:var(--ink)}`),
    add("rect", { width, height, rx: 8, fill: colour("paper") }),
    add("text", { x: 16, y: 28, "text-anchor": "start", "font-size": 16, "font-weight": 600 }, chart.title),
    ...note.map((line, n) => add("text", { x: 16, y: 49 + 16 * n, "text-anchor": "start", fill: colour("ink2") }, line)),
  ];
  const first = svg.firstChild;
  for (const element of front) svg.insertBefore(element, first);
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("height", height);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return svg.outerHTML.replaceAll("&nbsp;", "\u00a0");
}

function wrap(text, letters) {
  const rows = [];
  for (const word of text.split(" ").filter(Boolean)) {
    const last = rows.length - 1;
    if (last >= 0 && rows[last].length + word.length < letters) rows[last] += ` ${word}`;
    else rows.push(word);
  }
  return rows;
}

// place maps a value to 0 … 1 along its axis, and back.
function place(axis) {
  const f = axis.log ? Math.log : (v) => v, back = axis.log ? Math.exp : (v) => v;
  const low = f(axis.low), span = f(axis.high) - low || 1;
  return { at: (v) => (f(v) - low) / span, value: (p) => back(low + p * span) };
}

// spaced leaves out ticks whose texts would touch the one before.
function spaced(axis, length) {
  const { at } = place(axis);
  let end = -Infinity;
  return axis.ticks.filter((t) => {
    const middle = at(t.at) * length, half = (LETTER * t.text.length) / 2 + 3;
    if (middle - half < end) return false;
    end = middle + half;
    return true;
  });
}

// The axes are marks of their own: a log scale would drop texts that it thinks too many.
function scaleOf(axis, more) {
  return { type: axis.log ? "log" : "linear", domain: [axis.low, axis.high], axis: null, ...more };
}

const text = { text: "text", tickSize: 0, label: null, fill: colour("ink2"), fontVariant: "tabular-nums" };
const below = (ticks) => Plot.axisX(ticks, { x: "at", ...text });
const beside = (ticks) => Plot.axisY(ticks, { y: "at", ...text });

function lines(chart, width, interactive) {
  const many = chart.panels.length > 1, stacked = many && width < NARROW;
  const panel = many ? (stacked ? "fy" : "fx") : null;
  const across = many && !stacked ? chart.panels.length : 1;
  const body = stacked ? 150 : Math.min(300, Math.max(200, width * 0.36));
  const marginLeft = longest(chart.y.ticks.map((t) => t.text)) + 18, marginRight = 8;
  const each = (width - marginLeft - marginRight) / across;
  const insetRight = Math.min(longest(chart.series.map((s) => s.name)) + 14, each * 0.62);
  const inner = each * (across > 1 ? 0.95 : 1) - insetRight - 8;
  const facet = (name) => (panel ? { [panel]: name } : {});
  const points = chart.series.flatMap((s) => s.points.map((p) => ({ ...p, ...s, points: null, id: `${s.panel}/${s.name}` })));
  const by = { x: "x", y: "y", z: "id", stroke: (p) => colour(p.colour), ...facet("panel") };
  const ends = chart.panels.flatMap((name) => apart(chart, name, body));
  const marks = [
    Plot.gridY(chart.y.ticks.map((t) => t.at), { stroke: colour("rule"), strokeOpacity: 1 }),
    beside(chart.y.ticks),
    below(spaced(chart.x, inner)),
    Plot.areaY(points, { x: "x", y1: "low", y2: "high", z: "id", fill: (p) => colour(p.colour), fillOpacity: 0.13, ...facet("panel") }),
    ...chart.series.map((s) => Plot.line(points.filter((p) => p.id === `${s.panel}/${s.name}`), { ...by, strokeWidth: 2, strokeDasharray: s.dash || null })),
    Plot.dot(points.filter((p) => p.dots), { x: "x", y: "y", r: 3.2, fill: (p) => colour(p.colour), stroke: colour("paper"), strokeWidth: 1, ...facet("panel") }),
    Plot.link(ends, { x1: "fromX", y1: "fromY", x2: "x", y2: "y", stroke: (p) => colour(p.colour), strokeOpacity: 0.45, ...facet("panel") }),
    Plot.text(ends, { x: "x", y: "y", text: "name", fill: (p) => colour(p.colour), textAnchor: "start", dx: 8, fontWeight: 500, ...halo, ...facet("panel") }),
    Plot.text([chart.x.label], { facet: "super", frameAnchor: "bottom-right", dy: 34, text: (t) => t, fill: colour("ink2") }),
  ];
  if (many) marks.push(Plot.text(chart.panels, { ...facet((t) => t), frameAnchor: "top-left", dy: -14, text: (t) => t, fontWeight: 600, fill: colour("ink2") }));
  if (interactive) marks.push(Plot.tip(points, Plot.pointer({ x: "x", y: "y", title: "tip", ...facet("panel"), fill: colour("paper"), stroke: colour("rule") })));
  return {
    marginTop: many ? 26 : 12,
    marginBottom: 42,
    marginLeft,
    marginRight,
    height: (stacked ? chart.panels.length * (body + 36) : body) + 60,
    x: scaleOf(chart.x, { insetLeft: 8, insetRight }),
    y: scaleOf(chart.y),
    ...(panel && { [panel]: { domain: chart.panels, axis: null, padding: stacked ? 0.22 : 0.05 } }),
    marks,
  };
}

// apart are the labels at the ends of a panel's series, moved until none
// covers another. They stand beyond the axis, where no line crosses them, each
// tied to its series.
function apart(chart, panel, height) {
  const { at, value } = place(chart.y), gap = (FONT + 2) / height;
  const labels = chart.series
    .filter((s) => s.panel === panel)
    .map((s) => ({ ...s, ...s.points[s.points.length - 1], points: null, p: at(s.points[s.points.length - 1].y) }))
    .sort((a, b) => a.p - b.p);
  for (let n = 1; n < labels.length; n++) labels[n].p = Math.max(labels[n].p, labels[n - 1].p + gap);
  let above = 1 + gap / 2;
  for (let n = labels.length - 1; n >= 0; n--) above = labels[n].p = Math.min(labels[n].p, above - gap);
  return labels.map((l) => ({ ...l, fromX: l.x, fromY: l.y, x: chart.x.high, y: value(l.p) }));
}

function bars(chart, width, interactive) {
  const marks = chart.marks.map((m, n) => ({ ...m, n }));
  const names = longest(marks.map((m) => m.name)) + 18, insetRight = longest(marks.map((m) => m.label)) + 14;
  const narrow = names + insetRight > width * 0.6, row = narrow ? 42 : 27;
  const dy = narrow ? -11 : 0, insetTop = narrow ? 21 : 5;
  const marginLeft = narrow ? 4 : names;
  const fill = (m) => colour(m.colour);
  return {
    marginTop: 4,
    marginBottom: 26,
    marginLeft,
    marginRight: 4,
    height: marks.length * row + 30,
    x: scaleOf(chart.x, { insetRight }),
    y: { type: "band", domain: marks.map((m) => m.n), axis: null, padding: 0 },
    marks: [
      Plot.gridX(chart.x.ticks.map((t) => t.at), { stroke: colour("rule"), strokeOpacity: 1 }),
      below(spaced(chart.x, width - marginLeft - insetRight)),
      Plot.barX(marks, { x1: 0, x2: "value", y: "n", fill, fillOpacity: 0.85, insetTop, insetBottom: 5 }),
      Plot.link(marks, { x1: (m) => m.rounds[0], x2: (m) => m.rounds[1], y1: "n", y2: "n", stroke: colour("ink"), strokeWidth: 1.2, dy: narrow ? 8 : 0 }),
      Plot.text(marks, { x: (m) => Math.max(m.value, m.rounds[1]), y: "n", text: "label", textAnchor: "start", dx: 7, dy: narrow ? 8 : 0, fontVariant: "tabular-nums", fill: colour("ink"), ...halo }),
      Plot.text(marks, { frameAnchor: "left", y: "n", text: "name", textAnchor: narrow ? "start" : "end", dx: narrow ? 0 : -10, dy, fill, fontWeight: 500 }),
      interactive ? Plot.tip(marks, Plot.pointer({ x: "value", y: "n", title: "tip", fill: colour("paper"), stroke: colour("rule") })) : null,
    ],
  };
}

function limits(chart, width, interactive) {
  const narrow = width < NARROW, row = narrow ? 58 : 28;
  const marks = chart.marks.map((m, n) => ({ ...m, n }));
  const rounds = marks.flatMap((m) => m.rounds.map((r) => ({ ...m, r })));
  const marginLeft = narrow ? 6 : longest(marks.map((m) => m.name)) + 22;
  const marginRight = narrow ? 6 : longest(marks.map((m) => m.label)) + 18;
  const dy = narrow ? 15 : 0, stroke = (m) => colour(m.colour);
  const inside = (v) => v >= chart.x.low && v <= chart.x.high;
  return {
    marginTop: 8,
    marginBottom: 44,
    marginLeft,
    marginRight,
    height: marks.length * row + 52,
    x: scaleOf(chart.x),
    y: { type: "band", domain: marks.map((m) => m.n), axis: null, padding: 0 },
    marks: [
      Plot.gridX(chart.x.ticks.map((t) => t.at), { stroke: colour("rule"), strokeOpacity: 1 }),
      below(spaced(chart.x, width - marginLeft - marginRight)),
      Plot.ruleX([1], { stroke: colour("ink"), strokeWidth: 1.5 }),
      Plot.link(marks, { x1: 1, x2: "value", y1: "n", y2: "n", stroke, strokeWidth: 2, strokeOpacity: 0.6, dy }),
      Plot.dot(rounds.filter((m) => inside(m.r)), { x: "r", y: "n", r: 2, fill: stroke, fillOpacity: 0.55, dy }),
      Plot.dot(marks, { x: "value", y: "n", r: 5.5, stroke, strokeWidth: 2, fill: (m) => (m.hollow ? colour("paper") : colour(m.colour)), dy }),
      Plot.text(marks, { frameAnchor: "left", y: "n", text: "name", textAnchor: narrow ? "start" : "end", dx: narrow ? 0 : -14, dy: narrow ? -17 : 0, fontWeight: 500, fill: colour("ink"), ...halo }),
      Plot.text(marks, { frameAnchor: narrow ? "left" : "right", y: "n", text: "label", textAnchor: "start", dx: narrow ? 0 : 12, dy: narrow ? -2 : 0, fill: stroke, fontWeight: 600, fontVariant: "tabular-nums", ...halo }),
      Plot.text([chart.x.label], { frameAnchor: "bottom-right", dy: 36, text: (t) => t, fill: colour("ink2") }),
      interactive ? Plot.tip(marks, Plot.pointer({ x: "value", y: "n", title: "tip", fill: colour("paper"), stroke: colour("rule") })) : null,
    ],
  };
}
