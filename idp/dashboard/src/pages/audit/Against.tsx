import { Time } from "../../components/Time";
import css from "./audit.module.css";
import type { Anchor } from "./checkpoint";

// Against says which checkpoint a result is about, and how far that was checked.
export function Against({ anchor: { checkpoint, signature, since } }: { anchor: Anchor }) {
  return (
    <ul className={css.steps}>
      <li>
        Checkpoint: the log <code>{checkpoint.origin}</code> with {checkpoint.size} events.
      </li>
      <li>
        {"by" in signature ? (
          <>
            Signature: Ed25519, good under the log’s key <code className={css.long}>{signature.by}</code>.
          </>
        ) : (
          <strong>Signature: not checked, {signature.unchecked}.</strong>
        )}
      </li>
      <li>
        {since ? (
          <>
            Since: it extends the checkpoint of {since.size} events that this browser saw at <Time at={since.at} />, so
            nothing of those was changed.
          </>
        ) : (
          "Since: this is the first checkpoint that this browser sees; it is remembered for the next check."
        )}
      </li>
    </ul>
  );
}
