import { useEffect, useState } from "react";
import { Button } from "./controls";
import css from "./copy.module.css";
import { Icon } from "./Icon";

// download saves text as a file, without a server.
export function download(name: string, media: string, text: string | Blob) {
  const url = URL.createObjectURL(typeof text === "string" ? new Blob([text], { type: media }) : text);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }) {
  const [state, setState] = useState<"" | "Copied" | "Not allowed">("");
  useEffect(() => {
    if (state === "") return;
    const timer = setTimeout(() => setState(""), 2000);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setState("Copied"),
      () => setState("Not allowed"),
    );
  return (
    <>
      <Button small aria-label={label} onPress={() => void copy()}>
        <Icon name="copy" /> {state || "Copy"}
      </Button>
      <span role="status" className="visually-hidden">
        {state}
      </span>
    </>
  );
}

// Value is a text that people copy, whole.
export function Value({ text, name }: { text: string; name: string }) {
  return (
    <div className={css.value}>
      <code>{text}</code>
      <CopyButton text={text} label={`Copy ${name}`} />
    </div>
  );
}
