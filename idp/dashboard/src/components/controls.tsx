import { type ReactNode, useEffect, useState } from "react";
import {
  Button as AriaButton,
  type ButtonProps as AriaButtonProps,
  Checkbox,
  FieldError,
  Input,
  Label,
  ListBox,
  ListBoxItem,
  Popover,
  SearchField,
  Select,
  SelectValue,
  Text,
  TextArea,
  TextField,
  type TextFieldProps,
} from "react-aria-components";
import css from "./controls.module.css";
import { Icon } from "./Icon";

type ButtonProps = Omit<AriaButtonProps, "className" | "isPending"> & {
  tone?: "primary" | "danger" | "quiet";
  small?: boolean;
};

// Button is React Aria's, dressed. Not its isPending: what that announces has no
// name for axe. Disable it, and say in its text what goes on.
export function Button({ tone, small, ...rest }: ButtonProps) {
  const names = [css.button, tone && css[tone], small && css.small].filter(Boolean).join(" ");
  return <AriaButton {...rest} className={names} />;
}

type FieldProps = Omit<TextFieldProps, "className" | "children"> & {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
  mono?: boolean;
  placeholder?: string;
};

// Field is one line of text with its label, hint and error.
export function Field({ label, hint, error, mono, placeholder, ...rest }: FieldProps) {
  return (
    <TextField {...rest} className={css.field ?? ""} isInvalid={error !== undefined}>
      <Label className={css.label ?? ""}>{label}</Label>
      <Input className={`${css.input} ${mono ? "mono" : ""}`} placeholder={placeholder ?? ""} />
      {hint && (
        <Text slot="description" className={css.hint ?? ""}>
          {hint}
        </Text>
      )}
      <FieldError className={css.error ?? ""}>{error}</FieldError>
    </TextField>
  );
}

// Block is several lines of text with their label, hint and error.
export function Block({ label, hint, error, rows = 6, ...rest }: Omit<FieldProps, "mono"> & { rows?: number }) {
  return (
    <TextField {...rest} className={css.field ?? ""} isInvalid={error !== undefined}>
      <Label className={css.label ?? ""}>{label}</Label>
      <TextArea className={`${css.input} ${css.block} mono`} rows={rows} spellCheck={false} />
      {hint && (
        <Text slot="description" className={css.hint ?? ""}>
          {hint}
        </Text>
      )}
      <FieldError className={css.error ?? ""}>{error}</FieldError>
    </TextField>
  );
}

type CheckProps = { label: string; value: boolean; onChange: (value: boolean) => void };

export function Check({ label, value, onChange }: CheckProps) {
  return (
    <Checkbox isSelected={value} onChange={onChange} className={css.check ?? ""}>
      <span className={css.tick}>
        <Icon name="tick" />
      </span>
      {label}
    </Checkbox>
  );
}

type SearchProps = {
  label: string;
  value: string;
  onChange: (text: string) => void;
  placeholder?: string;
  hint?: string; // what it searches; it makes the field wide
};

export function Search({ label, value, onChange, placeholder, hint }: SearchProps) {
  return (
    <SearchField className={`${css.field} ${hint ? css.wide : ""}`} value={value} onChange={onChange}>
      <Label className={css.label ?? ""}>{label}</Label>
      <Input className={css.input ?? ""} placeholder={placeholder ?? ""} maxLength={254} />
      {hint && (
        <Text slot="description" className={css.hint ?? ""}>
          {hint}
        </Text>
      )}
    </SearchField>
  );
}

type ChoiceProps<K extends string> = {
  label: string;
  value: K | undefined;
  options: readonly K[];
  all?: string; // names the option that chooses none
  text?: (option: K) => string;
  onChange: (value: K | undefined) => void;
};

// Choice is one of a few. With `all` it may be none of them.
export function Choice<K extends string>({ label, value, options, all, text = (o) => o, onChange }: ChoiceProps<K>) {
  return (
    <Select
      className={css.field ?? ""}
      selectedKey={value ?? ""}
      onSelectionChange={(key) => onChange(key === "" || key === null ? undefined : (String(key) as K))}
    >
      <Label className={css.label ?? ""}>{label}</Label>
      <AriaButton className={`${css.button} ${css.select}`}>
        <SelectValue />
        <Icon name="down" />
      </AriaButton>
      <Popover className={css.popover ?? ""}>
        <ListBox className={css.list ?? ""}>
          {all !== undefined && (
            <ListBoxItem id="" className={css.option ?? ""} textValue={all}>
              {all}
            </ListBoxItem>
          )}
          {options.map((option) => (
            <ListBoxItem key={option} id={option} className={css.option ?? ""} textValue={text(option)}>
              {text(option)}
            </ListBoxItem>
          ))}
        </ListBox>
      </Popover>
    </Select>
  );
}

type FilterTextProps = {
  label: string;
  value: string | undefined;
  placeholder?: string;
  onCommit: (value: string | undefined) => void;
};

// FilterText is a filter that asks the API: on Enter or when it is left, not with every letter.
export function FilterText({ label, value, placeholder, onCommit }: FilterTextProps) {
  const [typed, setTyped] = useState(value ?? "");
  useEffect(() => setTyped(value ?? ""), [value]);
  const commit = () => {
    const next = typed.trim() || undefined;
    if (next !== value) onCommit(next);
  };
  return (
    <TextField className={css.field ?? ""} value={typed} onChange={setTyped} onBlur={commit}>
      <Label className={css.label ?? ""}>{label}</Label>
      <Input
        className={css.input ?? ""}
        placeholder={placeholder ?? ""}
        onKeyDown={(e) => e.key === "Enter" && commit()}
      />
    </TextField>
  );
}
