import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { answer, api, type Schema } from "../../api/client";
import { asProblem } from "../../api/problem";
import { FormSheet } from "../../components/dialogs";
import { Refusal } from "../../components/states";
import { bodyOf, draftOf, OrganizationFields, placed } from "./OrganizationFields";

type Props = { organization: Schema["Organization"]; etag: string | undefined; onClose: () => void };

// EditOrganization changes name, plan and age of secrets, unless somebody else
// did since they were read (RFC 9110 section 13.1.1).
export function EditOrganization({ organization: o, etag, onClose }: Props) {
  const [read] = useState(etag);
  const [draft, setDraft] = useState(draftOf(o));
  const mutation = useMutation({
    mutationFn: (body: NonNullable<ReturnType<typeof bodyOf>>) =>
      answer(
        api.PATCH("/api/v1/organizations/{organizationId}", {
          params: {
            path: { organizationId: o.organizationId },
            ...(read !== undefined && { header: { "If-Match": read } }),
          },
          body,
        }),
      ),
    onSuccess: onClose,
  });
  const problem = mutation.error ? asProblem(mutation.error) : undefined;
  const body = bodyOf(draft);
  const age = body?.maxCredentialAge ?? 0;
  const shorter = age > 0 && (o.maxCredentialAge === 0 || age < o.maxCredentialAge);
  return (
    <FormSheet
      title={`Change ${o.organizationId}`}
      action="Save"
      acting="Saving…"
      pending={mutation.isPending}
      ready={body !== undefined}
      onSubmit={() => body && mutation.mutate(body)}
      onClose={onClose}
    >
      <OrganizationFields
        draft={draft}
        problem={problem}
        change={(members) => setDraft((old) => ({ ...old, ...members }))}
      />
      {draft.plan === "free" && o.plan !== "free" && (
        <p role="note">The limits hold at once. Agents beyond them stay, and no more can be registered.</p>
      )}
      {shorter && <p role="note">Secrets that are older already stop being good at once.</p>}
      {problem && <Refusal problem={problem} placed={placed(problem)} />}
    </FormSheet>
  );
}
