import { useQueries, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { Search } from "../../components/controls";
import { columnsOf, DataTable } from "../../components/DataTable";
import { Panel } from "../../components/layout";
import { Await, Empty } from "../../components/states";
import { Time } from "../../components/Time";
import {
  allowedQuery,
  deniedQuery,
  type Operation,
  operationsQuery,
  type SeenRoute,
  sample,
  seenRoutes,
} from "./operations";
import css from "./policies.module.css";

const route = getRouteApi("/policies");

function Request({ method, path }: { method: string; path: string }) {
  return (
    <code>
      <span className="muted">{method}</span> {path}
    </code>
  );
}

const seen = columnsOf<SeenRoute>();
const seenColumns = seen.columns([
  seen.accessor("id", {
    header: "Route",
    cell: ({ row: { original: r } }) => <Request method={r.method} path={r.id} />,
  }),
  seen.accessor("capability", { header: "Capability", cell: (c) => <code>{c.getValue()}</code> }),
  seen.accessor("allowed", { header: "Allowed", meta: { number: true, minor: true } }),
  seen.accessor("denied", { header: "Denied", meta: { number: true, minor: true } }),
  seen.accessor("at", { header: "Latest", meta: { minor: true }, cell: (c) => <Time at={c.getValue()} as="ago" /> }),
]);

// SeenRoutes is the routes of the sidecars as far as the IdP knows them: from decisions.
export function SeenRoutes() {
  const [allowed, denied] = useQueries({ queries: [allowedQuery, deniedQuery] });
  return (
    <Panel
      title="Routes behind sidecars"
      flush
      note={`seen in the latest ${sample} decisions of each kind; the route files stay with the sidecars`}
    >
      <Await query={allowed}>
        {(yes) => (
          <Await query={denied}>
            {(no) => (
              <DataTable
                label="Routes behind sidecars"
                columns={seenColumns}
                rows={seenRoutes([...yes.data, ...no.data])}
                rowId={(r) => `${r.method} ${r.id} ${r.capability}`}
                empty={<Empty title="No sidecar has decided anything yet" />}
              />
            )}
          </Await>
        )}
      </Await>
    </Panel>
  );
}

const operation = columnsOf<Operation>();
const operationColumns = operation.columns([
  operation.accessor("path", {
    header: "Request",
    cell: ({ row: { original: o } }) => <Request method={o.method} path={o.path} />,
  }),
  operation.accessor("capability", { header: "Capability", cell: (c) => <code>{c.getValue()}</code> }),
  operation.accessor("id", { header: "Operation", meta: { minor: true }, cell: (c) => <code>{c.getValue()}</code> }),
]);

// Operations is what the management API demands, operation by operation.
export function Operations() {
  const { q } = route.useSearch();
  const navigate = route.useNavigate();
  const operations = useQuery(operationsQuery);
  const wanted = q?.toLowerCase() ?? "";
  const fits = (o: Operation) => [o.path, o.method, o.capability, o.id].some((t) => t.toLowerCase().includes(wanted));
  return (
    <Panel title="Routes of the management API" flush note={operations.data && `${operations.data.length} in all`}>
      <div className={css.search}>
        <Search
          label="Search"
          placeholder="path, method or capability"
          value={q ?? ""}
          onChange={(t) =>
            void navigate({
              search: (old) => ({ ...old, q: t || undefined }) as typeof old,
              replace: true,
              resetScroll: false,
            })
          }
        />
      </div>
      <Await query={operations} lines={8}>
        {(all) => (
          <div className={css.tall}>
            <DataTable
              label="Routes of the management API"
              columns={operationColumns}
              rows={all.filter(fits)}
              rowId={(o) => o.id}
              empty={<Empty title="No operation fits" />}
            />
          </div>
        )}
      </Await>
    </Panel>
  );
}
