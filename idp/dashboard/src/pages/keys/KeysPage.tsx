import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { answer, api, type Schema } from "../../api/client";
import { healthQuery, keysQuery } from "../../api/queries";
import { Button } from "../../components/controls";
import { Value } from "../../components/copy";
import { Confirm } from "../../components/dialogs";
import { Facts, Grid, Page, Panel } from "../../components/layout";
import { Await } from "../../components/states";
import { ago, Time } from "../../components/Time";
import { useCan } from "../../session/useSession";
import { type Cut, Watch } from "../kill-switch/Watch";
import { Emergency } from "./Emergency";
import { KeyLife } from "./KeyLife";
import css from "./keys.module.css";

type Key = Schema["Key"];

export function KeysPage() {
  const keys = useQuery(keysQuery);
  const may = useCan("keys:write");
  const [asking, setAsking] = useState<"rotate" | "emergency">();
  const [cut, setCut] = useState<Cut>();
  const active = keys.data?.data.find((k) => k.status === "active");
  return (
    <Page
      title="Keys"
      about="What tokens are signed with. A key is published before it signs, and verifies until the last token it signed has expired."
      actions={
        may &&
        active && (
          <>
            <Button onPress={() => setAsking("rotate")}>Rotate now…</Button>
            <Button tone="danger" onPress={() => setAsking("emergency")}>
              Emergency…
            </Button>
          </>
        )
      }
    >
      <Grid>
        {cut && <Watch key={cut.at} cut={cut} onClose={() => setCut(undefined)} />}
        <Panel title="Signing keys">
          <Await query={keys} lines={8}>
            {({ data }) => (
              <ol className={css.keys}>
                {inOrder(data).map((k) => (
                  <KeyLife key={k.kid} of={k} />
                ))}
              </ol>
            )}
          </Await>
        </Panel>
        <Schedule keys={keys.data?.data} />
        <Verifier />
      </Grid>
      {asking === "rotate" && active && <Rotate keys={keys.data?.data ?? []} onClose={() => setAsking(undefined)} />}
      {asking === "emergency" && active && (
        <Emergency active={active} onCut={setCut} onClose={() => setAsking(undefined)} />
      )}
    </Page>
  );
}

const order = ["next", "active", "retired"];

// inOrder is as keys live: the one to come, the one that signs, those that verify.
const inOrder = (keys: Key[]) => [...keys].sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));

function Rotate({ keys, onClose }: { keys: Key[]; onClose: () => void }) {
  const next = keys.find((k) => k.status === "next");
  const mutation = useMutation({
    mutationFn: () => answer(api.POST("/api/v1/keys/rotate", { body: { emergency: false } })),
  });
  return (
    <Confirm
      title="Rotate the signing key"
      tone="primary"
      action="Rotate"
      consequences={
        <ul>
          {next ? (
            <li>The next key is published already: it signs as soon as every verifier has had time to fetch it.</li>
          ) : (
            <li>Another key is made and published. It signs as soon as every verifier has had time to fetch it.</li>
          )}
          <li>No token dies: the key before it goes on to verify until the last of them has expired.</li>
        </ul>
      }
      onConfirm={() => mutation.mutateAsync()}
      onClose={onClose}
    />
  );
}

// Schedule is how tokens are signed, and what comes next.
function Schedule({ keys }: { keys: Key[] | undefined }) {
  const health = useQuery(healthQuery);
  const signing = health.data?.dependencies.signingKey;
  const active = keys?.find((k) => k.status === "active");
  const retired = keys?.filter((k) => k.status === "retired") ?? [];
  return (
    <Panel title="Signing" width="half">
      <Facts
        facts={[
          ["Backend", signing ? <code key="b">{signing.backend ?? signing.status}</code> : "…"],
          ["Algorithm", active ? `${active.alg}, ${active.bits} bits` : "…"],
          ["Signs since", <Time key="s" at={active?.activatedAt} />],
          ["Next rotation", <NextRotation key="n" active={active} />],
          ["Old keys", retired.length === 0 ? "none in the JWKS" : <Leaving key="o" keys={retired} />],
        ]}
      />
    </Panel>
  );
}

function NextRotation({ active }: { active: Key | undefined }) {
  if (active === undefined) return "…";
  if (active.rotateAt === undefined) return "none is due: when you rotate (setting key_rotation)";
  return (
    <>
      <Time at={active.rotateAt} /> <span className="muted">({ago(active.rotateAt)})</span>
    </>
  );
}

function Leaving({ keys }: { keys: Key[] }) {
  return (
    <ul>
      {keys.map((k) => (
        <li key={k.kid}>
          <code>{k.kid.slice(0, 10)}…</code> leaves the JWKS <Time at={k.leavesAt} />
        </li>
      ))}
    </ul>
  );
}

function Verifier() {
  const keys = useQuery(keysQuery);
  return (
    <Panel title="For those who verify" width="half" note={<Link to="/audit">Audit log</Link>}>
      <Await query={keys}>
        {({ verifierKey }) => (
          <div className={css.verifier}>
            <p>
              Tokens: <code>/.well-known/jwks.json</code> has the keys above.
            </p>
            <p>
              Audit log: checkpoints are signed with another key. Give its public half to monitors, and to{" "}
              <code>agentidp audit verify</code>.
            </p>
            <Value text={verifierKey} name="the verifier key" />
          </div>
        )}
      </Await>
    </Panel>
  );
}
