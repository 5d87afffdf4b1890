{{/* Labels of everything, and those by which pods are found. */}}
{{- define "chitlaq.labels" -}}
app.kubernetes.io/name: chitlaq
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "chitlaq.selector" -}}
app.kubernetes.io/name: chitlaq
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "chitlaq.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag }}{{ end }}
{{- end }}

{{/* The services whose containers a pod has: of members, in the order of their ports; and ops-service. */}}
{{- define "chitlaq.services" -}}
api-gateway websocket feed-service search-service auth-service
{{- end }}

{{- define "chitlaq.host" -}}
{{ trimPrefix "https://" .Values.publicUrl }}
{{- end }}

{{/* The Secret with the URL of PostgreSQL: CloudNativePG makes one of the owner. */}}
{{- define "chitlaq.databaseSecret" -}}
{{ ternary (printf "%s-postgres-app" .Release.Name) .Values.database.secret.name .Values.database.operator.enabled }}
{{- end }}

{{/* What all containers have in common. */}}
{{- define "chitlaq.confined" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "chitlaq.podConfined" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}
