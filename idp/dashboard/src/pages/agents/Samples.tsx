import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Tab, TabList, TabPanel, Tabs } from "react-aria-components";
import type { Schema } from "../../api/client";
import { auditQuery } from "../../api/queries";
import { apiBase } from "../../base";
import { Field } from "../../components/controls";
import { CopyButton } from "../../components/copy";
import { useCan } from "../../session/useSession";
import css from "./agents.module.css";
import { callSample, goSample, pathFor, type Target, tokenSample, usualApi } from "./snippets";

export type Aim = { target: Target; aim: (members: Partial<Target>) => void };

// useTarget is the API to try: what the last token was for, until the reader says another.
export function useTarget(agent: Pick<Schema["Agent"], "capabilities">): Aim {
  const may = useCan("audit:read");
  const issued = useQuery({ ...auditQuery({ action: "token.issued", limit: 20 }), enabled: may });
  const [chosen, setChosen] = useState<Partial<Target>>({});
  const known = (issued.data?.data ?? [])
    .flatMap((e): unknown[] => [e.metadata?.aud].flat())
    .find((aud): aud is string => typeof aud === "string" && /^https?:/.test(aud) && aud !== apiBase);
  return {
    target: { api: known ?? usualApi, path: pathFor(agent.capabilities), ...chosen },
    aim: (members) => setChosen((old) => ({ ...old, ...members })),
  };
}

export function TargetFields({ target, aim }: Aim) {
  return (
    <div className={css.fields}>
      <Field
        label="The API"
        hint="its audience, where its sidecar listens"
        value={target.api}
        onChange={(api) => aim({ api })}
        mono
      />
      <Field
        label="Path to call"
        hint="one that the sidecar's routes name"
        value={target.path}
        onChange={(path) => aim({ path })}
        mono
      />
    </div>
  );
}

export function Sample({ name, text }: { name: string; text: string }) {
  return (
    <section className={css.sample} aria-label={name}>
      <div className={css.sampleHead}>
        <span>{name}</span>
        <CopyButton text={text} label={`Copy ${name}`} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls (WCAG 2.1.1) */}
      <pre tabIndex={0}>{text}</pre>
    </section>
  );
}

type UseProps = Aim & { clientId: string; secret?: string };

// UseSamples is a credential at work: from a shell, and from a program.
export function UseSamples({ clientId, secret, target, aim }: UseProps) {
  return (
    <div className={css.stacked}>
      <TargetFields target={target} aim={aim} />
      <Tabs className={css.tabs ?? ""}>
        <TabList aria-label="ways to use the credential" className={css.tabList ?? ""}>
          <Tab id="curl" className={css.tab ?? ""}>
            Shell
          </Tab>
          <Tab id="go" className={css.tab ?? ""}>
            Go SDK
          </Tab>
        </TabList>
        <TabPanel id="curl" className={css.panel ?? ""}>
          <Sample name="Get a token" text={tokenSample(apiBase, clientId, secret, target.api)} />
          <Sample name="Call the API through its sidecar" text={callSample(target)} />
        </TabPanel>
        <TabPanel id="go" className={css.panel ?? ""}>
          <Sample name="Call the API from Go" text={goSample(apiBase, clientId, target)} />
        </TabPanel>
      </Tabs>
    </div>
  );
}
