"use strict";

// show draws each chart into its figure, and again when the figure's width changes.
function show(charts) {
  const widths = new Map();
  const byID = new Map(charts.map((c) => [c.id, c]));
  const observer = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const width = Math.floor(contentRect.width);
      if (width < 1 || widths.get(target) === width) continue;
      widths.set(target, width);
      target.replaceChildren(chartSVG(byID.get(target.parentNode.id), { width, document, interactive: true }));
    }
  });
  for (const c of charts) observer.observe(document.getElementById(c.id).querySelector("div"));
}

for (const [column, button] of document.querySelectorAll("thead button").entries()) {
  button.addEventListener("click", () => {
    const heading = button.parentNode, body = document.querySelector("tbody");
    const down = heading.getAttribute("aria-sort") !== "descending" && column > 2 || heading.getAttribute("aria-sort") === "ascending";
    for (const other of document.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.sort ?? "";
    const words = (a, b) => a.cells[column].textContent.localeCompare(b.cells[column].textContent, "en", { numeric: true });
    // A row without the figure stays at the end, whichever way.
    const figures = (a, b) => (key(a) === "" || key(b) === "" ? (key(a) === "") - (key(b) === "") : (down ? -1 : 1) * (key(a) - key(b)));
    body.append(...[...body.rows].sort(column > 2 ? figures : (a, b) => (down ? -1 : 1) * words(a, b)));
  });
}

document.querySelector("input").addEventListener("input", ({ target }) => {
  const words = target.value.toLowerCase().split(/\s+/);
  for (const row of document.querySelector("tbody").rows) {
    const text = [0, 1, 2].map((n) => row.cells[n].textContent).join(" ").toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
});
