import { createRootRoute, Link } from "@tanstack/react-router";
import { Page } from "../components/layout";
import { ProblemCard } from "../components/states";
import { Shell } from "./Shell";

export const shell = createRootRoute({
  component: Shell,
  notFoundComponent: () => (
    <Page title="No such page">
      <p>
        Nothing is at this address. <Link to="/">Go to the overview</Link>
      </p>
    </Page>
  ),
  errorComponent: ({ error, reset }) => <ProblemCard error={error} onRetry={reset} />,
});
