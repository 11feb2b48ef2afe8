import { useQuery } from "@tanstack/react-query";
import type { Schema } from "../../api/client";
import { CopyButton } from "../../components/copy";
import { Json } from "../../components/Json";
import { Facts, Grid, Page, Panel } from "../../components/layout";
import { Result } from "../../components/Result";
import { Await } from "../../components/states";
import { Time } from "../../components/Time";
import css from "./policies.module.css";
import { policyQuery } from "./policy";
import { Operations, SeenRoutes } from "./RouteTables";
import { SidecarPolicies } from "./SidecarPolicies";
import { TryDecision } from "./TryDecision";

export function PoliciesPage() {
  const policy = useQuery(policyQuery);
  return (
    <Page
      title="Policies"
      about="Who may do what: one question to one policy, at the management API and at every sidecar. What it does not allow is denied."
    >
      <Grid>
        <Panel title="In force" width="half" note="on the replica that answered">
          <Await query={policy} lines={7}>
            {(p) => <InForce policy={p} />}
          </Await>
        </Panel>
        <SidecarPolicies revision={policy.data?.revision} />
        <TryDecision />
        <SeenRoutes />
        <Operations />
        <Panel title="Text" note="as it was loaded">
          <Await query={policy} lines={4}>
            {(p) => <Text policy={p} />}
          </Await>
        </Panel>
      </Grid>
    </Page>
  );
}

const sources = { builtIn: "built in", folder: "the folder in AGENTIDP_POLICY_DIR" };

function InForce({ policy: p }: { policy: Schema["Policy"] }) {
  return (
    <div className={css.stack}>
      {p.lastError && (
        <Result tone="bad" title="The latest reload failed; the policy before it stays in force">
          <p>
            <Time at={p.lastError.at} />
          </p>
          <pre className={css.message}>{p.lastError.message}</pre>
        </Result>
      )}
      <Facts
        facts={[
          [
            "Revision",
            <span key="r" className={css.copied}>
              <code>{p.revision}</code> <CopyButton text={p.revision} label="Copy revision" />
            </span>,
          ],
          ["From", sources[p.source]],
          ["In force since", <Time key="t" at={p.loadedAt} />],
          ["Loads since start", p.epoch],
          ["Failed reloads", p.reloadFailures],
          ["Own tests", p.tests === 0 ? "none" : `${p.tests}, all passed`],
        ]}
      />
    </div>
  );
}

function Text({ policy: p }: { policy: Schema["Policy"] }) {
  return (
    <div className={css.files}>
      {p.files.map((f) => (
        <details key={f.name} className={css.file}>
          <summary>
            <code>{f.name}</code> <span className={css.digest}>SHA-256 {f.sha256}</span>
          </summary>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls (WCAG 2.1.1) */}
          <pre className={css.text} tabIndex={0}>
            {f.text}
          </pre>
        </details>
      ))}
      <details className={css.file}>
        <summary>data</summary>
        <Json value={p.data} label="data" />
      </details>
    </div>
  );
}
