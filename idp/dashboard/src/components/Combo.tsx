import { useEffect, useState } from "react";
import {
  Button as AriaButton,
  ComboBox,
  Group,
  Input,
  Label,
  ListBox,
  ListBoxItem,
  Popover,
} from "react-aria-components";
import css from "./controls.module.css";
import { Icon } from "./Icon";
import picks from "./picks.module.css";

export type Pick = { id: string; name: string; note?: string };

type Props = {
  label: string;
  items: Pick[];
  value: string | undefined; // id
  name?: string | undefined; // of the value, where it may not be among the items
  onChange: (id: string | undefined) => void;
  onSearch?: (typed: string | undefined) => void; // the items are what this finds; absent: they are sifted here
  accepts?: RegExp; // ids that count as chosen when they are typed or pasted whole
  placeholder?: string;
  none?: string; // said when nothing fits
};

// Combo is one of many, found by typing. Text that names nothing is put back when it is left.
export function Combo({ label, items, value, name, onChange, onSearch, accepts, placeholder, none }: Props) {
  // What was chosen here holds at once: a value that comes back by the URL is a moment late.
  const [key, setKey] = useState(value);
  useEffect(() => setKey(value), [value]);
  // Its name stays when other items come: another text in the field would open the list again.
  const [picked, setPicked] = useState<Pick>();
  const item = picked?.id === key ? picked : items.find((i) => i.id === key);
  const chosen = item?.name ?? (key === value ? name : undefined) ?? key ?? "";
  const [typed, setTyped] = useState(chosen);
  const show = (text: string) => {
    setTyped(text);
    onSearch?.(text === "" || text === chosen ? undefined : text);
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is typed gives way when another is chosen
  useEffect(() => show(chosen), [chosen]);
  function choose(id: string | undefined) {
    if (id === key) return;
    setKey(id);
    setPicked(items.find((i) => i.id === id));
    onChange(id);
  }
  function enter(text: string) {
    show(text);
    if (text === "") choose(undefined);
    const id = text.trim().toLowerCase();
    if (accepts?.test(id)) choose(id);
  }
  function leave() {
    const named = items.find((i) => i.name === typed.trim());
    if (named) choose(named.id);
    else show(chosen);
  }
  const offered: { items: Pick[] } | { defaultItems: Pick[] } = onSearch ? { items } : { defaultItems: items };
  return (
    <ComboBox
      className={css.field ?? ""}
      {...offered}
      allowsCustomValue
      allowsEmptyCollection
      menuTrigger={key !== undefined && typed === chosen ? "manual" : "focus"} // a choice does not open the list again
      inputValue={typed}
      onInputChange={enter}
      selectedKey={key ?? null}
      onSelectionChange={(picked) => picked !== null && choose(String(picked))}
      onBlur={leave}
    >
      <Label className={css.label ?? ""}>{label}</Label>
      <Group className={picks.combo ?? ""}>
        <Input className={css.input ?? ""} placeholder={placeholder ?? ""} />
        <AriaButton className={picks.open ?? ""}>
          <Icon name="down" />
        </AriaButton>
      </Group>
      <Popover className={css.popover ?? ""}>
        <ListBox<Pick>
          className={css.list ?? ""}
          renderEmptyState={() => <p className={css.option}>{none ?? "nothing fits"}</p>}
        >
          {(item) => (
            <ListBoxItem id={item.id} className={`${css.option} ${picks.item}`} textValue={item.name}>
              <span>{item.name}</span>
              {item.note && <span className="muted">{item.note}</span>}
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </ComboBox>
  );
}
