import { Label, ProgressBar } from "react-aria-components";
import css from "./audit.module.css";

type Props = { label: string; done?: number; size?: number; text?: string };

// Progress is how far something is, or, without a size, that it goes on.
export function Progress({ label, done = 0, size, text }: Props) {
  const known = size !== undefined && size > 0;
  return (
    <ProgressBar
      className={css.progress ?? ""}
      isIndeterminate={!known}
      maxValue={known ? size : 1}
      value={known ? done : 0}
      {...(text !== undefined && { valueLabel: text })}
    >
      {({ percentage }) => (
        <>
          <div className={css.progressHead}>
            <Label>{label}</Label>
            <span className="muted">{text}</span>
          </div>
          <div className={css.track}>
            <div
              className={`${css.fill} ${known ? "" : css.going}`}
              style={{ width: known ? `${percentage ?? 0}%` : "30%" }}
            />
          </div>
        </>
      )}
    </ProgressBar>
  );
}
