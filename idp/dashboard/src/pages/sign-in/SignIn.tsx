import { type FormEvent, useEffect, useRef, useState } from "react";
import { Form } from "react-aria-components";
import { asProblem, type Problem } from "../../api/problem";
import { dashboardPath } from "../../base";
import { Button, Field } from "../../components/controls";
import { ProblemCard } from "../../components/states";
import { session } from "../../session/session";
import css from "./SignIn.module.css";

const words: Record<string, string> = {
  invalid_client: "The client id and the secret do not belong together, or the credential is revoked or expired.",
  unauthorized_client: "The credential is right, but its agent is suspended or decommissioned.",
};

// SignIn takes what admin.json holds, too: pasted into the client id, it fills both fields.
export function SignIn({ reason }: { reason: string | undefined }) {
  const [clientId, setClientId] = useState("");
  const [secret, setSecret] = useState("");
  const [pending, setPending] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const failure = useRef<HTMLDivElement>(null);
  useEffect(() => {
    document.title = "Sign in · AgentIdP";
  }, []);
  useEffect(() => {
    if (problem) failure.current?.focus();
  }, [problem]);

  async function submit(event: FormEvent) {
    event.preventDefault();
    setPending(true);
    setProblem(undefined);
    try {
      await session.signIn(clientId.trim(), secret.trim());
    } catch (error) {
      setSecret("");
      setProblem(asProblem(error));
      setPending(false);
    }
  }

  function enter(text: string) {
    const whole = credentialIn(text);
    setClientId(whole?.clientId ?? text);
    if (whole) setSecret(whole.clientSecret);
  }

  return (
    <main className={css.page}>
      <div className={css.box}>
        <div className={css.brand}>
          <img src={`${dashboardPath}/icon.svg`} alt="" width="32" height="32" />
          <h1>Sign in to AgentIdP</h1>
        </div>
        <div className={css.card}>
          {reason && (
            <p role="status" className={css.reason}>
              {reason}
            </p>
          )}
          <Form className={css.form} onSubmit={submit}>
            <Field
              label="Client id"
              value={clientId}
              onChange={enter}
              autoComplete="username"
              isRequired
              autoFocus
              mono
            />
            <Field
              label="Client secret"
              type="password"
              value={secret}
              onChange={setSecret}
              autoComplete="current-password"
              isRequired
              mono
            />
            {problem && (
              <div ref={failure} tabIndex={-1}>
                {words[problem.code] ? <WrongCredential problem={problem} /> : <ProblemCard error={problem} />}
              </div>
            )}
            <Button type="submit" tone="primary" isDisabled={pending}>
              {pending ? "Signing in…" : "Sign in"}
            </Button>
          </Form>
        </div>
        <details className={css.help} open={reason === undefined}>
          <summary>Where is the first credential?</summary>
          <ul>
            <li>
              The first start of the IdP makes an administrator, <code>admin@localhost</code>. Its credential was
              printed once, and lies in a file on the machine where the IdP runs: <code>data/idp/admin.json</code> after{" "}
              <code>make up</code>, <code>data/admin.json</code> after <code>agentidp serve</code>, or{" "}
              <code>admin.json</code> in the folder that <code>AGENTIDP_DATA_DIR</code> names.
            </li>
            <li>Paste the whole file into the client id: both fields are filled.</li>
            <li>
              It is lost? <code>agentidp bootstrap reset --offline</code> on the server makes another one.
            </li>
            <li>The secret stays in the memory of this page alone. A reload signs you out.</li>
          </ul>
        </details>
      </div>
    </main>
  );
}

function WrongCredential({ problem }: { problem: Problem }) {
  return <ProblemCard error={Object.assign(problem, { message: words[problem.code] ?? problem.message })} />;
}

// credentialIn finds a credential in text like that of admin.json.
function credentialIn(text: string): { clientId: string; clientSecret: string } | undefined {
  try {
    const { clientId, clientSecret } = JSON.parse(text) as Record<string, unknown>;
    if (typeof clientId === "string" && typeof clientSecret === "string") return { clientId, clientSecret };
  } catch {
    // ordinary text
  }
  return undefined;
}
