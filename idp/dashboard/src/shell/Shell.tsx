import { Link, Outlet, useRouter, useRouterState } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { dashboardPath } from "../base";
import { AgentName } from "../components/AgentName";
import { Button, Choice } from "../components/controls";
import { Icon } from "../components/Icon";
import { SignIn } from "../pages/sign-in/SignIn";
import { session } from "../session/session";
import { useIdentity, useSession } from "../session/useSession";
import { navigation } from "./navigation";
import css from "./shell.module.css";
import { themes, useTheme } from "./theme";

// Shell stands around every page. Who is not signed in gets the sign-in page at
// whatever address they are, and is there again after it.
export function Shell() {
  const state = useSession();
  if (state.status === "signedOut") return <SignIn reason={state.reason} />;
  return <Frame />;
}

const pages = [...navigation.map(({ to }) => ({ to })), { to: "/agents/$agentId", params: { agentId: "-" } } as const];

function Frame() {
  const [open, setOpen] = useState(false);
  const path = useRouterState({ select: (s) => s.location.pathname });
  const router = useRouter();
  // The code of every page is fetched once there is time: a page must open when
  // the IdP is away too, and say so.
  useEffect(() => {
    const timer = setTimeout(
      () => void Promise.all(pages.map((page) => router.preloadRoute(page))).catch(() => {}),
      1000,
    );
    return () => clearTimeout(timer);
  }, [router]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new page closes the menu
  useEffect(() => setOpen(false), [path]);
  return (
    <>
      <button type="button" className={css.skip} onClick={() => document.getElementById("main")?.focus()}>
        Skip to the content
      </button>
      <div className={css.frame}>
        <header className={css.bar}>
          <Brand />
          <Button
            tone="quiet"
            aria-expanded={open}
            aria-controls="side"
            aria-label="Menu"
            onPress={() => setOpen(!open)}
          >
            <Icon name={open ? "close" : "menu"} />
          </Button>
        </header>
        <div id="side" className={css.side} data-open={open || undefined}>
          <Brand />
          <nav aria-label="pages of the dashboard" className={css.nav}>
            {navigation.map(({ to, name, icon }) => (
              <Link key={to} to={to} className={css.link} activeOptions={{ exact: to === "/", includeSearch: false }}>
                <Icon name={icon} />
                {name}
              </Link>
            ))}
          </nav>
          <Foot />
        </div>
        <main id="main" className={css.main} tabIndex={-1}>
          <Outlet />
        </main>
      </div>
    </>
  );
}

function Brand() {
  return (
    <Link to="/" className={css.brand} activeProps={{ "aria-current": undefined }} aria-label="AgentIdP, overview">
      <img src={`${dashboardPath}/icon.svg`} alt="" width="22" height="22" />
      AgentIdP
    </Link>
  );
}

function Foot() {
  const { agentId, organizationId } = useIdentity();
  const [theme, setTheme] = useTheme();
  return (
    <div className={css.foot}>
      <p className={css.who}>
        <span className="muted">Signed in to</span> {organizationId}
        <br />
        <Link to="/agents/$agentId" params={{ agentId }}>
          <AgentName agentId={agentId} />
        </Link>
      </p>
      <Choice label="Theme" value={theme} options={themes} onChange={(t) => t && setTheme(t)} />
      <Button small onPress={() => session.signOut()}>
        <Icon name="exit" /> Sign out
      </Button>
    </div>
  );
}
