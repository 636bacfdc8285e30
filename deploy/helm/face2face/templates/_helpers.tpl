{{- define "face2face.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "face2face.labels" -}}
app.kubernetes.io/name: face2face
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "face2face.selector" -}}
app.kubernetes.io/name: face2face
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "face2face.image" -}}
{{- if contains "@" .Values.image.repository -}}
{{ .Values.image.repository }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* A value as a setting has it: Helm writes a large whole number of a file as 4.29e+09. */}}
{{- define "face2face.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{/* The port of a broker's address or a URL; nothing of an empty one. */}}
{{- define "face2face.port" -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" (trimSuffix "/" .)) | default (ternary "443" (ternary "80" "" (hasPrefix "http:" .)) (hasPrefix "https:" .)) -}}
{{- end -}}

{{- define "face2face.podSecurity" -}}
runAsNonRoot: true
{{- range $name := list "runAsUser" "runAsGroup" "fsGroup" }}
{{- $number := index $.Values.podSecurity $name }}
{{- if not (kindIs "invalid" $number) }}
{{ $name }}: {{ $number | int64 }}
{{- end }}
{{- end }}
{{- if not (kindIs "invalid" .Values.podSecurity.fsGroup) }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "face2face.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where brokers and store are, for every pod. Secrets come as files, never as plain values. */}}
{{- define "face2face.env" -}}
- {name: KAFKA_BOOTSTRAP_SERVERS, value: {{ join "," .Values.kafka.bootstrapServers | quote }}}
- {name: KAFKA_GROUP_ID, value: {{ .Values.kafka.groupId | quote }}}
- {name: F2F_TOPIC_PREFIX, value: {{ .Values.kafka.topicPrefix | quote }}}
- {name: KAFKA_SECURITY_PROTOCOL, value: {{ .Values.kafka.securityProtocol | quote }}}
{{- if hasPrefix "SASL" .Values.kafka.securityProtocol }}
- {name: KAFKA_SASL_MECHANISM, value: {{ .Values.kafka.saslMechanism | quote }}}
- {name: KAFKA_SASL_USERNAME_FILE, value: /run/secrets/kafka/username}
- {name: KAFKA_SASL_PASSWORD_FILE, value: /run/secrets/kafka/password}
{{- end }}
{{- if .Values.kafka.caSecret }}
- {name: KAFKA_SSL_CA_FILE, value: /run/secrets/kafka-ca/ca.crt}
{{- end }}
- {name: S3_ENDPOINT, value: {{ .Values.s3.endpoint | quote }}}
{{- if .Values.s3.publicEndpoint }}
- {name: S3_PUBLIC_ENDPOINT, value: {{ .Values.s3.publicEndpoint | quote }}}
{{- end }}
- {name: S3_BUCKET, value: {{ .Values.s3.bucket | quote }}}
- {name: S3_REGION, value: {{ .Values.s3.region | quote }}}
{{- if eq .Values.s3.credentials "aws" }}
- {name: S3_CREDENTIALS, value: aws}
{{- else }}
- {name: S3_ACCESS_KEY_FILE, value: /run/secrets/s3/access-key}
- {name: S3_SECRET_KEY_FILE, value: /run/secrets/s3/secret-key}
{{- end }}
{{- if .Values.s3.caSecret }}
- {name: S3_CA_FILE, value: /run/secrets/s3-ca/ca.crt}
{{- end }}
{{- if .Values.otlpEndpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .Values.otlpEndpoint | quote }}}
{{- end }}
{{- end -}}

{{- define "face2face.secretMounts" -}}
{{- if ne .Values.s3.credentials "aws" }}
- {name: s3-secret, mountPath: /run/secrets/s3, readOnly: true}
{{- end }}
{{- if hasPrefix "SASL" .Values.kafka.securityProtocol }}
- {name: kafka-secret, mountPath: /run/secrets/kafka, readOnly: true}
{{- end }}
{{- if .Values.kafka.caSecret }}
- {name: kafka-ca, mountPath: /run/secrets/kafka-ca, readOnly: true}
{{- end }}
{{- if .Values.s3.caSecret }}
- {name: s3-ca, mountPath: /run/secrets/s3-ca, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "face2face.secretVolumes" -}}
{{- if ne .Values.s3.credentials "aws" }}
- {name: s3-secret, secret: {secretName: {{ .Values.s3.credentialsSecret }}, defaultMode: 0440}}
{{- end }}
{{- if hasPrefix "SASL" .Values.kafka.securityProtocol }}
- {name: kafka-secret, secret: {secretName: {{ .Values.kafka.credentialsSecret }}, defaultMode: 0440}}
{{- end }}
{{- if .Values.kafka.caSecret }}
- {name: kafka-ca, secret: {secretName: {{ .Values.kafka.caSecret }}, defaultMode: 0440}}
{{- end }}
{{- if .Values.s3.caSecret }}
- {name: s3-ca, secret: {secretName: {{ .Values.s3.caSecret }}, defaultMode: 0440}}
{{- end }}
- {name: tmp, emptyDir: {medium: Memory, sizeLimit: 256Mi}}
{{- end -}}
