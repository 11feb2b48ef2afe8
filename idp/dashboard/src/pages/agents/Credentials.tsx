import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Schema } from "../../api/client";
import { credentialsQuery } from "../../api/queries";
import { Button } from "../../components/controls";
import { columnsOf, DataTable } from "../../components/DataTable";
import { SecretOnce } from "../../components/dialogs";
import { Badge, Panel } from "../../components/layout";
import { Await, Empty } from "../../components/states";
import { Time } from "../../components/Time";
import { useCan, useIdentity } from "../../session/useSession";
import css from "./agents.module.css";
import { CreateCredential, RevokeCredential, RotateCredential, type Secret } from "./CredentialDialogs";
import { type Aim, UseSamples } from "./Samples";

type Credential = Schema["Credential"];
type Act = (what: "rotate" | "revoke", credential: Credential) => void;
type Row = Credential & { act: Act | undefined; rotatable: boolean; revocable: boolean };

const column = columnsOf<Row>();
const columns = column.columns([
  column.accessor("clientId", { header: "Client id", cell: ({ row }) => <Name of={row.original} /> }),
  column.accessor("authMethod", { header: "Proof", meta: { minor: true }, cell: (c) => proofs[c.getValue()] }),
  column.accessor("createdAt", {
    header: "Made",
    meta: { minor: true },
    cell: (c) => <Time at={c.getValue()} as="ago" />,
  }),
  column.accessor("lastUsedAt", {
    header: "Last used",
    meta: { minor: true },
    cell: (c) => (c.getValue() ? <Time at={c.getValue()} as="ago" /> : <span className="muted">never</span>),
  }),
  column.accessor("expiresAt", { header: "Ends", meta: { minor: true }, cell: ({ row }) => <End of={row.original} /> }),
  column.display({ id: "actions", header: "Actions", cell: ({ row }) => <Actions row={row.original} /> }),
]);

const records = columns.slice(0, -1); // where there is nothing to do

const proofs = { client_secret: "secret", private_key_jwt: "signed assertion" };

function Name({ of: c }: { of: Credential }) {
  return (
    <div className={css.name}>
      <code>{c.clientId}</code>
      <span>
        <Badge>{c.status}</Badge>{" "}
        <span className={css.narrow}>
          {c.lastUsedAt ? <Time at={c.lastUsedAt} as="ago" /> : <span className="muted">never used</span>}
        </span>
      </span>
      {c.previousSecretExpiresAt && (
        <span className={css.hint}>
          the old secret ends <Time at={c.previousSecretExpiresAt} as="ago" />
        </span>
      )}
    </div>
  );
}

function End({ of: c }: { of: Credential }) {
  if (c.status === "revoked") return <Time at={c.revokedAt} as="ago" />;
  return c.expiresAt ? <Time at={c.expiresAt} as="ago" /> : <span className="muted">never</span>;
}

function Actions({ row }: { row: Row }) {
  if (row.status !== "active" || !row.act) return null;
  return (
    <div className={css.rowButtons}>
      {row.rotatable && (
        <Button small aria-label={`Rotate ${row.clientId}`} onPress={() => row.act?.("rotate", row)}>
          Rotate
        </Button>
      )}
      {row.revocable && (
        <Button small aria-label={`Revoke ${row.clientId}`} onPress={() => row.act?.("revoke", row)}>
          Revoke
        </Button>
      )}
    </div>
  );
}

type Props = { agent: Schema["Agent"]; aim: Aim; creating: boolean; onCreating: (creating: boolean) => void };

// Credentials lists them and makes, rotates and revokes them. A secret lives in
// this component's state until its dialog closes, and in no cache.
export function Credentials({ agent, aim, creating, onCreating }: Props) {
  const { agentId } = agent;
  const credentials = useQuery(credentialsQuery(agentId));
  const client = useQueryClient();
  const own = useIdentity().agentId === agentId;
  const may = useCan("credentials:write");
  const [asked, setAsked] = useState<{ what: "rotate" | "revoke"; credential: Credential }>();
  const [secret, setSecret] = useState<Secret>();
  const live = agent.status !== "decommissioned";
  const act: Act | undefined = live && (may || own) ? (what, credential) => setAsked({ what, credential }) : undefined;
  const made = (fresh: Secret | undefined) => {
    setSecret(fresh);
    void client.invalidateQueries();
  };
  const close = () => setAsked(undefined);
  return (
    <Panel
      title="Credentials"
      flush
      note={
        live &&
        may && (
          <Button small onPress={() => onCreating(true)}>
            Create a credential
          </Button>
        )
      }
    >
      <Await query={credentials}>
        {(list) => (
          <DataTable
            label="Credentials"
            columns={act ? columns : records}
            rows={list.data.map((c) => ({
              ...c,
              act,
              rotatable: c.authMethod === "client_secret",
              revocable: may,
            }))}
            rowId={(c) => c.credentialId}
            empty={<Empty title="No credential: this agent cannot obtain tokens" />}
          />
        )}
      </Await>
      {creating && <CreateCredential agent={agent} onMade={made} onClose={() => onCreating(false)} />}
      {asked?.what === "rotate" && <RotateCredential credential={asked.credential} onMade={made} onClose={close} />}
      {asked?.what === "revoke" && <RevokeCredential credential={asked.credential} onClose={close} />}
      {secret && (
        <SecretOnce
          title={`The secret of ${agent.email}`}
          clientId={secret.clientId}
          clientSecret={secret.clientSecret}
          onClose={() => setSecret(undefined)}
        >
          {secret.oldUntil && (
            <p>
              The old secret works until <Time at={secret.oldUntil} />, then this one alone.
            </p>
          )}
          <UseSamples clientId={secret.clientId} secret={secret.clientSecret} {...aim} />
        </SecretOnce>
      )}
    </Panel>
  );
}
