import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { Schema } from "../../api/client";
import { agentsQuery } from "../../api/queries";
import { Button, Choice, FilterText, Search } from "../../components/controls";
import { columnsOf, DataTable, Pages } from "../../components/DataTable";
import { Email } from "../../components/Email";
import { Icon } from "../../components/Icon";
import { Badge, Chips, Filters, Page, Panel } from "../../components/layout";
import { Await, Empty } from "../../components/states";
import { Time } from "../../components/Time";
import { searched, useSettled } from "../../components/useSettled";
import { useCan } from "../../session/useSession";
import css from "./agents.module.css";
import { agentTypes, environments, sorts, statuses } from "./words";

const route = getRouteApi("/agents");
const limit = 50;
const shownCapabilities = 1;

type Agent = Schema["Agent"];

const column = columnsOf<Agent>();
const columns = column.columns([
  column.accessor("email", {
    header: "Email, owner",
    cell: ({ row: { original: a } }) => (
      <>
        <div className={css.clip} title={a.email}>
          <Link to="/agents/$agentId" params={{ agentId: a.agentId }}>
            <Email of={a.email} />
          </Link>
        </div>
        <div className={`${css.clip} muted`} title={a.owner}>
          {a.owner}
        </div>
      </>
    ),
  }),
  column.accessor("status", {
    enableSorting: false,
    header: "Status",
    cell: ({ row: { original: a } }) => (
      <>
        <Badge>{a.status}</Badge>
        <div className={`${css.narrow} muted`}>
          {a.lastAuthAt ? (
            <>
              token <Time at={a.lastAuthAt} as="ago" />
            </>
          ) : (
            "no token yet"
          )}
        </div>
      </>
    ),
  }),
  column.accessor("agentType", {
    enableSorting: false,
    header: "Type",
    meta: { minor: true },
    cell: ({ row: { original: a } }) => (
      <>
        {a.agentType}
        <div className="muted">{a.deploymentEnv}</div>
      </>
    ),
  }),
  column.accessor("capabilities", {
    header: "Capabilities",
    meta: { minor: true },
    enableSorting: false,
    cell: (c) => <Some items={c.getValue()} />,
  }),
  column.accessor("createdAt", {
    header: "Registered",
    meta: { minor: true },
    cell: (c) => <Time at={c.getValue()} as="ago" />,
  }),
  column.accessor("lastAuthAt", {
    enableSorting: false,
    header: "Last token",
    meta: { minor: true },
    cell: (c) => <Time at={c.getValue()} as="ago" />,
  }),
]);

function Some({ items }: { items: string[] }) {
  const more = items.length - shownCapabilities;
  return <Chips items={more > 0 ? [...items.slice(0, shownCapabilities), `+${more}`] : items} />;
}

export function AgentsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { q, sort, page = 1, ...filter } = search;
  const asked = useSettled(searched(q));
  const may = useCan("agents:write");
  const agents = useQuery(
    agentsQuery({ ...filter, ...(sort && { sort }), ...(asked !== undefined && { q: asked }), page, limit }),
  );
  const change = (members: Partial<typeof search>, replace = true) =>
    void navigate({ search: (old) => ({ ...old, page: undefined, ...members }) as typeof search, replace });
  const filtered = Object.keys(filter).length > 0 || q !== undefined;
  return (
    <Page
      title="Agents"
      about="Every identity that can obtain tokens. Current ones are active or suspended; choose the status to see those decommissioned."
      actions={
        may && (
          <Button tone="primary" onPress={() => void navigate({ to: "/agents/new" })}>
            <Icon name="plus" /> Register an agent
          </Button>
        )
      }
    >
      <Filters>
        <Search
          label="Search"
          hint="The beginning of an email, an owner or an id."
          value={q ?? ""}
          onChange={(t) => change({ q: t || undefined })}
        />
        <Choice
          label="Status"
          all="current"
          value={filter.status}
          options={statuses}
          onChange={(status) => change({ status })}
        />
        <Choice
          label="Environment"
          all="any"
          value={filter.deploymentEnv}
          options={environments}
          onChange={(deploymentEnv) => change({ deploymentEnv })}
        />
        <Choice
          label="Type"
          all="any"
          value={filter.agentType}
          options={agentTypes}
          onChange={(agentType) => change({ agentType })}
        />
        <FilterText label="Owner" placeholder="exactly" value={filter.owner} onCommit={(owner) => change({ owner })} />
        <FilterText
          label="Capability"
          placeholder="notes:read"
          value={filter.capability}
          onCommit={(capability) => change({ capability })}
        />
      </Filters>
      <Panel title="Agents" flush note={agents.data && note(agents.data)}>
        <Await query={agents} lines={8}>
          {(list) => (
            <>
              <DataTable
                label="Agents"
                columns={columns}
                rows={list.data}
                rowId={(a) => a.agentId}
                sort={sort}
                onSort={(s) => change({ sort: sorts.find((known) => known === s) })}
                empty={
                  <Empty title={filtered ? "No agent fits these filters" : "No agents"}>
                    {filtered && <Button onPress={() => void navigate({ search: {} })}>Clear the filters</Button>}
                  </Empty>
                }
              />
              {list.total > limit && (
                <Pages
                  page={page}
                  limit={limit}
                  total={list.total}
                  onPage={(p) => change({ page: p > 1 ? p : undefined }, false)}
                />
              )}
            </>
          )}
        </Await>
      </Panel>
    </Page>
  );
}

const note = (list: Schema["AgentList"]) =>
  list.incomplete ? `more than ${list.total} begin so: type more` : `${list.total} in all`;
