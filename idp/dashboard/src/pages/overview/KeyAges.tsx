import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schema } from "../../api/client";
import { keysQuery } from "../../api/queries";
import { Badge, Facts, Panel } from "../../components/layout";
import { Await } from "../../components/states";
import { Time } from "../../components/Time";

export function KeyAges() {
  const keys = useQuery(keysQuery);
  return (
    <Panel title="Signing keys" width="half" note={<Link to="/keys">All keys</Link>}>
      <Await query={keys}>
        {({ data }) => (
          <Facts
            facts={data.map((k) => [
              `${k.kid.slice(0, 10)}…`,
              <>
                <Badge>{k.status}</Badge> <span className="muted">{ageOf(k)}</span>
              </>,
            ])}
          />
        )}
      </Await>
    </Panel>
  );
}

function ageOf(k: Schema["Key"]) {
  const at = (word: string, time: string | undefined) => (
    <>
      {word} <Time at={time} as="ago" />
    </>
  );
  switch (k.status) {
    case "next":
      return at("signs", k.activateAt);
    case "active":
      return (
        <>
          {at("signs since", k.activatedAt)}
          {k.rotateAt && <>, {at("rotates", k.rotateAt)}</>}
        </>
      );
    case "retired":
      return (
        <>
          {at("retired", k.retiredAt)}
          {k.leavesAt && <>, {at("leaves", k.leavesAt)}</>}
        </>
      );
  }
}
