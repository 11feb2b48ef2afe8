// The marks that ../draw.js uses, and no more.
export { axisX, axisY, areaY, barX, dot, gridX, gridY, line, link, plot, pointer, ruleX, text, tip } from "@observablehq/plot";
