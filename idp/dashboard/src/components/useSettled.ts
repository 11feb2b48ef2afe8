import { useEffect, useState } from "react";

// useSettled is a text once nobody has typed for a moment: each one is a request.
export function useSettled(text: string | undefined): string | undefined {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), 250);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

// searched is a typed text as the API's `q` takes it; undefined: nothing to search for.
export const searched = (typed: string | undefined): string | undefined => typed?.trim().slice(0, 254) || undefined;
