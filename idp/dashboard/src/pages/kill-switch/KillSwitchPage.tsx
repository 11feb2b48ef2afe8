import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { revocationsQuery } from "../../api/revocations";
import { Grid, Page, Panel } from "../../components/layout";
import { Options } from "../../components/picks";
import { Loading, ProblemCard } from "../../components/states";
import { InForce } from "./InForce";
import css from "./killswitch.module.css";
import { Picker } from "./Pickers";
import { Strike } from "./Strike";
import { type Aim, useTarget } from "./useTarget";
import { type Cut, Watch } from "./Watch";
import type { Kind } from "./words";

const route = getRouteApi("/kill-switch");

const choices: { id: Kind; name: string }[] = [
  { id: "agent", name: "Agent" },
  { id: "credential", name: "Credential" },
  { id: "organization", name: "Organization" },
  { id: "token", name: "Token" },
  { id: "key", name: "Key" },
];

export function KillSwitchPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const [cut, setCut] = useState<Cut>();
  const aim: Aim = { what: "agent", ...search };
  const { target, loading, error, missing } = useTarget(aim);
  useQuery(revocationsQuery); // where the feed is before a cut
  const onAim = (next: Aim) => navigate({ search: next, replace: true });
  return (
    <Page
      title="Kill switch"
      about="Cuts off what must not go on. A cut holds here at once, and at each sidecar as soon as it has read the revocation feed."
    >
      <Grid>
        {cut && <Watch key={cut.at} cut={cut} onClose={() => setCut(undefined)} />}
        <Panel title="Cut off">
          <div className={css.form}>
            <Options
              label="What"
              compact
              value={aim.what ?? "agent"}
              options={choices}
              onChange={(what) => void onAim({ what })}
            />
            <div className={css.pick}>
              <Picker key={cut?.at} aim={aim} onAim={(next) => void onAim(next)} />
            </div>
            {error !== undefined && <ProblemCard error={error} />}
            {missing && <p role="alert">There is no such {aim.what}, or it is gone already.</p>}
            {loading && <Loading lines={4} />}
            {target && (
              <Strike
                key={`${aim.what} ${aim.id}`}
                target={target}
                onCut={(made) => void onAim({ what: target.kind }).then(() => setCut(made))}
              />
            )}
          </div>
        </Panel>
        <InForce />
      </Grid>
    </Page>
  );
}
