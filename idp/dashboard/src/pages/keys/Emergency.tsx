import type { Schema } from "../../api/client";
import { keyDeed } from "../kill-switch/deeds";
import { Ask } from "../kill-switch/Strike";
import type { Cut } from "../kill-switch/Watch";

type Props = { active: Schema["Key"]; onCut: (cut: Cut) => void; onClose: () => void };

// Emergency is the rotation after a key has leaked: it revokes the key that signs.
// It names that key, so that a repetition cannot kill the one in its place.
export function Emergency({ active, onCut, onClose }: Props) {
  const target = { kind: "key", key: active } as const;
  const deed = { ...keyDeed(target), name: "Emergency rotation" };
  return <Ask target={target} deed={deed} reason="emergency rotation" onCut={onCut} onClose={onClose} />;
}
