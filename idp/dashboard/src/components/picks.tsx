import { Label, Radio, RadioGroup } from "react-aria-components";
import controls from "./controls.module.css";
import css from "./picks.module.css";

type OptionsProps<K extends string> = {
  label: string;
  value: K;
  options: readonly { id: K; name: string; about?: string }[];
  onChange: (id: K) => void;
  compact?: boolean; // side by side, without what they are about
};

// Options is one of a few that are all seen at once.
export function Options<K extends string>({ label, value, options, onChange, compact }: OptionsProps<K>) {
  return (
    <RadioGroup
      className={`${controls.field} ${compact ? css.compact : css.options}`}
      value={value}
      onChange={(id) => onChange(id as K)}
    >
      <Label className={controls.label ?? ""}>{label}</Label>
      <div className={css.list}>
        {options.map((o) => (
          <Radio key={o.id} value={o.id} className={css.option ?? ""}>
            <span className={css.dot} />
            <span className={css.text}>
              <span className={css.name}>{o.name}</span>
              {o.about && !compact && <span className="muted">{o.about}</span>}
            </span>
          </Radio>
        ))}
      </div>
    </RadioGroup>
  );
}
