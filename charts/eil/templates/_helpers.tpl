{{/* Helpers take `at`: (dict "root" $ "name" NAME "part" its row of mesh.yaml). */}}

{{- define "eil.selector" -}}
app.kubernetes.io/name: eil
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "eil.labels" -}}
{{ include "eil.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What the values say of a part: its own, else the defaults'. Not mergeOverwrite, which takes an own 0, false or [] for nothing said. */}}
{{- define "eil.own" -}}
{{- $own := dict "replicas" 1 "gpu" 0 "autoscaling" (dict "maxReplicas" 0) -}}
{{- range $said := list .root.Values.defaults (index .root.Values.services .name) -}}
{{- range $key, $value := $said }}{{ $_ := set $own $key $value }}{{ end -}}
{{- end -}}
{{ toYaml $own }}
{{- end }}

{{/* Whether replicas run side by side: state in PostgreSQL has one writer, to whom the others hand calls on; state in a pod is its own. */}}
{{- define "eil.together" -}}
{{- if or (not .part.stateful) .root.Values.postgres.url }}true{{ end -}}
{{- end }}

{{- define "eil.image" -}}
{{- $image := .root.Values.image -}}
{{ with $image.registry }}{{ trimSuffix "/" . }}/{{ end }}eil-{{ .name }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* The environment, but for secrets: a map of strings. Numbers by toJson, since 10000000 would else become 1e+07. */}}
{{- define "eil.settings" -}}
{{- $values := .root.Values -}}
{{- $told := dict "state" "/state" "tls_dir" "/tls" "drain_s" (include "eil.drain" . | int) -}}
{{- if eq .name "gateway" -}}
  {{- $told = merge $told (dict "port" 8443 "figures_port" 9090 "upstream" "eil-{service}:7000" "bridge" "eil-bridge:7080") -}}
  {{- with $values.otlp.endpoint }}{{ $_ := set $told "otlp" . }}{{ end -}}
{{- else -}}
  {{- $told = merge $told (dict
      "listen" "[::]:7000" "peers" "dns:///eil-{service}:7000" "jwks" "/tls/jwks.json" "head_key" "/tls/head.ed25519"
      "health_port" 7001 "metrics_port" 9090 "metrics_host" "0.0.0.0" "grace_s" $values.graceSeconds) -}}
  {{- with $values.otlp.endpoint }}{{ $_ := set $told "otlp_endpoint" . }}{{ end -}}
  {{- range $field, $value := $values.settings }}{{ $_ := set $told $field $value }}{{ end -}}
{{- end -}}
{{- if .part.stateful -}}
  {{- with $values.postgres.url }}{{ $_ := set $told "database_url" (replace "{service}" $.name .) }}{{ end -}}
  {{- if $values.kafka.servers -}}
    {{- $_ := set $told "kafka" $values.kafka.servers -}}
    {{- with $values.kafka.prefix }}{{ $_ := set $told "kafka_prefix" . }}{{ end -}}
    {{- if $values.kafka.tls }}{{ $_ := set $told "kafka_ca" "/kafka/ca.crt" }}{{ end -}}
    {{- if $values.kafka.clientCertificate -}}
      {{- $_ := set $told "kafka_cert" "/kafka/tls.crt" }}{{ $_ := set $told "kafka_key" "/kafka/tls.key" -}}
    {{- end -}}
    {{- with $values.kafka.user -}}
      {{- $_ := set $told "kafka_user" . }}{{ $_ := set $told "kafka_password_file" "/kafka/password" -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if eq .name "atlas" -}}
  {{- with $values.neo4j.url -}}
    {{- $_ := set $told "neo4j_url" . }}{{ $_ := set $told "neo4j_user" $values.neo4j.user -}}
    {{- if $values.neo4j.secret }}{{ $_ := set $told "neo4j_password_file" "/neo4j/password" }}{{ end -}}
  {{- end -}}
  {{- with $values.objects.url -}}
    {{- $_ := set $told "objects_url" . }}{{ $_ := set $told "s3_region" $values.objects.region -}}
    {{- with $values.objects.endpoint }}{{ $_ := set $told "s3_endpoint_url" . }}{{ end -}}
  {{- end -}}
{{- else if eq .name "bridge" -}}
  {{- $_ := set $told "http" "[::]:7080" }}{{ $_ := set $told "hosts" (join "," $values.door.hosts) -}}
{{- else if and (eq .name "nvp") (gt (int .own.gpu) 0) -}}
  {{- $_ := set $told "device" "cuda" -}}
{{- end -}}
{{- range $field, $value := .own.settings }}{{ $_ := set $told $field $value }}{{ end -}}
{{- range $field, $value := $told }}
EIL_{{ upper $.name }}_{{ upper $field }}: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}
{{- end }}
{{- end }}

