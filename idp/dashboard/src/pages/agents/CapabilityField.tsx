import { useState } from "react";
import { Button as AriaButton, Label, Tag, TagGroup, TagList } from "react-aria-components";
import { Button, Field } from "../../components/controls";
import { Icon } from "../../components/Icon";
import css from "./agents.module.css";

type Props = {
  value: string[];
  onChange: (value: string[]) => void;
  error?: string | undefined;
  wrong?: string[]; // what the API refused
};

// CapabilityField holds what an agent may do. What is typed counts when Enter,
// a comma, a space or leaving the field ends it; a pasted list is taken apart.
export function CapabilityField({ value, onChange, error, wrong = [] }: Props) {
  const [typed, setTyped] = useState("");
  function add(text: string) {
    const fresh = text.split(/[\s,]+/).filter((c) => c !== "" && !value.includes(c));
    if (fresh.length > 0) onChange([...value, ...new Set(fresh)]);
    setTyped("");
  }
  return (
    <div className={css.capabilities}>
      <div className={css.add}>
        <Field
          label="Add a capability"
          hint="resource:action, such as notes:read; * stands for a whole side, as in notes:*"
          mono
          value={typed}
          onChange={(text) => (/[\s,]/.test(text) ? add(text) : setTyped(text))}
          onBlur={() => add(typed)}
          onKeyDown={(e) => {
            if (e.key !== "Enter" || typed === "") return;
            e.preventDefault();
            add(typed);
          }}
          {...(error !== undefined && { error })}
        />
      </div>
      {value.length > 0 && (
        <TagGroup onRemove={(keys) => onChange(value.filter((c) => !keys.has(c)))}>
          <Label className={css.label ?? ""}>Capabilities</Label>
          <TagList className={css.tags ?? ""}>
            {value.map((c) => (
              <Tag key={c} id={c} textValue={c} className={css.tag ?? ""} data-wrong={wrong.includes(c) || undefined}>
                {c}
                <AriaButton slot="remove" className={css.remove ?? ""}>
                  <Icon name="close" />
                </AriaButton>
              </Tag>
            ))}
          </TagList>
        </TagGroup>
      )}
      {value.length > 0 && (
        <div>
          <Button small tone="quiet" onPress={() => onChange([])}>
            Remove all
          </Button>
        </div>
      )}
    </div>
  );
}
