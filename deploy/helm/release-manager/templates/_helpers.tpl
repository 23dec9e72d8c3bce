{{- define "rm.labels" -}}
app.kubernetes.io/name: release-manager
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "rm.name" -}}
{{ .root.Release.Name }}-{{ .part }}
{{- end }}

{{- define "rm.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "rm.pod" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "rm.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "rm.labels" . | nindent 8 }}
{{- end }}

{{- define "rm.container" -}}
image: {{ include "rm.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
envFrom:
  - secretRef: {name: {{ .root.Values.secretName | quote }}}
env:
  - {name: DATA_DIR, value: /data}
  - {name: METRICS_PORT, value: "9100"}
  - {name: METRICS_ADDRESS, value: 0.0.0.0}
  {{- with .root.Values.streamUrl }}
  - {name: STREAM_URL, value: {{ . | quote }}}
  {{- end }}
  {{- range $name, $value := .root.Values.env }}
  - {name: {{ $name }}, value: {{ $value | quote }}}
  {{- end }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: data, mountPath: /data}
  {{- if .root.Values.caSecretName }}
  - {name: ca, mountPath: /etc/release-manager/ca, readOnly: true}
  {{- end }}
{{- end }}

{{- define "rm.volumes" -}}
volumes:
  - {name: tmp, emptyDir: {}}
  - {name: data, emptyDir: {}}
  {{- if .root.Values.caSecretName }}
  - {name: ca, secret: {secretName: {{ .root.Values.caSecretName | quote }}}}
  {{- end }}
{{- end }}
