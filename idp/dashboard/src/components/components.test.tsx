import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { Problem, problemOf } from "../api/problem";
import { CursorPages, columnsOf, DataTable } from "./DataTable";
import { Confirm, SecretOnce } from "./dialogs";
import { Json } from "./Json";
import { oneOf, pageNumber, present, text, texts } from "./search";
import { ProblemCard } from "./states";
import { ago, Time } from "./Time";

const evil = `<img src=x onerror="window.ran=1">`;

test("a confirmation waits for the phrase, shows what went wrong, and closes when it is done", async () => {
  const user = userEvent.setup();
  const onClose = vi.fn();
  const onConfirm = vi
    .fn()
    .mockRejectedValueOnce(new Problem({ status: 409, code: "LAST_ADMINISTRATOR", message: "no" }))
    .mockResolvedValueOnce(undefined);
  render(
    <Confirm
      title="Decommission"
      consequences={<p>All its tokens die.</p>}
      phrase="a@b.c"
      action="Decommission"
      onConfirm={onConfirm}
      onClose={onClose}
    />,
  );
  const dialog = screen.getByRole("alertdialog", { name: "Decommission" });
  const button = within(dialog).getByRole("button", { name: "Decommission" });
  expect(button).toHaveProperty("disabled", true);
  await user.keyboard("a@b.d{Enter}");
  expect(onConfirm).not.toHaveBeenCalled();
  await user.keyboard("{Backspace}c{Enter}");
  await screen.findByText("LAST_ADMINISTRATOR");
  expect(onClose).not.toHaveBeenCalled();
  await user.click(button);
  await waitFor(() => expect(onClose).toHaveBeenCalledOnce());
});

test("a reason goes with what is confirmed; what the API would refuse does not leave", async () => {
  const user = userEvent.setup();
  const onConfirm = vi.fn().mockResolvedValue(undefined);
  render(<Confirm title="Revoke" consequences="" reason="" action="Revoke" onConfirm={onConfirm} onClose={() => {}} />);
  const field = screen.getByRole("textbox", { name: "Reason (optional)" });
  await user.type(field, "fällt");
  screen.getByText(/printable ASCII/);
  expect(screen.getByRole("button", { name: "Revoke" })).toHaveProperty("disabled", true);
  await user.clear(field);
  await user.type(field, " leaked {Enter}");
  await waitFor(() => expect(onConfirm).toHaveBeenCalledWith("leaked"));
});

test("a secret is shown until its reader has it", async () => {
  const user = userEvent.setup();
  const onClose = vi.fn();
  render(<SecretOnce title="New credential" clientId="aidp_c_1" clientSecret="aidp_sk_2" onClose={onClose} />);
  await user.keyboard("{Escape}");
  expect(onClose).not.toHaveBeenCalled();
  screen.getByText("aidp_sk_2");
  await user.click(screen.getByRole("button", { name: "Copy client secret" }));
  expect(await navigator.clipboard.readText()).toBe("aidp_sk_2");
  await user.click(screen.getByRole("checkbox"));
  await user.click(screen.getByRole("button", { name: "Done" }));
  expect(onClose).toHaveBeenCalledOnce();
});

type Row = { id: string; n: number };
const column = columnsOf<Row>();
const columns = column.columns([column.accessor("id", { header: "Id" }), column.accessor("n", { header: "Number" })]);
const rows = [
  { id: "b", n: 2 },
  { id: "a", n: 10 },
  { id: evil, n: 1 },
];
const first = () => screen.getAllByRole("row")[1]?.textContent;

test("a table sorts as the URL says, and says how its headers would", async () => {
  const user = userEvent.setup();
  const onSort = vi.fn();
  const table = (sort?: string) => (
    <DataTable label="Rows" columns={columns} rows={rows} rowId={(r) => r.id} sort={sort} onSort={onSort} />
  );
  const { rerender } = render(table());
  expect(first()).toBe("b2");
  await user.click(screen.getByRole("button", { name: "Number" }));
  expect(onSort).toHaveBeenLastCalledWith("n");
  rerender(table("n"));
  expect(first()).toBe(`${evil}1`);
  expect(screen.getByRole("columnheader", { name: "Number" }).getAttribute("aria-sort")).toBe("ascending");
  await user.click(screen.getByRole("button", { name: "Number" }));
  expect(onSort).toHaveBeenLastCalledWith("-n");
  rerender(table("-n"));
  expect(first()).toBe("a10");
  expect(document.querySelector("img")).toBeNull();
});

