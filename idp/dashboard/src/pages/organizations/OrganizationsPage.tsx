import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Schema } from "../../api/client";
import { organizationsQuery } from "../../api/queries";
import { Button } from "../../components/controls";
import { columnsOf, DataTable, Pages } from "../../components/DataTable";
import { Badge, Page, Panel } from "../../components/layout";
import { Await, Empty } from "../../components/states";
import { Time } from "../../components/Time";
import { useCan, useIdentity } from "../../session/useSession";
import { CreateOrganization } from "./CreateOrganization";
import { ageOf } from "./words";

const route = getRouteApi("/organizations");
const limit = 20;

const column = columnsOf<Schema["Organization"]>();
const columns = column.columns([
  column.accessor("name", {
    header: "Name",
    cell: ({ row: { original: o } }) => (
      <Link to="/organizations/$organizationId" params={{ organizationId: o.organizationId }}>
        {o.name}
      </Link>
    ),
  }),
  column.accessor("organizationId", { header: "Id", cell: (c) => <code>{c.getValue()}</code> }),
  column.accessor("plan", { header: "Plan", cell: (c) => <Badge tone="neutral">{c.getValue()}</Badge> }),
  column.accessor("maxCredentialAge", {
    header: "Age of secrets",
    meta: { minor: true },
    cell: (c) => ageOf(c.getValue()),
  }),
  column.accessor("createdAt", {
    header: "Created",
    meta: { minor: true },
    cell: (c) => <Time at={c.getValue()} />,
  }),
]);

export function OrganizationsPage() {
  const { page = 1 } = route.useSearch();
  const navigate = route.useNavigate();
  const { organizationId } = useIdentity();
  const organizations = useQuery(organizationsQuery(page, limit));
  const may = useCan("organizations:write");
  const [creating, setCreating] = useState(false);
  return (
    <Page
      title="Organizations"
      about="Each has its own agents, credentials, audit log and limits, and sees nothing of another."
      actions={
        may && (
          <Button tone="primary" onPress={() => setCreating(true)}>
            New organization
          </Button>
        )
      }
    >
      <Panel title="All organizations" flush note={organizations.data && `${organizations.data.total} in all`}>
        <Await query={organizations} lines={6}>
          {(list) => (
            <>
              <DataTable
                label="Organizations"
                columns={columns}
                rows={list.data}
                rowId={(o) => o.organizationId}
                empty={<Empty title="No organization on this page" />}
              />
              {list.total > limit && (
                <Pages
                  page={page}
                  limit={limit}
                  total={list.total}
                  onPage={(next) => void navigate({ search: next > 1 ? { page: next } : {} })}
                />
              )}
            </>
          )}
        </Await>
        {organizations.isError && (
          <p role="note">
            You may look at your own:{" "}
            <Link to="/organizations/$organizationId" params={{ organizationId }}>
              {organizationId}
            </Link>
          </p>
        )}
      </Panel>
      {creating && <CreateOrganization onClose={() => setCreating(false)} />}
    </Page>
  );
}
