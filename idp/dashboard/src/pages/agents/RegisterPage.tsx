import { useMutation } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { Form } from "react-aria-components";
import { answer, api, type Schema } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { Button, Field } from "../../components/controls";
import { Grid, Page, Panel } from "../../components/layout";
import { ProblemCard } from "../../components/states";
import { useCan, useIdentity } from "../../session/useSession";
import { IdentityFields, KeyFields, MetadataField } from "./AgentFields";
import css from "./agents.module.css";
import { CapabilityField } from "./CapabilityField";
import { blank, type Draft, type Errors, errorsOf, example, newAgent, placed, wrongCapabilities } from "./draft";

// RegisterPage makes an agent and leads to its page, where the first credential comes next.
export function RegisterPage() {
  const navigate = useNavigate();
  const { organizationId } = useIdentity();
  const manyOrganizations = useCan("organizations:read");
  const [draft, setDraft] = useState(blank);
  const [errors, setErrors] = useState<Errors>({});
  const [problem, setProblem] = useState<Problem>();
  const form = useRef<HTMLFormElement>(null);
  const register = useMutation({
    mutationFn: (body: Schema["NewAgent"]) => answer(api.POST("/api/v1/agents", { body })),
  });
  const change = (members: Partial<Draft>) => setDraft((old) => ({ ...old, ...members }));

  // A refusal leads to the first field that it is about.
  useEffect(() => {
    if (Object.keys(errors).length > 0) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [errors]);

  async function submit() {
    setProblem(undefined);
    const made = newAgent(draft);
    if ("errors" in made) return setErrors(made.errors);
    setErrors({});
    try {
      const { agentId } = await register.mutateAsync(made.body);
      void navigate({ to: "/agents/$agentId", params: { agentId }, search: { start: true } });
    } catch (error) {
      setProblem(asProblem(error));
      setErrors(errorsOf(asProblem(error), made.body.capabilities));
    }
  }

  const fields = { draft, errors, change };
  return (
    <Page
      title="Register an agent"
      about={<Link to="/agents">All agents</Link>}
      actions={<Button onPress={() => setDraft(example)}>Fill in the demo's agent</Button>}
    >
      <Form
        ref={form}
        validationBehavior="aria"
        className={css.form ?? ""}
        onSubmit={(e) => {
          e.preventDefault();
          void submit();
        }}
      >
        <Grid>
          <Panel title="Who it is">
            <div className={css.form}>
              <IdentityFields {...fields} />
              {manyOrganizations && (
                <details className={css.more} open={errors.organizationId !== undefined}>
                  <summary>In another organization than {organizationId}</summary>
                  <Field
                    label="Organization"
                    value={draft.organizationId}
                    onChange={(id) => change({ organizationId: id })}
                    error={errors.organizationId}
                    mono
                  />
                </details>
              )}
            </div>
          </Panel>
          <Panel title="What it may do" width="half">
            <CapabilityField
              value={draft.capabilities}
              onChange={(capabilities) => change({ capabilities })}
              error={errors.capabilities}
              wrong={wrongCapabilities(problem, register.variables?.capabilities)}
            />
          </Panel>
          <Panel title="What else to know of it" width="half">
            <div className={css.form}>
              <MetadataField {...fields} />
              <KeyFields {...fields} />
            </div>
          </Panel>
        </Grid>
        {problem && placed(problem) && (
          <p role="alert" className={css.error}>
            Not registered: the API wants {problem.fields.length === 1 ? "another value" : "other values"} where the
            fields above say so.
          </p>
        )}
        {problem && !placed(problem) && <ProblemCard error={problem} />}
        <div className={css.buttons}>
          <Button type="submit" tone="primary" isDisabled={register.isPending}>
            {register.isPending ? "Registering…" : "Register"}
          </Button>
          <Button onPress={() => void navigate({ to: "/agents" })}>Cancel</Button>
        </div>
      </Form>
    </Page>
  );
}