test("cursor pages go on and come back the way they went", async () => {
  const user = userEvent.setup();
  const onTrail = vi.fn();
  render(<CursorPages trail={["c1", "c2"]} next="c3" onTrail={onTrail} />);
  await user.click(screen.getByRole("button", { name: "Next" }));
  expect(onTrail).toHaveBeenLastCalledWith(["c1", "c2", "c3"]);
  await user.click(screen.getByRole("button", { name: "Previous" }));
  expect(onTrail).toHaveBeenLastCalledWith(["c1"]);
  await user.click(screen.getByRole("button", { name: "First" }));
  expect(onTrail).toHaveBeenLastCalledWith([]);
});

test("a problem shows code, message, fields and the request's id, as text", () => {
  const headers = new Headers({ "X-Request-Id": "req-7", "Retry-After": "3" });
  const body = {
    code: "VALIDATION_FAILED",
    message: evil,
    details: { fields: [{ field: "email", rule: "must be an address" }] },
  };
  const problem = problemOf(new Response(null, { status: 400, headers }), body);
  expect(problem.retryAfter).toBe(3);
  render(<ProblemCard error={problem} />);
  for (const shown of ["VALIDATION_FAILED", "req-7", "email", evil]) screen.getByText(shown);
  expect(document.querySelector("img")).toBeNull();
});

test("answers that are no refusal of the API are told apart", () => {
  expect(
    problemOf(new Response(null, { status: 401 }), { error: "invalid_client", error_description: "no" }),
  ).toMatchObject({ code: "invalid_client", message: "no" });
  const challenge = { "WWW-Authenticate": 'Bearer realm="agentidp", error="insufficient_scope", scope="audit:read"' };
  const lacking = new Response(null, { status: 403, headers: challenge });
  const { unmount } = render(<ProblemCard error={problemOf(lacking, { code: "FORBIDDEN", message: "no" })} />);
  screen.getByText("audit:read");
  unmount();
  expect(problemOf(new Response(null, { status: 502 }), undefined)).toMatchObject({ code: "HTTP_502", passing: true });
});

test("JSON is text, whatever it holds", () => {
  const value = { [evil]: [evil, 1, true, null, '"'] };
  render(<Json value={value} label="metadata" />);
  expect(screen.getByRole("region", { name: "metadata" }).querySelector("pre")?.textContent).toBe(
    JSON.stringify(value, null, 2),
  );
  expect(document.querySelector("img")).toBeNull();
});

test("times are local, in UTC on hover", () => {
  render(<Time at="2026-07-01T12:00:00.000Z" />);
  expect(screen.getByRole("time").getAttribute("title")).toBe("2026-07-01T12:00:00.000Z (UTC)");
});

test.each([
  [-0.4, /^now$/],
  [-59.4, /^59 sec/],
  [-59.6, /^1 min/],
  [-119, /^2 min/],
  [3599, /^in 1 hr/],
  [47.4 * 3600, /^in 47 hr/],
  [47.6 * 3600, /^in 2 days$/],
  [29.4 * 86_400, /^in 29 days$/],
  [30 * 86_400 - 1, /^in 30 days$/],
  [-30 * 86_400, /^30 days ago$/],
])("%d seconds from now are %s", (seconds, words) => {
  const now = Date.parse("2026-07-01T12:00:00.000Z");
  expect(ago(new Date(now + seconds * 1000).toISOString(), now)).toMatch(words);
});

test("what does not fit in the URL is as if it were not there", () => {
  const raw = { owner: 7, status: "gone", page: -1, trail: ["a", 1], sort: "" };
  expect(
    present({
      owner: text(raw, "owner"),
      sort: text(raw, "sort"),
      status: oneOf(raw, "status", ["active"]),
      page: pageNumber(raw),
      trail: texts(raw, "trail"),
    }),
  ).toEqual({ owner: "7" });
});
