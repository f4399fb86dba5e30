{{/* Labels of every object. The pods carry the name alone, so that a new chart is no new pod. */}}
{{- define "modelward.labels" -}}
{{- with .Values.labels }}
{{- toYaml (omit . "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart") }}
{{ end -}}
app.kubernetes.io/name: modelward
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels and annotations of an object, below `metadata`. */}}
{{- define "modelward.metadata" -}}
labels:
  {{- include "modelward.labels" . | nindent 2 }}
{{- with .Values.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The text of a file that is not the chart's own: (list . PATH). Without symbolic links there is a path instead of it. */}}
{{- define "modelward.file" -}}
{{- $text := (index . 0).Files.Get (index . 1) }}
{{- if not (contains "apiVersion: " $text) }}
{{- fail (printf "%s is not what it should be: this copy of the chart has lost its symbolic links. Take a package, as `make chart` writes it" (index . 1)) }}
{{- end }}
{{- $text }}
{{- end }}

{{/* An object of a file that is not the chart's own, with the release's labels: (list . OBJECT ANNOTATIONS). */}}
{{- define "modelward.adopted" -}}
{{- $root := index . 0 }}
{{- $object := index . 1 }}
{{- $metadata := $object.metadata }}
{{- $labels := merge (include "modelward.labels" $root | fromYaml) ($metadata.labels | default dict) }}
{{- $annotations := merge (index . 2) ($metadata.annotations | default dict) $root.Values.annotations }}
{{- $_ := set $metadata "labels" $labels }}
{{- if $annotations }}
{{- $_ := set $metadata "annotations" $annotations }}
{{- end }}
{{- toYaml $object }}
{{- end }}

{{/* Rules of the operator as a map of one key, without those that the values switch off: (dict "root" . "namespaced" BOOL).
In a Role, what has no namespace would grant nothing. */}}
{{- define "modelward.rules" -}}
{{- $rules := list }}
{{- range (include "modelward.file" (list .root "files/role.yaml") | fromYaml).rules }}
{{- $resources := .resources }}
{{- if $.namespaced }}
{{- $resources = without $resources "clustermodelruntimes" }}
{{- end }}
{{- if or $.root.Values.rbac.gateway (not (has "gateway.networking.k8s.io" .apiGroups)) }}
{{- $rules = append $rules (set . "resources" $resources) }}
{{- end }}
{{- end }}
{{- toYaml (dict "rules" $rules) }}
{{- end }}

{{/* The operator's account, as the subject of a binding. */}}
{{- define "modelward.subjects" -}}
subjects:
- kind: ServiceAccount
  name: {{ .Values.serviceAccount.name }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- define "modelward.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* "true" if several operators agree by a Lease, as they do unless the settings say otherwise. */}}
{{- define "modelward.elects" -}}
{{- $election := .Values.settings.leaderElection | default dict }}
{{- if or (not (hasKey $election "enabled")) $election.enabled }}true{{ end }}
{{- end }}

{{/* "true" if ClusterModelRuntimes are read, as they are unless the settings say otherwise. */}}
{{- define "modelward.clusterRuntimes" -}}
{{- if or (not (hasKey .Values.settings "clusterRuntimes")) .Values.settings.clusterRuntimes }}true{{ end }}
{{- end }}
