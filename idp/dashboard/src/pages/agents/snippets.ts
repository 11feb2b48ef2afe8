// What a new agent's owner pastes into a shell or a program.

// quoted makes one word of text for a POSIX shell.
export const quoted = (text: string): string =>
  /^[\w:/.@%+=,~-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

// The sidecar's own default address, which `make up` uses too.
export const usualApi = "http://127.0.0.1:8081";

export type Target = { api: string; path: string };

// pathFor guesses what to call from what the agent may do: notes:read is /notes.
export function pathFor(capabilities: readonly string[]): string {
  const resource = capabilities.map((c) => c.split(":")[0]).find((r) => r !== "*");
  return `/${resource ?? ""}`;
}

const place = ({ api, path }: Target) => quoted(api.replace(/\/$/, "") + path);

// tokenSample leaves a token in $TOKEN. The secret goes in by a here-document,
// not in a command line, where others on the machine could read it. Without the
// secret curl asks for it. When the IdP refuses, -f says so, and no refusal becomes a token.
export function tokenSample(idp: string, clientId: string, secret: string | undefined, api: string): string {
  const take = `sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')`;
  const body = `-d grant_type=client_credentials \\\n  --data-urlencode ${quoted(`resource=${api}`)}`;
  if (secret === undefined)
    return `TOKEN=$(curl -fsS -u ${clientId} ${body} \\\n  ${quoted(`${idp}/api/v1/token`)} | ${take}`;
  return `TOKEN=$(curl -fsS -K - ${body} \\\n  ${quoted(`${idp}/api/v1/token`)} <<'END' |\nuser = "${clientId}:${secret}"\nEND\n  ${take}`;
}

export const callSample = (target: Target): string => `curl -i -H "Authorization: Bearer $TOKEN" ${place(target)}`;

export const writeSample = (target: Target): string =>
  `curl -i -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\\n  -d '{"text":"hello"}' ${place(target)}`;

// goSample is a program's way, with sdk/go.
export const goSample = (idp: string, clientId: string, { api, path }: Target): string =>
  `import agentidp "github.com/sentryagent/agentidp/sdk/go"

source, err := agentidp.Config{
	URL:          ${JSON.stringify(idp)},
	ClientID:     ${JSON.stringify(clientId)},
	ClientSecret: os.Getenv("AGENTIDP_CLIENT_SECRET"),
	Resources:    []string{${JSON.stringify(api)}},
}.TokenSource()
if err != nil {
	return err
}
answer, err := source.Client().Get(${JSON.stringify(api.replace(/\/$/, "") + path)})`;
