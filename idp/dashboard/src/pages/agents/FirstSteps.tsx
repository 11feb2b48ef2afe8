import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useEffect } from "react";
import type { Schema } from "../../api/client";
import { auditQuery, credentialsQuery } from "../../api/queries";
import { apiBase } from "../../base";
import { Button } from "../../components/controls";
import { Icon } from "../../components/Icon";
import { Panel } from "../../components/layout";
import { Time } from "../../components/Time";
import css from "./agents.module.css";
import { type Aim, Sample, TargetFields } from "./Samples";
import { callSample, tokenSample, writeSample } from "./snippets";

type Props = Aim & { agent: Schema["Agent"]; onCreate: () => void; onHide: () => void };

const often = { refetchInterval: 4000 }; // somebody sits and waits

// FirstSteps leads from a new agent to its first request and beyond: what
// `make demo` plays. Each step is ticked when the IdP has heard of it.
export function FirstSteps({ agent, target, aim, onCreate, onHide }: Props) {
  const { agentId } = agent;
  const credentials = useQuery(credentialsQuery(agentId)).data?.data ?? [];
  const usable = credentials.find((c) => c.status === "active");
  const events = useQuery({ ...auditQuery({ agentId, limit: 100 }), ...often }).data?.data ?? [];
  const first = (action: string) => events.find((e) => e.action === action)?.timestamp;
  const [token, allowed, denied] = ["token.issued", "decision.allowed", "decision.denied"].map(first);
  const client = useQueryClient();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the other panels show what happened as soon as this one
  useEffect(() => {
    for (const what of ["agents", "credentials", "revocations", "audit"])
      void client.invalidateQueries({ queryKey: [what] });
  }, [client, token, allowed, denied]);
  return (
    <Panel
      title="First steps"
      note={
        <Button small onPress={onHide}>
          Hide
        </Button>
      }
    >
      <ol className={css.steps}>
        <Step n={1} done={usable !== undefined} title="Give it a credential">
          {usable ? (
            <p>
              <code>{usable.clientId}</code>, made <Time at={usable.createdAt} as="ago" />
            </p>
          ) : (
            <>
              <p>A client id and a secret, with which the agent asks for tokens.</p>
              <Button tone="primary" onPress={onCreate}>
                Create a credential
              </Button>
            </>
          )}
        </Step>
        <Step n={2} done={token !== undefined} title="Get a token">
          {token ? (
            <Heard what="The last token was issued" at={token} />
          ) : (
            <p>In a shell. The dialog that shows the secret has the line to paste, ready with the secret in it.</p>
          )}
          <TargetFields target={target} aim={aim} />
          {usable && (
            <Sample
              name="Get a token (curl asks for the secret)"
              text={tokenSample(apiBase, usable.clientId, undefined, target.api)}
            />
          )}
        </Step>
        <Step n={3} done={allowed !== undefined} title="Call the API through its sidecar">
          {allowed ? (
            <Heard what="The last request was allowed" at={allowed} />
          ) : (
            <p>The sidecar verifies the token, checks the capability and tells the IdP what it decided.</p>
          )}
          <Sample name="Call the API through its sidecar" text={callSample(target)} />
        </Step>
        <Step n={4} done={denied !== undefined} title="See it refused">
          {denied ? (
            <Heard what="The last request was denied" at={denied} />
          ) : (
            <p>
              Writing takes another capability than reading: without it the answer is 403{" "}
              <code>capability_missing</code>.
            </p>
          )}
          <Sample name="Write through the sidecar" text={writeSample(target)} />
        </Step>
        <Step n={5} done={false} title="Then play with it">
          <ul className={css.tries}>
            <li>
              Add the capability below (such as <code>notes:write</code>), get another token, write. Remove it again:
              the live token is refused within a second.
            </li>
            <li>
              Suspend the agent, call again: 401 <code>agent_revoked</code>. Reactivate it: a new token works, the old
              one stays dead.
            </li>
            <li>Rotate the secret: the old one is refused, the client id stays.</li>
            <li>
              Every step is in the <Link to="/audit">audit log</Link>, which you can verify there.
            </li>
          </ul>
        </Step>
      </ol>
    </Panel>
  );
}

function Heard({ what, at }: { what: string; at: string }) {
  return (
    <p>
      {what} <Time at={at} as="ago" />.
    </p>
  );
}

type StepProps = { n: number; done: boolean; title: string; children: ReactNode };

function Step({ n, done, title, children }: StepProps) {
  return (
    <li className={css.step}>
      <span className={css.mark} data-done={done || undefined} aria-hidden="true">
        {done ? <Icon name="tick" /> : n}
      </span>
      <h3 className={css.stepTitle}>
        {title}
        {done && <span className="visually-hidden">, done</span>}
      </h3>
      <div className={css.stepBody}>{children}</div>
    </li>
  );
}
