{{- define "ringgate.log" -}}
- {name: RINGGATE_LOG_FORMAT, value: {{ .Values.log.format }}}
{{- if ne .Values.log.level "info" }}
- {name: RINGGATE_LOG_LEVEL, value: {{ .Values.log.level | quote }}}
{{- end }}
{{- end }}

{{- define "ringgate.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
