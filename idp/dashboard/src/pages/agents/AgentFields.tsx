import { Block, Choice, Field } from "../../components/controls";
import css from "./agents.module.css";
import type { Draft, Errors } from "./draft";
import { agentTypes, environments } from "./words";

type Props = { draft: Draft; errors: Errors; change: (members: Partial<Draft>) => void };

// IdentityFields are who an agent is. The API checks them; the hints say beforehand what it wants.
export function IdentityFields({ draft, errors, change }: Props) {
  return (
    <div className={css.fields}>
      <Field
        label="Email"
        hint="names the agent, unique in the organization; nothing is sent there"
        value={draft.email}
        onChange={(email) => change({ email })}
        error={errors.email}
        autoComplete="off"
        autoFocus
      />
      <Field
        label="Owner"
        hint="the team that answers for it"
        value={draft.owner}
        onChange={(owner) => change({ owner })}
        error={errors.owner}
        autoComplete="off"
      />
      <Choice
        label="Type"
        value={draft.agentType}
        options={agentTypes}
        onChange={(agentType) => agentType && change({ agentType })}
      />
      <Choice
        label="Environment"
        value={draft.deploymentEnv}
        options={environments}
        onChange={(deploymentEnv) => deploymentEnv && change({ deploymentEnv })}
      />
      <Field
        label="Version"
        hint="semantic, such as 1.0.0"
        value={draft.version}
        onChange={(version) => change({ version })}
        error={errors.version}
        autoComplete="off"
      />
    </div>
  );
}

// KeyFields are for agents that sign client assertions instead of holding a secret.
export function KeyFields({ draft, errors, change }: Props) {
  const filled = draft.jwks !== "" || draft.jwksUri !== "" || errors.jwks !== undefined || errors.jwksUri !== undefined;
  return (
    <details className={css.more} open={filled}>
      <summary>Keys of its own, instead of a secret (private_key_jwt)</summary>
      <div className={css.form}>
        <Field
          label="Address of its JWK Set"
          hint="https; the IdP fetches it when it is needed"
          value={draft.jwksUri}
          onChange={(jwksUri) => change({ jwksUri })}
          error={errors.jwksUri}
          mono
        />
        <Block
          label="or the JWK Set itself"
          hint='public keys only, {"keys": [ … ]}'
          value={draft.jwks}
          onChange={(jwks) => change({ jwks })}
          error={errors.jwks}
        />
      </div>
    </details>
  );
}

export function MetadataField({ draft, errors, change }: Props) {
  return (
    <Block
      label="Metadata"
      hint="a JSON object of at most 16 KiB, or nothing; people read it, the IdP does not"
      value={draft.metadata}
      onChange={(metadata) => change({ metadata })}
      error={errors.metadata}
    />
  );
}
