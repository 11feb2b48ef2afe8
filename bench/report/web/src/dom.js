// The document that charts are drawn into outside a browser.
import "./shim.js";
import domino from "@mixmark-io/domino";
export const document = domino.createDocument("<!doctype html><title></title>");
