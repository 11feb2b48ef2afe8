import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { answer, api } from "../../api/client";
import { asProblem } from "../../api/problem";
import { Field } from "../../components/controls";
import { FormSheet, SecretOnce } from "../../components/dialogs";
import { Refusal } from "../../components/states";
import { bodyOf, draftOf, OrganizationFields, placed, ruleFor } from "./OrganizationFields";

// CreateOrganization asks for an organization, and shows its administrator's
// secret the only time that there is.
export function CreateOrganization({ onClose }: { onClose: () => void }) {
  const [organizationId, setId] = useState("");
  const [draft, setDraft] = useState(draftOf());
  const [email, setEmail] = useState("");
  const mutation = useMutation({
    mutationFn: (body: NonNullable<ReturnType<typeof bodyOf>>) =>
      answer(
        api.POST("/api/v1/organizations", {
          body: { organizationId, ...body, ...(email !== "" && { administratorEmail: email }) },
        }),
      ),
  });
  const made = mutation.data;
  if (made) {
    const { clientId, clientSecret } = made.credential;
    return (
      <SecretOnce
        title={`${made.organization.name}: the administrator's credential`}
        clientId={clientId}
        clientSecret={clientSecret}
        onClose={onClose}
      >
        <p>
          {made.administrator.email} administers {made.organization.organizationId} with it: sign in here with it, and
          register the agents.
        </p>
      </SecretOnce>
    );
  }
  const problem = mutation.error ? asProblem(mutation.error) : undefined;
  const body = bodyOf(draft);
  return (
    <FormSheet
      title="New organization"
      action="Create"
      acting="Creating…"
      pending={mutation.isPending}
      ready={organizationId !== "" && body !== undefined}
      onSubmit={() => body && mutation.mutate(body)}
      onClose={onClose}
    >
      <OrganizationFields
        draft={draft}
        problem={problem}
        change={(members) => setDraft((old) => ({ ...old, ...members }))}
      >
        <Field
          label="Id"
          mono
          hint="In addresses and tokens; it never changes."
          value={organizationId}
          onChange={setId}
          error={ruleFor(problem, "organizationId")}
          autoComplete="off"
          spellCheck="false"
        />
        <Field
          label="Administrator's email (optional)"
          hint="admin@localhost when it is empty"
          value={email}
          onChange={setEmail}
          error={ruleFor(problem, "administratorEmail")}
        />
      </OrganizationFields>
      {problem && <Refusal problem={problem} placed={placed(problem)} />}
    </FormSheet>
  );
}
