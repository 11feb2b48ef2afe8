// Strokes on a 16 px grid. They say nothing that text beside them does not.
const paths = {
  overview: "M2.5 9.5h4v4h-4zM9.5 2.5h4v11h-4zM2.5 2.5h4v4h-4z",
  agents: "M8 8.5a2.75 2.75 0 1 0 0-5.5 2.75 2.75 0 0 0 0 5.5zM2.75 14a5.25 5.25 0 0 1 10.5 0",
  audit: "M4 2.5h6L12.5 5v8.5h-9v-11zM5.5 7h5M5.5 9.5h5",
  kill: "M8 2v5M4.5 4.25a5 5 0 1 0 7 0",
  policies: "M8 2l5 2v4c0 3-2 5-5 6-3-1-5-3-5-6V4zM5.75 8l1.75 1.75L10.5 6.5",
  keys: "M10.5 8.5a3 3 0 1 0-3-3c0 .4 0 .7.2 1L3 11.2V13h2l.5-1.5L7 11l.3-1.7.9-.9c.6.1 1.4.1 2.3.1zM11 5h.01",
  organizations: "M3 13.5v-11h6v11M9 6.5h4v7M2 13.5h12M5 5h2M5 7.5h2M5 10h2",
  sidecars: "M3 3.5h10v3.5H3zM3 9h10v3.5H3zM5 5.25h.01M5 10.75h.01",
  down: "M4.5 6.5L8 10l3.5-3.5",
  right: "M6.5 4.5L10 8l-3.5 3.5",
  up: "M4.5 9.5L8 6l3.5 3.5",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  close: "M4 4l8 8M12 4l-8 8",
  tick: "M3.5 8.5l3 3 6-7",
  plus: "M8 3v10M3 8h10",
  copy: "M5.5 5.5h7v8h-7zM10.5 5.5v-3h-7v8h2",
  download: "M8 2.5v7M5 7l3 3 3-3M3 13h10",
  sun: "M8 10.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM8 1.5v1.5M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M3.4 12.6l1-1M11.6 4.4l1-1",
  left: "M9.5 4.5L6 8l3.5 3.5",
  calendar: "M2.5 4h11v9.5h-11zM2.5 7h11M5.5 2.5V5M10.5 2.5V5",
  exit: "M6.5 3h-3v10h3M7 8h6.5M11 5.5L13.5 8 11 10.5",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg
      width="16"
      height="16"
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={paths[name]} />
    </svg>
  );
}
