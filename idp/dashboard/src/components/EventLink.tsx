import { Link } from "@tanstack/react-router";

// EventLink leads to an event of the audit log; its action may be broken at the dot, where a column is narrow.
export function EventLink({ eventId, action }: { eventId: string; action: string }) {
  const [noun, verb] = action.split(".");
  return (
    // Named: a place to break reads as a space.
    <Link to="/audit/$eventId" params={{ eventId }} className="mono" aria-label={action}>
      {noun}.<wbr />
      {verb}
    </Link>
  );
}
