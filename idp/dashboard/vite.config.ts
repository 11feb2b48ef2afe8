import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// The IdP that `npm run dev` calls.
const idp = process.env.AGENTIDP_URL ?? "http://127.0.0.1:8080";

// React Aria's live announcer empties itself with innerHTML, which Trusted Types refuse,
// also for "": typing in a date field would take the page down.
const announcerWithoutHTML = {
  name: "announcer-without-html",
  transform(code: string, id: string) {
    if (!/LiveAnnouncer\.\w+$/.test(id)) return null;
    const changed = code.replace(/([\w.]+)\.innerHTML = (?:''|"")/g, "$1.replaceChildren()");
    if (changed.includes("innerHTML")) throw new Error("React Aria's live announcer has changed: see vite.config.ts");
    return { code: changed, map: null };
  },
};

export default defineConfig(({ command }) => ({
  plugins: [announcerWithoutHTML, react()],
  // Built links are relative: the IdP knows where the dashboard is mounted.
  base: command === "build" ? "./" : "/dashboard/",
  build: {
    target: ["chrome123", "firefox121", "safari17.5"],
    assetsInlineLimit: 0, // the policy of the page allows no data: URL
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": idp, "/health": idp, "/openapi.yaml": idp } },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["src/test/setup.ts"],
    pool: "threads",
    testTimeout: 120_000, // on two cores beside other builds
  },
}));
