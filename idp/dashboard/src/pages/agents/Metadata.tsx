import { useState } from "react";
import type { Schema } from "../../api/client";
import { Json } from "../../components/Json";
import { Panel } from "../../components/layout";
import { MetadataField } from "./AgentFields";
import { draftOf, errorsOf, parsed } from "./draft";
import { Edit, EditSheet, type Opened, useSave } from "./Identity";

export function Metadata({ agent, edit }: { agent: Schema["Agent"]; edit: boolean }) {
  const [opened, setOpened] = useState<Opened>();
  return (
    <Panel title="Metadata" note={edit && <Edit agentId={agent.agentId} what="metadata" onOpen={setOpened} />}>
      {agent.metadata ? <Json value={agent.metadata} label="metadata" /> : <p className="muted">No metadata</p>}
      {opened && <MetadataSheet opened={opened} onClose={() => setOpened(undefined)} />}
    </Panel>
  );
}

function MetadataSheet({ opened, onClose }: { opened: Opened; onClose: () => void }) {
  const [draft, setDraft] = useState(draftOf(opened.agent));
  const [wrong, setWrong] = useState<string>();
  const { save, pending, problem } = useSave(opened, onClose);
  function submit() {
    const metadata = parsed(draft.metadata);
    setWrong("error" in metadata ? metadata.error : undefined);
    if ("value" in metadata) save({ metadata: metadata.value });
  }
  return (
    <EditSheet title="Edit metadata" problem={problem} pending={pending} onSave={submit} onClose={onClose}>
      <MetadataField
        draft={draft}
        errors={{ ...(problem && errorsOf(problem)), ...(wrong !== undefined && { metadata: wrong }) }}
        change={(members) => {
          setWrong(undefined);
          setDraft((old) => ({ ...old, ...members }));
        }}
      />
    </EditSheet>
  );
}
