{{/*
A pod: an application node in small. Its services meet at Unix sockets, whoever connects there is believed
about clients' addresses, and nginx reaches them nowhere else (docs/kubernetes.md).

Argument: a dict of the root context and whether ops-service is in it.
*/}}
{{- define "chitlaq.pod" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $services := splitList " " (include "chitlaq.services" $root) -}}
{{- if .operations }}{{ $services = append $services "ops-service" }}{{ end -}}
automountServiceAccountToken: false
# Of a Service chitlaq-…, the variables would be read as settings.
enableServiceLinks: false
# Longer than requests in flight take (20 s), and what each container waits before it stops.
terminationGracePeriodSeconds: 60
securityContext: {{- include "chitlaq.podConfined" $root | nindent 2 }}
{{- with $values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "chitlaq.selector" $root | nindent 8 }}
initContainers:
  {{- include "chitlaq.prepare" $root | nindent 2 }}
containers:
  {{- range $services }}
  - name: {{ . }}
    image: {{ include "chitlaq.image" $root }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    args: [serve, {{ . }}]
    {{- include "chitlaq.confined" $root | nindent 4 }}
    resources: {{- toYaml (required (printf "resources.%s" .) (index $values.resources .)) | nindent 6 }}
    # Ready once it has reached PostgreSQL. Afterwards it stays in: without PostgreSQL, all pods would leave at
    # once, and members would not even get the page that says so.
    startupProbe:
      exec: {command: [healthcheck, /ready]}
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: 60
    readinessProbe:
      exec: {command: [healthcheck, /live]}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 2
    livenessProbe:
      exec: {command: [healthcheck, /live]}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    lifecycle:
      # After nginx, which sends requests here until it stops.
      preStop: {sleep: {seconds: 15}}
    volumeMounts:
      - {name: home, mountPath: /var/lib/chitlaq}
      - {name: run, mountPath: /var/lib/chitlaq/run}
      - {name: logs, mountPath: /var/lib/chitlaq/logs}
      - {name: nginx, mountPath: /var/lib/chitlaq/nginx}
      - {name: private, mountPath: /run/chitlaq}
      - {name: tmp, mountPath: /tmp, subPath: {{ . }}}
      {{- if eq . "ops-service" }}
      - {name: status-page, mountPath: /var/lib/chitlaq/status-page}
      - {name: data, mountPath: /var/lib/chitlaq/ops, subPath: ops}
      - {name: data, mountPath: /opt/backups/chitlaq, subPath: backups}
      {{- end }}
  {{- end }}
  - name: nginx
    image: {{ $values.nginx.image }}
    # As in deploy/compose.yaml. The log is shown here, counted by api-gateway, and begun anew at 100 MB.
    command:
      - sh
      - -c
      - >-
        rm -f sockets/*.sock; log=../logs/nginx-access.log;
        tail -n 0 -F $log 2>/dev/null &
        while sleep 60; do [ "$(stat -c %s $log)" -lt 100000000 ] || : >$log; done &
        exec nginx -p "$PWD" -c nginx.conf -g "daemon off;"
    workingDir: /var/lib/chitlaq/nginx
    {{- include "chitlaq.confined" $root | nindent 4 }}
    resources: {{- toYaml $values.resources.nginx | nindent 6 }}
    ports:
      - {name: http, containerPort: 8080}
      - {name: gateway, containerPort: 3001}
    {{- range $name, $times := dict "startupProbe" (list 2 60) "readinessProbe" (list 5 2) "livenessProbe" (list 10 6) }}
    {{ $name }}:
      exec:
        command: [curl, -sf, --unix-socket, /var/lib/chitlaq/nginx/sockets/probe.sock, http://localhost/-/alive]
      periodSeconds: {{ index $times 0 }}
      timeoutSeconds: 5
      failureThreshold: {{ index $times 1 }}
    {{- end }}
    lifecycle:
      # Until no node sends new connections to a pod that goes.
      preStop: {sleep: {seconds: 8}}
    volumeMounts:
      - {name: run, mountPath: /var/lib/chitlaq/run}
      - {name: logs, mountPath: /var/lib/chitlaq/logs}
      - {name: nginx, mountPath: /var/lib/chitlaq/nginx}
      - {name: certificates, mountPath: /var/lib/chitlaq/certificates, readOnly: true}
      - {name: status-page, mountPath: /var/lib/chitlaq/status-page, readOnly: true}
      - {name: tmp, mountPath: /tmp, subPath: nginx}
  # Where Prometheus reads what the services say of themselves at their sockets, and nothing else of them.
  - name: metrics
    image: {{ $values.nginx.image }}
    command: [nginx, -c, /etc/chitlaq/metrics/metrics.conf, -g, daemon off;]
    {{- include "chitlaq.confined" $root | nindent 4 }}
    resources: {{- toYaml $values.resources.metrics | nindent 6 }}
    ports:
      - {name: metrics, containerPort: 9464}
    {{- range $name, $times := dict "startupProbe" (list 2 60) "readinessProbe" (list 10 2) "livenessProbe" (list 10 6) }}
    {{ $name }}:
      httpGet: {path: /-/alive, port: metrics}
      periodSeconds: {{ index $times 0 }}
      timeoutSeconds: 5
      failureThreshold: {{ index $times 1 }}
    {{- end }}
    volumeMounts:
      - {name: metrics, mountPath: /etc/chitlaq/metrics, readOnly: true}
      - {name: run, mountPath: /var/lib/chitlaq/run, readOnly: true}
      - {name: tmp, mountPath: /tmp, subPath: metrics}
volumes:
  {{- include "chitlaq.volumes" $root | nindent 2 }}
{{- end }}

{{/* Writes what the others read: secrets from their Secret, settings, nginx's configuration. */}}
{{- define "chitlaq.prepare" -}}
- name: prepare
  image: {{ include "chitlaq.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [sh, /etc/chitlaq/scripts/prepare]
  {{- include "chitlaq.confined" . | nindent 2 }}
  resources: {{- toYaml .Values.resources.prepare | nindent 4 }}
  volumeMounts:
    - {name: scripts, mountPath: /etc/chitlaq/scripts, readOnly: true}
    - {name: secrets, mountPath: /etc/chitlaq/secrets, readOnly: true}
    - {name: settings, mountPath: /etc/chitlaq/settings, readOnly: true}
    - {name: home, mountPath: /var/lib/chitlaq}
    - {name: run, mountPath: /var/lib/chitlaq/run}
    - {name: logs, mountPath: /var/lib/chitlaq/logs}
    - {name: nginx, mountPath: /var/lib/chitlaq/nginx}
    - {name: certificates, mountPath: /var/lib/chitlaq/certificates}
    - {name: private, mountPath: /run/chitlaq}
    - {name: tmp, mountPath: /tmp, subPath: prepare}
{{- end }}

{{/* The volumes of a pod. Secrets and what holds passwords are in memory. */}}
{{- define "chitlaq.volumes" -}}
- name: scripts
  configMap: {name: {{ .configuration | default "configuration" }}, items: [{key: prepare, path: prepare}]}
- name: metrics
  configMap: {name: {{ .configuration | default "configuration" }}, items: [{key: metrics.conf, path: metrics.conf}]}
- name: secrets
  secret: {secretName: {{ .Values.secrets.name }}, defaultMode: 0440}
- name: settings
  projected:
    defaultMode: 0440
    sources:
      - configMap:
          name: {{ .configuration | default "configuration" }}
          items: [{key: chitlaq.toml, path: public.toml}]
      - secret:
          name: {{ include "chitlaq.databaseSecret" . }}
          items: [{key: {{ ternary "uri" .Values.database.secret.key .Values.database.operator.enabled }}, path: database_url}]
      - secret:
          name: {{ .Values.valkey.secret.name }}
          items: [{key: {{ .Values.valkey.secret.key }}, path: redis_url}]
      {{- if .Values.settingsSecret.name }}
      - secret:
          name: {{ .Values.settingsSecret.name }}
          items: [{key: {{ .Values.settingsSecret.key }}, path: private.toml}]
      {{- end }}
- name: private
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
- name: certificates
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- range $name, $size := dict "home" "2Gi" "run" "256Mi" "logs" "1Gi" "nginx" "2Gi" "status-page" "64Mi" "tmp" "1Gi" }}
- name: {{ $name }}
  emptyDir: {sizeLimit: {{ $size }}}
{{- end }}
{{- end }}

