#!/bin/sh
# The story of `make demo`, from the shell alone. Needs curl, and in the
# environment: BIN (folder of the programs), ROUTES, and free addresses IDP,
# IDP_ADMIN, SIDECAR, SIDECAR_ADMIN, NOTES. It works in the current folder.
set -eu
umask 077
export XDG_CONFIG_HOME="$PWD/config"
PATH="$BIN:$PATH"
step() { echo "ok: $*"; }
die() { echo "FAILED: $*" >&2; exit 1; }

# status METHOD PATH TOKEN: what the sidecar answers.
status() { curl -sS -o body -w '%{http_code}' -X "$1" -H "Authorization: Bearer $3" -H 'Content-Type: application/json' ${4:+-d "$4"} "http://$SIDECAR$2"; }
wants() { got=$(status "$2" "$3" "$4" "${5:-}"); [ "$got" = "$1" ] || die "$2 $3: $got, not $1: $(cat body)"; }
# refused TOKEN: within 2 seconds.
refused() { for _ in $(seq 40); do [ "$(status GET /notes "$1")" = 401 ] && return; sleep 0.05; done; die "still $(cat body)"; }
exits() { want=$1; shift; got=0; "$@" >out 2>err || got=$?; [ "$got" = "$want" ] || die "$*: exit $got, not $want: $(cat err)"; }

idp() {
	AGENTIDP_ADDR=$IDP AGENTIDP_ADMIN_ADDR=$IDP_ADMIN AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0 agentidp serve --data-dir data >>idp.log 2>&1 &
	IDP_PID=$!
	until [ -s data/admin.json ] && curl -fsS "http://$IDP/health" >/dev/null 2>&1; do kill -0 $IDP_PID || die "$(cat idp.log)"; sleep 0.05; done
}
NOTES_PID='' SIDECAR_PID='' IDP_PID=''
trap 'kill $SIDECAR_PID $NOTES_PID $IDP_PID 2>/dev/null; wait' EXIT
idp
agentidp login --url "http://$IDP" --credential-file data/admin.json
step "the administrator is logged in"

agentidp agents create --email notes-sidecar@example.com --type sidecar --capabilities revocations:read,decisions:write >out
agentidp credentials create notes-sidecar@example.com --secret-file sidecar.secret >sidecar.txt
notes -addr "$NOTES" -file notes.jsonl >notes.log 2>&1 &
NOTES_PID=$!
AGENTIDP_SIDECAR_ADDR=$SIDECAR AGENTIDP_SIDECAR_ADMIN_ADDR=$SIDECAR_ADMIN AGENTIDP_SIDECAR_UPSTREAM="http://$NOTES" AGENTIDP_SIDECAR_ROUTES=$ROUTES \
	AGENTIDP_SIDECAR_ISSUER="http://$IDP" AGENTIDP_SIDECAR_AUDIENCE="http://$SIDECAR" AGENTIDP_SIDECAR_DATA_DIR=sidecar \
	AGENTIDP_SIDECAR_CLIENT_ID=$(awk '/^client id/ { print $3 }' sidecar.txt) AGENTIDP_SIDECAR_CLIENT_SECRET_FILE=sidecar.secret \
	agentidp-sidecar serve >sidecar.log 2>&1 &
SIDECAR_PID=$!
until curl -fsS "http://$SIDECAR_ADMIN/ready" >/dev/null 2>&1; do kill -0 $SIDECAR_PID || die "$(cat sidecar.log)"; sleep 0.05; done
step "a sidecar is enrolled and serves"

agentidp agents create --email screener-001@example.com --type screener --capabilities notes:read >out
agentidp credentials create screener-001@example.com --secret-file screener.secret >screener.txt
CLIENT_ID=$(awk '/^client id/ { print $3 }' screener.txt)
agentidp login --profile screener --url "http://$IDP" --client-id "$CLIENT_ID" --secret-file screener.secret >out
agentidp profiles use default
token() { agentidp token get --profile screener --resource "http://$SIDECAR"; }
T=$(token)
wants 200 GET /notes "$T"
wants 403 POST /notes "$T" '{"text":"no"}'
printf %s "$T" | agentidp token inspect --audience "http://$SIDECAR" >out
step "the screener reads and may not write"

