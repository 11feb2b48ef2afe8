import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { answer, api, done, type Schema } from "../../api/client";
import { Check, Choice } from "../../components/controls";
import { Moment } from "../../components/dates";
import { Confirm } from "../../components/dialogs";
import css from "./agents.module.css";
import { useLiveTokens } from "./liveTokens";

type Credential = Schema["Credential"];
export type Secret = { clientId: string; clientSecret: string; oldUntil?: string | undefined }; // the one before is good till then
type OnMade = (secret: Secret | undefined) => void; // undefined: it has none

const ends = {
  never: "never",
  "30": "in 30 days",
  "90": "in 90 days",
  "365": "in a year",
  moment: "at a time of my choice",
};
const methods = { client_secret: "a secret", private_key_jwt: "an assertion signed with its key" };

// CreateCredential asks how a new credential proves itself, and until when.
// Its calls are no mutations: those keep their answer, and this one holds a secret.
export function CreateCredential({
  agent,
  onMade,
  onClose,
}: {
  agent: Schema["Agent"];
  onMade: OnMade;
  onClose: () => void;
}) {
  const hasKeys = agent.jwks !== undefined || agent.jwksUri !== undefined;
  const [end, setEnd] = useState<keyof typeof ends>("never");
  const [moment, setMoment] = useState<string | undefined>(() => inDays(180));
  const [method, setMethod] = useState<keyof typeof methods>("client_secret");
  async function create() {
    const expiresAt = end === "moment" ? moment : end === "never" ? undefined : inDays(Number(end));
    const made = await answer(
      api.POST("/api/v1/agents/{agentId}/credentials", {
        params: { path: { agentId: agent.agentId } },
        body: { authMethod: method, ...(expiresAt && { expiresAt }) },
      }),
    );
    onMade(made.clientSecret === undefined ? undefined : { clientId: made.clientId, clientSecret: made.clientSecret });
  }
  return (
    <Confirm
      title={`A credential for ${agent.email}`}
      consequences={
        <div className={css.stacked}>
          <p>With it the agent obtains tokens. Its secret is shown once, next, with a line to try it.</p>
          {hasKeys && (
            <Choice
              label="It proves itself by"
              value={method}
              options={keys(methods)}
              text={(m) => methods[m]}
              onChange={(m) => m && setMethod(m)}
            />
          )}
          <Choice
            label="It ends"
            value={end}
            options={keys(ends)}
            text={(e) => ends[e]}
            onChange={(e) => e && setEnd(e)}
          />
          {end === "moment" && <Moment label="The end" value={moment} onChange={setMoment} />}
        </div>
      }
      action="Create"
      tone="primary"
      onConfirm={create}
      onClose={onClose}
    />
  );
}

const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();

const overlaps = {
  "0": "dies now",
  "3600": "works for another hour",
  "86400": "works for another day",
  "604800": "works for another week",
};

export function RotateCredential({
  credential: { agentId, credentialId, clientId },
  onMade,
  onClose,
}: {
  credential: Credential;
  onMade: OnMade;
  onClose: () => void;
}) {
  const [overlap, setOverlap] = useState<keyof typeof overlaps>("0");
  const [tokens, setTokens] = useState(false);
  const live = useLiveTokens("credential", clientId);
  async function rotate() {
    const made = await answer(
      api.POST("/api/v1/agents/{agentId}/credentials/{credentialId}/rotate", {
        params: { path: { agentId, credentialId }, query: tokens ? { revokeTokens: true } : {} },
        body: { overlapSeconds: Number(overlap) },
      }),
    );
    onMade({ clientId, clientSecret: made.clientSecret, oldUntil: made.previousSecretExpiresAt });
  }
  return (
    <Confirm
      title="Rotate the secret?"
      consequences={
        <div className={css.stacked}>
          <p>
            <code>{clientId}</code> gets another secret, shown once, next. The client id stays.
          </p>
          <Choice
            label="The old secret"
            value={overlap}
            options={keys(overlaps)}
            text={(o) => overlaps[o]}
            onChange={(o) => o && setOverlap(o)}
          />
          <Tokens live={live} value={tokens} onChange={setTokens} />
        </div>
      }
      action="Rotate"
      tone="primary"
      onConfirm={rotate}
      onClose={onClose}
    />
  );
}

export function RevokeCredential({
  credential: { agentId, credentialId, clientId },
  onClose,
}: {
  credential: Credential;
  onClose: () => void;
}) {
  const [tokens, setTokens] = useState(true);
  const live = useLiveTokens("credential", clientId);
  const revoke = useMutation({
    mutationFn: (reason: string) =>
      done(
        api.DELETE("/api/v1/agents/{agentId}/credentials/{credentialId}", {
          params: { path: { agentId, credentialId }, query: { revokeTokens: tokens, ...(reason && { reason }) } },
        }),
      ),
  });
  return (
    <Confirm
      title="Revoke the credential?"
      consequences={
        <div className={css.stacked}>
          <p>
            <code>{clientId}</code> obtains no token any more, for good. Other credentials of the agent stay.
          </p>
          <Tokens live={live} value={tokens} onChange={setTokens} />
        </div>
      }
      reason=""
      action="Revoke"
      onConfirm={revoke.mutateAsync}
      onClose={onClose}
    />
  );
}

function Tokens({
  live,
  value,
  onChange,
}: {
  live: string | undefined;
  value: boolean;
  onChange: (v: boolean) => void;
}) {
  const which = live === undefined ? "its live tokens" : `its live tokens (${live})`;
  return (
    <>
      <Check label={`Kill ${which} too`} value={value} onChange={onChange} />
      <p className={css.hint}>
        {value
          ? "They are refused everywhere within a second."
          : "They go on working until they expire, an hour at most."}
      </p>
    </>
  );
}

const keys = <K extends string>(of: Record<K, string>) => Object.keys(of) as K[];