{{/* What configures a pod; rendered twice, since hooks run before the rest of a release exists. */}}
{{- define "chitlaq.configuration" -}}
chitlaq.toml: |
  host = "0.0.0.0"
  public_url = {{ .Values.publicUrl | toJson }}
  trusted_proxies = {{ .Values.trustedProxies | toJson }}
  demo = false
  monitoring.embedded = false
  media.url = {{ .Values.media.url | toJson }}
  {{- with .Values.media.s3Endpoint }}
  media.s3_endpoint = {{ . | toJson }}
  {{- end }}
  media.s3_region = {{ .Values.media.s3Region | toJson }}
  {{- with .Values.monitoring.prometheusUrl }}
  prometheus_url = {{ . | toJson }}
  {{- end }}
  {{- with .Values.monitoring.alertmanagerUrl }}
  alertmanager_url = {{ . | toJson }}
  {{- end }}
  {{- range $name, $value := .Values.settings }}
  {{ $name }} = {{ $value | toJson }}
  {{- end }}
prepare: |
  set -eu
  umask 077
  given=/etc/chitlaq own=/run/chitlaq home=/var/lib/chitlaq
  mkdir -p $own/secrets
  cp -L $given/secrets/* $own/secrets/
  {
    cat $given/settings/public.toml
    for name in database_url redis_url; do
      printf '%s = "%s"\n' $name "$(cat $given/settings/$name)"
    done
    cat $given/settings/private.toml 2>/dev/null || true
  } >$own/chitlaq.toml
  ln -sfn $own/secrets $home/secrets
  ln -sfn $own/chitlaq.toml $home/chitlaq.toml
  chitlaq config containers
  # What was missing has been made, and would differ from pod to pod.
  for made in $own/secrets/*; do
    [ -e $given/secrets/${made##*/} ] || { echo "the Secret lacks ${made##*/}: chitlaq config secrets" >&2; exit 1; }
  done
metrics.conf: |
  worker_processes 1;
  pid /tmp/nginx.pid;
  error_log stderr warn;
  events { worker_connections 128; }
  http {
    access_log off;
    server_tokens off;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    proxy_set_header Host localhost;
    # Services believe what comes by their sockets.
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Limited-Address $remote_addr;
    proxy_set_header X-Forwarded-For "";
    proxy_set_header X-Forwarded-Proto "";
    server {
      listen 9464;
      location = /-/alive { return 200; }
      {{- range append (splitList " " (include "chitlaq.services" .)) "ops-service" }}
      location = /{{ . }}/metrics {
        limit_except GET { deny all; }
        proxy_pass http://unix:/var/lib/chitlaq/run/{{ . }}.0.sock:/metrics;
      }
      {{- end }}
      # Where Alertmanager reports, with the token that ops-service asks for.
      location = /alerts {
        limit_except POST { deny all; }
        proxy_pass http://unix:/var/lib/chitlaq/run/ops-service.0.sock:/alerts;
      }
      location / { return 404; }
    }
  }
{{- end }}
