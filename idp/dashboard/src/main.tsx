import { MutationCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Problem } from "./api/problem";
import { createAppRouter } from "./routes";
import { session } from "./session/session";
import { applyTheme } from "./shell/theme";
import "./styles/tokens.css";
import "./styles/base.css";

applyTheme();

const client = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (failures, error) => error instanceof Problem && error.status !== 429 && error.passing && failures < 2,
    },
    mutations: { retry: false },
  },
  // What was changed may show anywhere: every list asks again.
  mutationCache: new MutationCache({ onSuccess: () => void client.invalidateQueries() }),
});

// The next one to sign in must see nothing of the one before.
session.subscribe(() => session.state().status === "signedOut" && client.clear());

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <RouterProvider router={createAppRouter()} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
