import { useState } from "react";
import { Button } from "../../components/controls";
import { Time } from "../../components/Time";
import { forget, recall } from "./memory";

// Forget offers to drop what this browser remembers of the log. A new installation at
// the same address, or a restored backup, contradicts it without any fraud.
export function Forget({ onForgotten }: { onForgotten: () => void }) {
  const [memory] = useState(recall);
  if (!memory) return null;
  return (
    <>
      <p>
        Was the IdP set up anew or its store restored since <Time at={memory.at} />? Then what this browser remembers is
        of the earlier log.
      </p>
      <div>
        <Button
          small
          onPress={() => {
            forget();
            onForgotten();
          }}
        >
          Forget the earlier log
        </Button>
      </div>
    </>
  );
}
