import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { answer, api, entire, type Schema } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { Button } from "../../components/controls";
import { CopyButton } from "../../components/copy";
import { FormSheet } from "../../components/dialogs";
import { Badge, Facts, Panel } from "../../components/layout";
import { ProblemCard, Refusal } from "../../components/states";
import { Time } from "../../components/Time";
import { IdentityFields, KeyFields } from "./AgentFields";
import { type Draft, draftOf, type Errors, errorsOf, parsed, placed } from "./draft";

type Agent = Schema["Agent"];

export function Identity({ agent: a, edit }: { agent: Agent; edit: boolean }) {
  const [editing, setEditing] = useState<Opened>();
  return (
    <Panel
      title="Identity"
      width="twoThirds"
      note={edit && <Edit agentId={a.agentId} what="identity" onOpen={setEditing} />}
    >
      <Facts
        facts={[
          ["Status", <Badge key="s">{a.status}</Badge>],
          [
            "Agent id",
            <>
              <code>{a.agentId}</code> <CopyButton text={a.agentId} label="Copy agent id" />
            </>,
          ],
          ["Organization", a.organizationId],
          ["Type", a.agentType],
          ["Version", a.version],
          ["Owner", a.owner],
          ["Environment", a.deploymentEnv],
          ["Keys", a.jwksUri ? <code key="k">{a.jwksUri}</code> : a.jwks ? `${a.jwks.keys.length} registered` : "none"],
          ["Registered", <Time key="c" at={a.createdAt} />],
          ["Changed", <Time key="u" at={a.updatedAt} />],
          ["Last token", <Time key="l" at={a.lastAuthAt} />],
        ]}
      />
      {editing && <IdentitySheet opened={editing} onClose={() => setEditing(undefined)} />}
    </Panel>
  );
}

// Opened is an agent as it was when somebody began to change it.
export type Opened = { agent: Agent; etag: string | null };

// Edit reads the agent anew before it is changed, with its ETag, so that nobody
// undoes what another did meanwhile.
export function Edit({ agentId, what, onOpen }: { agentId: string; what: string; onOpen: (o: Opened) => void }) {
  const [problem, setProblem] = useState<Problem>();
  async function open() {
    setProblem(undefined);
    try {
      const { data, response } = await entire(api.GET("/api/v1/agents/{agentId}", { params: { path: { agentId } } }));
      if (data) onOpen({ agent: data, etag: response.headers.get("ETag") });
    } catch (e) {
      setProblem(asProblem(e));
    }
  }
  return (
    <>
      <Button small aria-label={`Edit ${what}`} onPress={() => void open()}>
        Edit
      </Button>
      {problem && <ProblemCard error={problem} />}
    </>
  );
}

// usePatch changes the agent, if it is still what was opened.
export function usePatch({ agent, etag }: Opened) {
  return useMutation({
    mutationFn: (body: Schema["AgentPatch"]) =>
      answer(
        api.PATCH("/api/v1/agents/{agentId}", {
          params: { path: { agentId: agent.agentId }, ...(etag !== null && { header: { "If-Match": etag } }) },
          body,
        }),
      ),
  });
}

type EditProps = {
  title: string;
  problem: Problem | undefined;
  pending: boolean;
  onSave: () => void;
  onClose: () => void;
  children: ReactNode;
};

// EditSheet is the frame of what changes an agent.
export function EditSheet({ title, problem, pending, onSave, onClose, children }: EditProps) {
  return (
    <FormSheet title={title} action="Save" acting="Saving…" pending={pending} onSubmit={onSave} onClose={onClose}>
      {children}
      {problem && <Refusal problem={problem.status === 412 ? changed(problem) : problem} placed={placed(problem)} />}
    </FormSheet>
  );
}

const changed = (problem: Problem) =>
  Object.assign(problem, { message: "Somebody changed this agent meanwhile. Close this and edit it again." });

// useSave sends a patch and closes, or keeps what went wrong.
export function useSave(opened: Opened, onClose: () => void) {
  const patch = usePatch(opened);
  const problem = patch.error ? asProblem(patch.error) : undefined;
  const save = (body: Schema["AgentPatch"]) => patch.mutate(body, { onSuccess: onClose });
  return { save, pending: patch.isPending, problem, sent: patch.variables };
}

function IdentitySheet({ opened, onClose }: { opened: Opened; onClose: () => void }) {
  const before = draftOf(opened.agent);
  const [draft, setDraft] = useState(before);
  const [wrong, setWrong] = useState<string>();
  const { save, pending, problem } = useSave(opened, onClose);
  const errors: Errors = { ...(problem && errorsOf(problem)), ...(wrong !== undefined && { jwks: wrong }) };
  const fields = { draft, errors, change: (m: Partial<Draft>) => setDraft((old) => ({ ...old, ...m })) };
  function submit() {
    const jwks = parsed(draft.jwks);
    setWrong("error" in jwks ? jwks.error : undefined);
    if ("error" in jwks) return;
    const body: Schema["AgentPatch"] = {};
    for (const name of ["email", "agentType", "version", "owner", "deploymentEnv"] as const)
      if (draft[name] !== before[name]) Object.assign(body, { [name]: draft[name].trim() });
    if (draft.jwks !== before.jwks) body.jwks = jwks.value as Schema["AgentKeys"];
    if (draft.jwksUri !== before.jwksUri) body.jwksUri = draft.jwksUri.trim() || null;
    if (Object.keys(body).length === 0) return onClose();
    save(body);
  }
  return (
    <EditSheet title="Edit identity" problem={problem} pending={pending} onSave={submit} onClose={onClose}>
      <IdentityFields {...fields} />
      <KeyFields {...fields} />
    </EditSheet>
  );
}
