import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { agentQuery, credentialsQuery, keysQuery, organizationsQuery } from "../../api/queries";
import { AgentPicker } from "../../components/AgentPicker";
import { Combo } from "../../components/Combo";
import { Field } from "../../components/controls";
import { Badge, Facts } from "../../components/layout";
import { Await, Empty } from "../../components/states";
import { ago, Time } from "../../components/Time";
import { type Claims, claimsOf } from "./tokens";
import type { Aim } from "./useTarget";

type Props = { aim: Aim; onAim: (aim: Aim) => void };

// Picker lets the reader choose what the aim's kind says.
export function Picker({ aim, onAim }: Props) {
  switch (aim.what) {
    case "credential":
      return <CredentialPicker key="credential" aim={aim} onAim={onAim} />;
    case "organization":
      return <OrganizationPicker key="organization" aim={aim} onAim={onAim} />;
    case "token":
      return <TokenPicker key="token" aim={aim} onAim={onAim} />;
    case "key":
      return <KeyPicker key="key" aim={aim} onAim={onAim} />;
    default:
      return (
        <AgentPicker label="Agent" value={aim.id} onChange={(id) => onAim({ what: "agent", ...(id && { id }) })} />
      );
  }
}

function CredentialPicker({ aim, onAim }: Props) {
  const agentId = aim.agent ?? "";
  const credentials = useQuery({ ...credentialsQuery(agentId), enabled: agentId !== "" });
  return (
    <>
      <AgentPicker
        label="Agent"
        value={aim.agent}
        onChange={(agent) => onAim({ what: "credential", ...(agent && { agent }) })}
      />
      {aim.agent && (
        <Await query={credentials} lines={2}>
          {({ data }) =>
            data.length === 0 ? (
              <Empty title="This agent has no credential" />
            ) : (
              <Combo
                label="Credential"
                placeholder="client id"
                items={data.map((c) => ({
                  id: c.credentialId,
                  name: c.clientId,
                  note: `${c.status}, ${c.lastUsedAt ? `last used ${ago(c.lastUsedAt)}` : "never used"}`,
                }))}
                value={aim.id}
                onChange={(id) => onAim({ what: "credential", agent: agentId, ...(id && { id }) })}
              />
            )
          }
        </Await>
      )}
    </>
  );
}

function OrganizationPicker({ aim, onAim }: Props) {
  const organizations = useQuery(organizationsQuery());
  return (
    <Await query={organizations} lines={2}>
      {({ data }) => (
        <Combo
          label="Organization"
          items={data.map((o) => ({ id: o.organizationId, name: o.organizationId, note: o.name }))}
          value={aim.id}
          onChange={(id) => onAim({ what: "organization", ...(id && { id }) })}
        />
      )}
    </Await>
  );
}

function KeyPicker({ aim, onAim }: Props) {
  const keys = useQuery(keysQuery);
  return (
    <Await query={keys} lines={2}>
      {({ data }) => (
        <Combo
          label="Key"
          placeholder="kid"
          items={data.map((k) => ({ id: k.kid, name: k.kid, note: k.status }))}
          value={aim.id}
          onChange={(id) => onAim({ what: "key", ...(id && { id }) })}
        />
      )}
    </Await>
  );
}

// TokenPicker takes a jti, or a whole token, of which it keeps the claims alone.
function TokenPicker({ aim, onAim }: Props) {
  const [typed, setTyped] = useState(aim.id ?? "");
  const [claims, setClaims] = useState<Claims>();
  const wrong = typed.trim() !== "" && aim.id === undefined;
  return (
    <>
      <Field
        label="Token"
        hint="Paste its jti, or the whole token: it is read here and goes nowhere."
        mono
        autoComplete="off"
        spellCheck="false"
        value={typed}
        error={wrong ? "This is neither a token nor a jti." : undefined}
        onChange={(text) => {
          const read = claimsOf(text);
          setClaims(read);
          setTyped(read?.jti ?? text);
          onAim({ what: "token", ...(read && { id: read.jti }) });
        }}
      />
      {claims?.sub && <TokenFacts claims={claims} />}
    </>
  );
}

function TokenFacts({ claims }: { claims: Claims }) {
  const agent = useQuery({ ...agentQuery(claims.sub ?? ""), enabled: claims.sub !== undefined });
  const ended = claims.exp !== undefined && claims.exp * 1000 <= Date.now();
  return (
    <Facts
      facts={[
        ["Of", agent.data?.email ?? <code key="s">{claims.sub}</code>],
        ["Credential", <code key="c">{claims.client_id ?? "–"}</code>],
        [
          "Ends",
          <>
            {claims.exp !== undefined && <Time at={new Date(claims.exp * 1000).toISOString()} />}{" "}
            {ended && <Badge tone="warn">expired already</Badge>}
          </>,
        ],
      ]}
    />
  );
}
