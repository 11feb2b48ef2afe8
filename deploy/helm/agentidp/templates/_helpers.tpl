{{- define "agentidp.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "agentidp.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "agentidp.labels" -}}
{{ include "agentidp.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "agentidp.image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}{{ end }}
{{- end }}

{{- define "agentidp.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "agentidp.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* A file of the folder of secrets: list SECRET KEY FILE */}}
{{- define "agentidp.secretFile" -}}
- secret:
    name: {{ index . 0 }}
    items: [{ key: {{ index . 1 | quote }}, path: {{ index . 2 }} }]
{{- end }}

{{/* What opens the signing keys. A migration needs none of it. */}}
{{- define "agentidp.keyFiles" -}}
{{- with .Values.masterKey }}{{ if .existingSecret }}
{{ include "agentidp.secretFile" (list .existingSecret .key "master-key") }}
{{- end }}{{ end }}
{{- with .Values.vault.token }}{{ if .existingSecret }}
{{ include "agentidp.secretFile" (list .existingSecret .key "vault-token") }}
{{- end }}{{ end }}
{{- with .Values.vault.appRole }}{{ if .existingSecret }}
{{ include "agentidp.secretFile" (list .existingSecret .secretIDKey "vault-secret-id") }}
{{- end }}{{ end }}
{{- with .Values.vault.ca }}{{ if .existingSecret }}
{{ include "agentidp.secretFile" (list .existingSecret .key "vault-ca.crt") }}
{{- end }}{{ end }}
{{- end }}

{{- define "agentidp.secretFiles" -}}
{{- with .Values.bootstrap }}
{{ include "agentidp.secretFile" (list .existingSecret .clientSecretKey "bootstrap-client-secret") }}
{{- end }}
{{- with .Values.redis }}{{ if .existingSecret }}
{{ include "agentidp.secretFile" (list .existingSecret .urlKey "redis-url") }}
{{- if .caKey }}
{{ include "agentidp.secretFile" (list .existingSecret .caKey "redis-ca.crt") }}
{{- end }}
{{- end }}{{ end }}
{{- with .Values.pepper }}{{ if .existingSecret }}
{{ include "agentidp.secretFile" (list .existingSecret .key "pepper") }}
{{- end }}{{ end }}
{{- end }}

{{/* The database's secrets: dict of existingSecret, urlKey, directURLKey */}}
{{- define "agentidp.databaseFiles" -}}
{{ include "agentidp.secretFile" (list .existingSecret .urlKey "database-url") }}
{{- if .directURLKey }}
{{ include "agentidp.secretFile" (list .existingSecret .directURLKey "database-direct-url") }}
{{- end }}
{{- end }}

{{- define "agentidp.databaseEnv" -}}
- { name: DATABASE_URL_FILE, value: /run/secrets/agentidp/database-url }
{{- if .directURLKey }}
- { name: DATABASE_DIRECT_URL_FILE, value: /run/secrets/agentidp/database-direct-url }
{{- end }}
{{- end }}

{{- define "agentidp.keyEnv" -}}
- { name: AGENTIDP_DATA_DIR, value: /var/lib/agentidp }
{{- if .Values.allowHTTP }}
- { name: AGENTIDP_ALLOW_HTTP, value: "true" }
{{- end }}
{{- if .Values.masterKey.existingSecret }}
- { name: AGENTIDP_MASTER_KEY_FILE, value: /run/secrets/agentidp/master-key }
{{- end }}
{{- with .Values.vault }}{{ if .address }}
- { name: VAULT_ADDR, value: {{ .address | quote }} }
- { name: VAULT_MOUNT, value: {{ .mount | quote }} }
{{- if .namespace }}
- { name: VAULT_NAMESPACE, value: {{ .namespace | quote }} }
{{- end }}
{{- if .masterKey }}
- { name: AGENTIDP_VAULT_MASTER_KEY, value: {{ .masterKey }} }
{{- end }}
{{- if .kubernetesRole }}
- { name: AGENTIDP_VAULT_KUBERNETES_ROLE, value: {{ .kubernetesRole | quote }} }
{{- end }}
{{- if .token.existingSecret }}
- { name: VAULT_TOKEN_FILE, value: /run/secrets/agentidp/vault-token }
{{- end }}
{{- if .appRole.existingSecret }}
- name: AGENTIDP_VAULT_ROLE_ID
  valueFrom: { secretKeyRef: { name: {{ .appRole.existingSecret }}, key: {{ .appRole.roleIDKey | quote }} } }
- { name: AGENTIDP_VAULT_SECRET_ID_FILE, value: /run/secrets/agentidp/vault-secret-id }
{{- end }}
{{- if .ca.existingSecret }}
- { name: VAULT_CACERT, value: /run/secrets/agentidp/vault-ca.crt }
{{- end }}
{{- end }}{{ end }}
{{- end }}

{{- define "agentidp.env" -}}
- { name: AGENTIDP_ISSUER, value: {{ .Values.issuer | quote }} }
- name: AGENTIDP_BOOTSTRAP_CLIENT_ID
  valueFrom: { secretKeyRef: { name: {{ .Values.bootstrap.existingSecret }}, key: {{ .Values.bootstrap.clientIDKey | quote }} } }
- { name: AGENTIDP_BOOTSTRAP_CLIENT_SECRET_FILE, value: /run/secrets/agentidp/bootstrap-client-secret }
{{- if .Values.redis.existingSecret }}
- { name: REDIS_URL_FILE, value: /run/secrets/agentidp/redis-url }
{{- if .Values.redis.caKey }}
- { name: REDIS_CACERT, value: /run/secrets/agentidp/redis-ca.crt }
{{- end }}
{{- end }}
{{- if .Values.pepper.existingSecret }}
- { name: AGENTIDP_PEPPER_FILE, value: /run/secrets/agentidp/pepper }
{{- end }}
{{- range $name, $value := .Values.settings }}
- { name: {{ $name }}, value: {{ $value | toString | quote }} }
{{- end }}
{{- end }}

{{/* The rule of one store, such as .Values.networkPolicy.redis */}}
{{- define "agentidp.egress" -}}
- ports:
    {{- range .ports }}
    - { port: {{ . }}, protocol: TCP }
    {{- end }}
{{- with .to }}
  to:
{{ toYaml . | indent 4 }}
{{- end }}
{{- end }}

{{- define "agentidp.dns" -}}
- ports: [{ port: 53, protocol: UDP }, { port: 53, protocol: TCP }]
{{- with .Values.networkPolicy.dns.to }}
  to:
{{ toYaml . | indent 4 }}
{{- end }}
{{- end }}
