import { useEffect, useState } from "react";

export const themes = ["system", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

const key = "agentidp.theme"; // stored beside the last checkpoint seen, and nothing else

function stored(): Theme {
  try {
    const value = localStorage.getItem(key);
    return themes.find((t) => t === value) ?? "system";
  } catch {
    return "system"; // storage is forbidden: then for this visit alone
  }
}

// applyTheme is called before the first paint too.
export function applyTheme(theme: Theme = stored()) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState(stored);
  useEffect(() => applyTheme(theme), [theme]);
  return [
    theme,
    (next) => {
      setTheme(next);
      try {
        localStorage.setItem(key, next);
      } catch {
        // as above
      }
    },
  ];
}
