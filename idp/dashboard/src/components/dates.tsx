import {
  type DateValue,
  getLocalTimeZone,
  parseAbsoluteToLocal,
  toCalendarDateTime,
  today,
} from "@internationalized/date";
import { useEffect, useState } from "react";
import {
  Button as AriaButton,
  Calendar,
  CalendarCell,
  CalendarGrid,
  CalendarGridBody,
  CalendarGridHeader,
  CalendarHeaderCell,
  DateInput,
  DatePicker,
  DateSegment,
  Dialog,
  Group,
  Heading,
  Label,
  Popover,
} from "react-aria-components";
import { Button } from "./controls";
import controls from "./controls.module.css";
import css from "./dates.module.css";
import { Icon } from "./Icon";

type MomentProps = {
  label: string;
  value: string | undefined; // RFC 3339
  onChange: (value: string | undefined) => void; // in UTC
};

// Moment chooses an instant to the minute, in the reader's zone, or none. What is
// typed counts when the field is left: each digit of a year would ask the API.
export function Moment({ label, value, onChange }: MomentProps) {
  const [typed, setTyped] = useState(() => read(value));
  const [open, setOpen] = useState(false);
  useEffect(() => setTyped(read(value)), [value]);
  function commit(at: DateValue | null) {
    const next = at?.toDate(getLocalTimeZone()).toISOString();
    if (next !== value) onChange(next);
  }
  return (
    <DatePicker<DateValue>
      className={`${controls.field} ${css.field}`}
      granularity="minute"
      hideTimeZone
      value={typed}
      placeholderValue={toCalendarDateTime(today(getLocalTimeZone()))}
      onChange={(at) => {
        setTyped(at);
        if (open) commit(at);
      }}
      isOpen={open}
      onOpenChange={setOpen}
      onBlur={() => commit(typed)}
    >
      <Label className={controls.label ?? ""}>{label}</Label>
      <Group className={`${controls.input} ${css.moment}`}>
        <DateInput className={css.segments ?? ""}>
          {(segment) => <DateSegment segment={segment} className={css.segment ?? ""} />}
        </DateInput>
        {typed !== null && (
          <AriaButton
            slot={null}
            aria-label={`Clear ${label}`}
            className={css.icon ?? ""}
            onPress={() => onChange(undefined)}
          >
            <Icon name="close" />
          </AriaButton>
        )}
        <AriaButton className={css.icon ?? ""}>
          <Icon name="calendar" />
        </AriaButton>
      </Group>
      <Popover className={`${controls.popover} ${css.popover}`}>
        <Dialog className={css.dialog ?? ""}>
          <Calendar>
            <header className={css.head}>
              <Button small slot="previous">
                <Icon name="left" />
              </Button>
              <Heading className={css.month ?? ""} />
              <Button small slot="next">
                <Icon name="right" />
              </Button>
            </header>
            <CalendarGrid className={css.grid ?? ""}>
              <CalendarGridHeader>{(day) => <CalendarHeaderCell>{day}</CalendarHeaderCell>}</CalendarGridHeader>
              <CalendarGridBody>{(date) => <CalendarCell date={date} className={css.day ?? ""} />}</CalendarGridBody>
            </CalendarGrid>
          </Calendar>
        </Dialog>
      </Popover>
    </DatePicker>
  );
}

const read = (value: string | undefined): DateValue | null =>
  value === undefined ? null : parseAbsoluteToLocal(value);
