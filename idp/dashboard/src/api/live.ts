import { Problem } from "./problem";

// live polls while the page is visible (TanStack Query pauses it in hidden
// tabs), and steps back when the API is away or asks for patience. The free plan
// allows 100 requests a minute for an address: a page should stay below 20.
export function live(seconds: number) {
  return {
    refetchInterval: (query: { state: { error: Error | null } }) => {
      const error = query.state.error;
      if (error instanceof Problem && !error.passing) return false; // it will be refused again
      const patience = error instanceof Problem && error.retryAfter ? error.retryAfter : 0;
      return 1000 * Math.max(error ? 2 * seconds : seconds, patience);
    },
    staleTime: (seconds * 1000) / 2,
  };
}
