import { useState } from "react";
import type { Schema } from "../../api/client";
import { count } from "../../components/charts";
import { Chips, Panel } from "../../components/layout";
import css from "./agents.module.css";
import { CapabilityField } from "./CapabilityField";
import { errorsOf, wrongCapabilities } from "./draft";
import { Edit, EditSheet, type Opened, useSave } from "./Identity";
import { useLiveTokens } from "./liveTokens";

export function Capabilities({ agent, edit }: { agent: Schema["Agent"]; edit: boolean }) {
  const [opened, setOpened] = useState<Opened>();
  return (
    <Panel
      title={`Capabilities (${count.format(agent.capabilities.length)})`}
      note={edit && <Edit agentId={agent.agentId} what="capabilities" onOpen={setOpened} />}
    >
      <Chips items={agent.capabilities} none="None: this agent can read itself and nothing else." />
      {opened && <CapabilitiesSheet opened={opened} onClose={() => setOpened(undefined)} />}
    </Panel>
  );
}

function CapabilitiesSheet({ opened, onClose }: { opened: Opened; onClose: () => void }) {
  const before = opened.agent.capabilities;
  const [value, setValue] = useState(before);
  const { save, pending, problem, sent } = useSave(opened, onClose);
  const tokens = useLiveTokens("agent", opened.agent.agentId);
  const gone = before.filter((c) => !value.includes(c));
  const fresh = value.filter((c) => !before.includes(c));
  return (
    <EditSheet
      title="Edit capabilities"
      problem={problem}
      pending={pending}
      onSave={() => (gone.length + fresh.length > 0 ? save({ capabilities: value }) : onClose())}
      onClose={onClose}
    >
      <CapabilityField
        value={value}
        onChange={setValue}
        error={problem && errorsOf(problem, sent?.capabilities).capabilities}
        wrong={wrongCapabilities(problem, sent?.capabilities)}
      />
      <p role="status" className={css.hint}>
        {gone.length > 0
          ? `Without ${gone.join(", ")}: all its live tokens${tokens === undefined ? "" : ` (${tokens})`} die within a second.`
          : fresh.length > 0
            ? "What is added counts for tokens that are issued from now on."
            : "What is added counts for new tokens; what is removed kills the live ones."}
      </p>
    </EditSheet>
  );
}
