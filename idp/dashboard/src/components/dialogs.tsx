import { type ReactNode, useState } from "react";
import { Dialog, Form, Heading, Modal, ModalOverlay } from "react-aria-components";
import { Button, Check, Field } from "./controls";
import { download, Value } from "./copy";
import css from "./dialogs.module.css";
import { Icon } from "./Icon";
import { ProblemCard } from "./states";

type SheetProps = {
  title: string;
  onClose?: (() => void) | undefined; // absent: only what is inside closes it
  alert?: boolean;
  children: ReactNode;
};

// Sheet is a dialog over the page; it holds the focus and gives it back.
export function Sheet({ title, onClose, alert, children }: SheetProps) {
  return (
    <ModalOverlay
      isOpen
      isDismissable={onClose !== undefined}
      isKeyboardDismissDisabled={onClose === undefined}
      onOpenChange={(open) => !open && onClose?.()}
      className={css.overlay ?? ""}
    >
      <Modal className={css.modal ?? ""}>
        <Dialog role={alert ? "alertdialog" : "dialog"} className={css.dialog ?? ""}>
          <Heading slot="title" className={css.title ?? ""}>
            {title}
          </Heading>
          {children}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

// Buttons are at the end of a dialog, the one that acts last.
export function Buttons({ children }: { children: ReactNode }) {
  return <div className={css.buttons}>{children}</div>;
}

type FormProps = {
  title: string;
  action: string; // on the button
  acting?: string; // there while it is sent
  pending: boolean;
  ready?: boolean;
  tone?: "danger" | "primary";
  alert?: boolean;
  onSubmit: () => void;
  onClose: () => void;
  children: ReactNode;
};

// FormSheet is a dialog with a form. While it is sent, nothing closes it.
export function FormSheet({ title, alert, action, acting = action, tone = "primary", ...props }: FormProps) {
  const { pending, ready = true, onSubmit, onClose, children } = props;
  const able = ready && !pending;
  return (
    <Sheet title={title} alert={alert ?? false} onClose={pending ? undefined : onClose}>
      <Form
        className={css.form ?? ""}
        validationBehavior="aria"
        onSubmit={(e) => {
          e.preventDefault();
          if (able) onSubmit();
        }}
      >
        {children}
        <Buttons>
          <Button onPress={onClose} isDisabled={pending}>
            Cancel
          </Button>
          <Button type="submit" tone={tone} isDisabled={!able}>
            {pending ? acting : action}
          </Button>
        </Buttons>
      </Form>
    </Sheet>
  );
}

type ConfirmProps = {
  title: string;
  consequences: ReactNode; // exactly what dies and what stays
  phrase?: string; // must be typed; for what cannot be undone
  reason?: string; // what stands in the field for one before somebody types; absent: none is asked for
  action: string; // on the button
  tone?: "danger" | "primary";
  onConfirm: (reason: string) => Promise<unknown>; // what it throws is shown in the dialog
  onClose: () => void; // also after it was done
};

// Confirm asks before something is done. Render it while it is open.
export function Confirm({ consequences, phrase, reason, tone = "danger", onConfirm, ...rest }: ConfirmProps) {
  const [typed, setTyped] = useState("");
  const [why, setWhy] = useState(reason ?? "");
  const [pending, setPending] = useState(false);
  const [error, setError] = useState<unknown>();
  async function confirm() {
    setPending(true);
    setError(undefined);
    try {
      await onConfirm(why.trim());
      rest.onClose();
    } catch (e) {
      setError(e);
    } finally {
      setPending(false);
    }
  }
  const ready = (phrase === undefined || typed.trim() === phrase) && ascii.test(why);
  return (
    <FormSheet {...rest} alert tone={tone} pending={pending} ready={ready} onSubmit={() => void confirm()}>
      <div className={css.consequences}>{consequences}</div>
      {phrase !== undefined && (
        <Field label={`Type ${phrase} to go on`} value={typed} onChange={setTyped} autoComplete="off" autoFocus mono />
      )}
      {reason !== undefined && (
        <Field
          label="Reason (optional)"
          hint="Stands in the audit log, and nowhere else."
          maxLength={256}
          value={why}
          onChange={setWhy}
          autoComplete="off"
          error={ascii.test(why) ? undefined : "plain letters, digits and signs (printable ASCII) only"}
        />
      )}
      {error !== undefined && <ProblemCard error={error} />}
    </FormSheet>
  );
}

const ascii = /^[ -~]*$/; // the API's rule for a reason

type SecretProps = {
  title: string;
  clientId: string;
  clientSecret: string;
  children?: ReactNode; // samples that use it
  onClose: () => void; // the caller forgets the secret here
};

// SecretOnce shows a secret the only time that there is. It closes when the
// reader says that they have it.
export function SecretOnce({ title, clientId, clientSecret, children, onClose }: SecretProps) {
  const [kept, setKept] = useState(false);
  const file = `${JSON.stringify({ clientId, clientSecret }, null, 2)}\n`;
  return (
    <Sheet title={title}>
      <p>This is the only time the secret is shown. The IdP keeps a digest of it, and nobody can read it again.</p>
      <Named name="Client id" value={clientId} />
      <Named name="Client secret" value={clientSecret} />
      <div>
        <Button onPress={() => download(`${clientId}.json`, "application/json", file)}>
          <Icon name="download" /> Download as JSON
        </Button>
      </div>
      {children}
      <Check label="I have put the secret where it belongs" value={kept} onChange={setKept} />
      <Buttons>
        <Button tone="primary" isDisabled={!kept} onPress={onClose}>
          Done
        </Button>
      </Buttons>
    </Sheet>
  );
}

function Named({ name, value }: { name: string; value: string }) {
  return (
    <div className={css.secret}>
      <span className="muted">{name}</span>
      <Value text={value} name={name.toLowerCase()} />
    </div>
  );
}