{{/* Who is alone does not linger: nobody else could take the calls. */}}
{{- define "eil.drain" -}}
{{ ternary .root.Values.drainSeconds 0 (include "eil.together" . | eq "true") }}
{{- end }}

{{/* The environment that comes from secrets, or that their use needs. */}}
{{- define "eil.secretEnv" -}}
{{- $values := .root.Values -}}
{{- if and .part.stateful $values.postgres.url -}}
{{- with $values.postgres.secret }}
- name: PGPASSWORD
  valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ replace "{service}" $.name $values.postgres.key | quote }}}}
{{- end }}
{{- if $values.postgres.tls }}
- {name: PGSSLMODE, value: verify-full}
- {name: PGSSLROOTCERT, value: /postgres/ca.crt}
{{- end }}
{{- end -}}
{{- if and (eq .name "atlas") $values.objects.url $values.objects.secret }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ . }}
  valueFrom: {secretKeyRef: {name: {{ $values.objects.secret }}, key: {{ . }}}}
{{- end }}
{{- end }}
{{- end }}

{{/* Folders of secrets, path to secret; YAML of {PATH: {secret: NAME, keys: [KEY, …]}}, without keys all of it. */}}
{{- define "eil.folders" -}}
{{- $values := .root.Values -}}
/tls: {secret: {{ $values.secrets.prefix }}-{{ .name }}}
{{- if eq .name "gateway" }}
/state/keys: {secret: {{ $values.secrets.prefix }}-door}
{{- end }}
{{- if .part.stateful }}
{{- if and $values.postgres.url $values.postgres.tls }}
/postgres: {secret: {{ $values.postgres.secret }}, keys: [ca.crt]} # others' passwords stay out
{{- end }}
{{- if and $values.kafka.servers $values.kafka.secret }}
/kafka: {secret: {{ $values.kafka.secret }}}
{{- end }}
{{- end }}
{{- if and (eq .name "atlas") $values.neo4j.url $values.neo4j.secret }}
/neo4j: {secret: {{ $values.neo4j.secret }}, keys: [password]}
{{- end }}
{{- end }}

{{- define "eil.mounts" -}}
- {name: state, mountPath: /state}
- {name: tmp, mountPath: /tmp}
{{- range $path, $_ := include "eil.folders" . | fromYaml }}
- {name: {{ base $path }}, mountPath: {{ $path }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "eil.volumes" -}}
- {name: state, emptyDir: {}}
- {name: tmp, emptyDir: {}}
{{- range $path, $folder := include "eil.folders" . | fromYaml }}
- name: {{ base $path }}
  secret:
    secretName: {{ $folder.secret }}
    defaultMode: 0440 # read by fsGroup
    {{- with $folder.keys }}
    items:
      {{- range . }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
    {{- end }}
{{- end }}
{{- end }}

{{/* PodSecurity "restricted". The numbers are the images'. */}}
{{- define "eil.podSecurity" -}}
automountServiceAccountToken: false
# Variables that Kubernetes adds for each Service would be taken for settings, and refused.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "eil.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Whom a part dials on port 7000, itself left out: a pod reaches itself without a policy. A list, as JSON in an object. */}}
{{- define "eil.dials" -}}
{{- $heads := ternary (list "atlas") (list) .part.stateful -}}
{{- dict "names" (without (concat .part.calls .part.follows $heads | uniq | sortAlpha) .name) | toJson -}}
{{- end }}

{{/* A NetworkPolicy egress rule to a store: (dict "address" ADDRESSES "port" DEFAULT "peers" PEERS). Ports are read from the addresses. */}}
{{- define "eil.toStore" -}}
{{- $ports := list -}}
{{- range regexFindAll ":[0-9]+([,/?]|$)" .address -1 }}{{ $ports = append $ports (regexFind "[0-9]+" .) }}{{ end -}}
- ports:
    {{- range $ports | default (list .port) | uniq }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .peers }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "eil.toDns" -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
  to: {{- toYaml .root.Values.networkPolicy.dns | nindent 4 }}
{{- end }}

{{- define "eil.toPostgres" -}}
{{ include "eil.toStore" (dict "address" .url "port" 5432 "peers" .peers) }}
{{- end }}
