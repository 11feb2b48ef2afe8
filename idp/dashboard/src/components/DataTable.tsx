import {
  type ColumnDef,
  createColumnHelper,
  createSortedRowModel,
  rowSortingFeature,
  type SortingState,
  sortFn_basic,
  sortFn_text,
  tableFeatures,
  useTable,
} from "@tanstack/react-table";
import { type ReactNode, useMemo } from "react";
import { Button } from "./controls";
import css from "./DataTable.module.css";
import { Icon } from "./Icon";
import { Empty } from "./states";

// What a column may say about its looks.
type Look = {
  minor?: boolean; // not shown on narrow screens
  number?: boolean; // to the right
  wrap?: boolean; // may take several lines
};

const features = tableFeatures({
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
  sortFns: { basic: sortFn_basic, text: sortFn_text },
  columnMeta: {} as Look,
});

// biome-ignore lint/suspicious/noExplicitAny: a table's columns have values of many types
export type Columns<T extends object> = ColumnDef<typeof features, T, any>[];

// columnsOf starts the columns of a table: at module scope, for they must be stable.
export const columnsOf = <T extends object>() => createColumnHelper<typeof features, T>();

// Sort is how a table is sorted, as it stands in the URL: "email" or "-email".
export type Sort = string | undefined;

type Props<T extends object> = {
  label: string; // for screen readers
  columns: Columns<T>;
  rows: readonly T[];
  rowId: (row: T) => string;
  sort?: Sort;
  onSort?: (sort: Sort) => void; // absent: the order is the API's
  empty?: ReactNode;
};

// DataTable shows rows, and sorts those that are there. Links and buttons in its
// cells are its only controls: a row itself does nothing.
export function DataTable<T extends object>({ label, columns, rows, rowId, sort, onSort, empty }: Props<T>) {
  const sorting = useMemo<SortingState>(
    () => (sort ? [{ id: sort.replace(/^-/, ""), desc: sort.startsWith("-") }] : []),
    [sort],
  );
  const table = useTable({
    features,
    columns,
    data: rows as T[],
    getRowId: rowId,
    state: { sorting },
    enableSorting: onSort !== undefined,
    sortDescFirst: false,
    onSortingChange: (change) => {
      const [next] = typeof change === "function" ? change(sorting) : change;
      onSort?.(next && (next.desc ? `-${next.id}` : next.id));
    },
  });
  if (rows.length === 0) return empty ?? <Empty title="Nothing here" />;
  return (
    // A region that scrolls must be reachable by keyboard.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: WCAG 2.1.1
    <section className={css.scroll} aria-label={`${label}, table`} tabIndex={0}>
      <table className={css.table}>
        <caption className="visually-hidden">{label}</caption>
        <thead>
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id}>
              {group.headers.map((header) => {
                const sorted = header.column.getIsSorted();
                return (
                  <th
                    key={header.id}
                    scope="col"
                    className={looks(header.column.columnDef.meta)}
                    aria-sort={sorted === "asc" ? "ascending" : sorted === "desc" ? "descending" : undefined}
                  >
                    {header.column.getCanSort() ? (
                      <button
                        type="button"
                        className={`${css.sort} ${sorted ? css.sorted : ""}`}
                        onClick={header.column.getToggleSortingHandler()}
                      >
                        <table.FlexRender header={header} />
                        <Icon name={sorted === "desc" ? "down" : "up"} />
                      </button>
                    ) : (
                      <table.FlexRender header={header} />
                    )}
                  </th>
                );
              })}
            </tr>
          ))}
        </thead>
        <tbody>
          {table.getRowModel().rows.map((row) => (
            <tr key={row.id}>
              {row.getAllCells().map((cell) => (
                <td key={cell.id} className={looks(cell.column.columnDef.meta)}>
                  <table.FlexRender cell={cell} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function looks(look: Look | undefined): string {
  return [look?.minor && css.minor, look?.number && css.number, look?.wrap && css.wrap].filter(Boolean).join(" ");
}

type PagesProps = { page: number; limit: number; total: number; onPage: (page: number) => void };

// Pages is for lists that are counted.
export function Pages({ page, limit, total, onPage }: PagesProps) {
  const last = Math.max(1, Math.ceil(total / limit));
  const from = Math.min(total, (page - 1) * limit + 1);
  return (
    <nav className={css.pager} aria-label="pages">
      <span>
        {from}–{Math.min(total, page * limit)} of {total}
      </span>
      <div>
        <Button small isDisabled={page <= 1} onPress={() => onPage(page - 1)}>
          Previous
        </Button>
        <Button small isDisabled={page >= last} onPress={() => onPage(page + 1)}>
          Next
        </Button>
      </div>
    </nav>
  );
}

type CursorProps = {
  trail: string[]; // the cursors that led here, as they stand in the URL; empty: the first page
  next: string | undefined; // nextCursor of this page
  onTrail: (trail: string[]) => void;
  children?: ReactNode; // what is shown, in words
};

// CursorPages is for lists that are not counted: the way back is the way that was come.
export function CursorPages({ trail, next, onTrail, children }: CursorProps) {
  return (
    <nav className={css.pager} aria-label="pages">
      <span>{children}</span>
      <div>
        <Button small isDisabled={trail.length === 0} onPress={() => onTrail([])}>
          First
        </Button>
        <Button small isDisabled={trail.length === 0} onPress={() => onTrail(trail.slice(0, -1))}>
          Previous
        </Button>
        <Button small isDisabled={next === undefined} onPress={() => next !== undefined && onTrail([...trail, next])}>
          Next
        </Button>
      </div>
    </nav>
  );
}
