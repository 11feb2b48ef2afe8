import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Schema } from "../../api/client";
import { organizationQuery } from "../../api/queries";
import { Button } from "../../components/controls";
import { Badge, Facts, Grid, Page, Panel } from "../../components/layout";
import { Await } from "../../components/states";
import { Time } from "../../components/Time";
import { useCan } from "../../session/useSession";
import { EditOrganization } from "./EditOrganization";
import { OrganizationUsage } from "./OrganizationUsage";
import { ageOf, planOf } from "./words";

const route = getRouteApi("/organizations/$organizationId");

export function OrganizationPage() {
  const { organizationId } = route.useParams();
  const query = useQuery(organizationQuery(organizationId));
  const may = useCan("organizations:write");
  const [editing, setEditing] = useState(false);
  const found = query.data;
  return (
    <Page
      title={found?.organization.name ?? "Organization"}
      about={<Link to="/organizations">All organizations</Link>}
      actions={
        found && (
          <>
            {may && <Button onPress={() => setEditing(true)}>Change…</Button>}
            <Link to="/kill-switch" search={{ what: "organization", id: organizationId }}>
              Kill its live tokens…
            </Link>
          </>
        )
      }
    >
      <Await query={query} lines={8}>
        {({ organization: o, etag }) => (
          <>
            <Grid>
              <Plan organization={o} />
              <OrganizationUsage organization={o} />
            </Grid>
            {editing && <EditOrganization organization={o} etag={etag} onClose={() => setEditing(false)} />}
          </>
        )}
      </Await>
    </Page>
  );
}

function Plan({ organization: o }: { organization: Schema["Organization"] }) {
  return (
    <Panel title="Plan and limits" width="half">
      <Facts
        facts={[
          ["Id", <code key="i">{o.organizationId}</code>],
          [
            "Plan",
            <>
              <Badge tone="neutral">{o.plan}</Badge> <span className="muted">{planOf[o.plan].split(": ")[1]}</span>
            </>,
          ],
          ["Age of secrets", ageOf(o.maxCredentialAge)],
          ["Created", <Time key="c" at={o.createdAt} />],
          ["Changed", <Time key="u" at={o.updatedAt} />],
        ]}
      />
    </Panel>
  );
}
