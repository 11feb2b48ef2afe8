import { useQuery } from "@tanstack/react-query";
import { sidecarsQuery } from "../../api/queries";
import { revocationsQuery, seqOf } from "../../api/revocations";
import { Tiles } from "../../components/charts";
import { Grid, Page, Panel } from "../../components/layout";
import { Await } from "../../components/states";
import { SidecarTable } from "./SidecarTable";
import { rowsOf } from "./state";

export function SidecarsPage() {
  return (
    <Page
      title="Sidecars"
      about="What guards your APIs: each reads the revocation feed and reports its decisions here."
    >
      <Grid>
        <Summary />
        <Panel title="All sidecars" flush note="those that need somebody first">
          <SidecarTable />
        </Panel>
      </Grid>
    </Page>
  );
}

function Summary() {
  const sidecars = useQuery(sidecarsQuery);
  const head = useQuery(revocationsQuery).data?.cursor;
  return (
    <Await query={sidecars} lines={4}>
      {({ data }) => {
        const rows = rowsOf(data, head);
        const connected = rows.filter((r) => r.connected);
        return (
          <Tiles
            tiles={[
              { name: "Connected", value: connected.length, note: "seen within 5 minutes" },
              {
                name: "Away",
                value: rows.length - connected.length,
                note: "they refuse everything once their copy of the feed is too old",
              },
              {
                name: "Behind the feed",
                value: connected.filter((r) => (r.behind ?? 0) > 0).length,
                note: head ? `the feed is at ${seqOf(head)}` : "the feed is not known",
              },
              {
                name: "Policies in use",
                value: new Set(connected.map((r) => r.policyRevision).filter(Boolean)).size,
                note: "more than one: a rollout goes on, or one is stuck",
              },
            ]}
          />
        );
      }}
    </Await>
  );
}