wants 401 GET /notes "${T%????????????}AAAAAAAAAAAA"
step "a forged token is refused"

agentidp agents update screener-001@example.com --add-capability notes:write >out
T=$(token)
wants 201 POST /notes "$T" '{"text":"written from the shell"}'
agentidp agents update screener-001@example.com --remove-capability notes:write >out
refused "$T"
step "a capability comes and goes"

T=$(token)
wants 200 GET /notes "$T"
printf %s "$T" | agentidp token revoke --profile screener
refused "$T"
printf %s "$T" | agentidp token introspect | grep -q dead || die "the token lives"
step "one token is revoked"

T=$(token)
agentidp agents suspend screener-001@example.com >out
refused "$T"
exits 4 agentidp token get --profile screener
agentidp agents reactivate screener-001@example.com >out
wants 200 GET /notes "$(token)"
step "suspended and reactivated"

agentidp credentials rotate screener-001@example.com "$CLIENT_ID" --secret-file rotated.secret >out
exits 4 agentidp token get --profile screener
agentidp login --profile screener --url "http://$IDP" --client-id "$CLIENT_ID" --secret-file rotated.secret >out
agentidp profiles use default
T=$(token)
step "the secret is rotated"

agentidp revoke agent screener-001@example.com --yes --reason incident_4711 >out 2>err
refused "$T"
T=$(token)
step "the agent is cut off and comes back"

kill $IDP_PID && wait $IDP_PID
exits 5 agentidp agents list
wants 200 GET /notes "$T"
exits 1 agentidp doctor
idp
step "the sidecar serves on while the IdP is away"

agentidp organizations create stranger --name 'Stranger Ltd' --administrator admin@stranger.example --secret-file stranger.secret >stranger.txt
agentidp login --profile stranger --url "http://$IDP" --client-id "$(awk '/^client id/ { print $3 }' stranger.txt)" --secret-file stranger.secret >out
AGENT=$(agentidp agents list --profile default --search screener-001 -o json | sed -n 's/.*"agentId": "\(.*\)",/\1/p')
exits 3 agentidp agents get "$AGENT"
agentidp profiles use default
step "a stranger's administrator does not see our agent"

for _ in $(seq 100); do agentidp audit list --action decision.allowed --limit 0 >out; [ "$(grep -c decision.allowed out)" -ge 6 ] && break; sleep 0.05; done
agentidp audit list --limit 0 >out
for action in agent.created token.issued agent.suspended agent.reactivated credential.rotated token.refused organization.created decision.denied decision.allowed; do
	grep -q " $action " out || die "no $action in the log"
done
if grep -q aidp_sk_ out; then die "a secret stands in the log"; fi
step "the audit log lists it all"

EVENT=$(agentidp audit list --action agent.suspended -o json | sed -n 's/.*"eventId": "\(.*\)",/\1/p')
agentidp audit get "$EVENT" --proof >out 2>err
grep -q proven err || die "the suspension is not proven: $(cat err)"
agentidp audit verify >out 2>err
agentidp audit export --out audit.ndjson 2>err
KEY=$(agentidp keys list -o json | sed -n 's/.*"verifierKey": "\(.*\)".*/\1/p')
agentidp audit verify --export audit.ndjson --key "$KEY" >out
sed 's/screener-001@/screener-002@/;s/agent.suspended/agent.suspendex/' audit.ndjson >tampered.ndjson
exits 1 agentidp audit verify --export tampered.ndjson --key "$KEY"
kill $IDP_PID && wait $IDP_PID
IDP_PID=''
agentidp audit verify --offline --data-dir data >out
step "the log is valid, a changed one is found"
