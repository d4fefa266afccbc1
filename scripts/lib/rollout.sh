# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the script that sources this
# Apply, wait, prune, and what to show when it fails. Sourced by deploy.sh. Functions that may run inside a condition
# return on failure themselves, because `set -e` does not count there.

manager=mlapi-deploy
part_of=app.kubernetes.io/part-of=mlapi

# Kinds that a component may bring and another render may no longer have, by the name that kubectl takes. Not here, so
# never deleted: Namespace, PersistentVolumeClaim and Secret, which hold what cannot be made again from the repository.
prunable='
  ConfigMap configmaps
  Service services
  ServiceAccount serviceaccounts
  Deployment deployments.apps
  CronJob cronjobs.batch
  HorizontalPodAutoscaler horizontalpodautoscalers.autoscaling
  PodDisruptionBudget poddisruptionbudgets.policy
  NetworkPolicy networkpolicies.networking.k8s.io
  Role roles.rbac.authorization.k8s.io
  RoleBinding rolebindings.rbac.authorization.k8s.io
  VirtualService virtualservices.networking.istio.io
  DestinationRule destinationrules.networking.istio.io
  Gateway gateways.networking.istio.io
  PeerAuthentication peerauthentications.security.istio.io
  AuthorizationPolicy authorizationpolicies.security.istio.io
  ScaledObject scaledobjects.keda.sh
  TriggerAuthentication triggerauthentications.keda.sh
  PodMonitor podmonitors.monitoring.coreos.com
  ExternalSecret externalsecrets.external-secrets.io
  SecretStore secretstores.external-secrets.io
'

# show_differences FILE sets $different to 1 or 0.
show_differences() {
  local status=0
  k diff --server-side --force-conflicts --field-manager="$manager" -f "$1" || status=$?
  case $status in
    0) different=0 ;;
    1) different=1 ;;
    *) die "kubectl diff failed with status $status: $untouched" ;;
  esac
}

# Conflicts are forced: the repository says how things are, and the differences were shown before.
apply() { k apply --server-side --force-conflicts --field-manager="$manager" -f "$1"; }

# keep_replicas FILE: the manifests leave `replicas` to the autoscaler. Where a Deployment was made in another way (kubectl
# apply without --server-side, another tool) and no autoscaler has changed it yet, that field comes to belong to this
# script and is then dropped, which means 1 pod. A field manager of its own holds the number until the autoscaler takes it.
keep_replicas() {
  local name replicas owners
  documents only Deployment "$1" | awk '
    function put() { if (name != "" && !has) print name; name = ""; has = inside = 0 }
    /^---/ { put(); next }
    /^[^ #-]/ { inside = ($1 == "metadata:") }
    inside && /^  name:/ { name = $2 }
    /^  replicas:/ { has = 1 }
    END { put() }' >"$work/without-replicas"
  kn get deployments -l "$part_of" -o go-template="$replica_owners" >"$work/replicas" || return 1
  while read -r name replicas owners; do
    grep -Fxq -- "$name" "$work/without-replicas" || continue
    [ "$replicas" -gt 1 ] || continue
    case " $owners " in *"/scale "* | *" $manager-replicas "*) continue ;; esac
    say "deployment/$name keeps its $replicas replicas until its autoscaler changes them"
    printf '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"%s","namespace":"%s"},"spec":{"replicas":%s}}\n' \
      "$name" "$namespace" "$replicas" >"$work/keep-replicas.json"
    # The selector and the template are required fields, so the client must not check.
    k apply --server-side --field-manager="$manager-replicas" --validate=false -f "$work/keep-replicas.json" </dev/null || return 1
  done <"$work/replicas"
}
# shellcheck disable=SC2016 # the dollars are the template's
replica_owners='{{range .items}}{{.metadata.name}} {{.spec.replicas}}{{range .metadata.managedFields}}{{$owner := .}}{{with index .fieldsV1 "f:spec"}}{{range $field, $x := .}}{{if eq $field "f:replicas"}} {{$owner.manager}}{{with $owner.subresource}}/{{.}}{{end}}{{end}}{{end}}{{end}}{{end}}{{"\n"}}{{end}}'

# routes_to_new_pods FILE: whether it has routes, and a Deployment that the cluster has not. After keep_replicas, which
# listed those that it has.
routes_to_new_pods() {
  local name
  objects "$1" | grep ' VirtualService ' >/dev/null || return 1
  for name in $(deployments "$1"); do
    awk -v name="$name" '$1 == name { found = 1 } END { exit !found }' "$work/replicas" || return 0
  done
  return 1
}

# wait_for_rollouts FILE waits for each Deployment of the render. In the background, because bash hears of a signal while
# it waits and not while it runs a command, and without functions between, which would be what is ended in place of kubectl.
waited_for=""
wait_for_rollouts() {
  local name status
  for name in $(deployments "$1"); do
    status=0
    kubectl --context "$context" --namespace "$namespace" rollout status "deployment/$name" --timeout="${timeout}s" &
    waited_for=$!
    wait "$waited_for" || status=$?
    waited_for=""
    [ "$status" = 0 ] || return 1
  done
}

stop_waiting() {
  if [ -n "$waited_for" ]; then kill "$waited_for" 2>/dev/null || true; fi
  waited_for=""
}

# find_obsolete FILE writes to $work/obsolete what this script applied earlier and FILE has no more, as TYPE/NAME.
# `kubectl apply --prune` cannot do that: it looks at an annotation that server-side apply does not write. Objects that have
# an owner go with it, what other tools applied is theirs, and ConfigMaps stay for one render more.
find_obsolete() {
  local kind resource types=""
  while read -r kind resource; do
    case $resource in
      '') ;;
      *.*) if knows "${resource#*.}" "$kind"; then types="$types,$resource"; fi ;;
      *) types="$types,$resource" ;;
    esac
  done <<EOF
$prunable
EOF
  kn get "${types#,}" -l "$part_of" -o go-template="$ours" >"$work/ours" || return 1
  objects "$1" >"$work/wanted"
  kept_for_undo "$1" >>"$work/wanted" || return 1
  sort -u "$work/ours" | awk -v table="$(printf '%s' "$prunable" | tr '\n' ' ')" '
    function group(api) { return api ~ /\// ? substr(api, 1, index(api, "/") - 1) : "" }
    BEGIN { n = split(table, word, " "); for (i = 1; i < n; i += 2) resource[word[i]] = word[i + 1] }
    FNR == NR { wanted[group($1) " " $2 " " $4] = 1; next }
    !((group($1) " " $2 " " $3) in wanted) { print resource[$2] "/" $3 }' "$work/wanted" - >"$work/obsolete"
}
# shellcheck disable=SC2016 # the dollars are the template's
ours='{{range .items}}{{$object := .}}{{if not .metadata.ownerReferences}}{{range .metadata.managedFields}}{{if and (eq .manager "'$manager'") (eq .operation "Apply")}}{{$object.apiVersion}} {{$object.kind}} {{$object.metadata.name}}{{"\n"}}{{end}}{{end}}{{end}}{{end}}'

delete_obsolete() {
  local object
  while read -r object; do
    kn delete "$object" --ignore-not-found </dev/null || return 1
  done <"$work/obsolete"
}

# show_failure: events, and the logs of pods that are not ready. No environment and no manifest: these may hold secrets.
show_failure() {
  local pod restarted container
  step "What the cluster says"
  kn get pods -l "$part_of" -o wide || true
  say
  kn get events --field-selector type=Warning --sort-by=.lastTimestamp | tail -n 30 || true
  kn get pods -l "$part_of" -o go-template="$failing" >"$work/failing" || true
  while read -r pod restarted; do
    step "Log of $pod"
    kn logs "$pod" --all-containers --prefix --tail=40 </dev/null || true
    # What a container said before it was started anew, where the reason is. One by one: those without a past are errors.
    for container in $restarted; do
      say "before its restart:"
      kn logs "$pod" --container "$container" --prefix --tail=40 --previous </dev/null || true
    done
  done <"$work/failing"
}
# shellcheck disable=SC2016 # the dollars are the template's
failing='{{range .items}}{{$ready := false}}{{range .status.conditions}}{{if and (eq .type "Ready") (eq .status "True")}}{{$ready = true}}{{end}}{{end}}{{if not $ready}}{{.metadata.name}}{{range .status.initContainerStatuses}}{{if .restartCount}} {{.name}}{{end}}{{end}}{{range .status.containerStatuses}}{{if .restartCount}} {{.name}}{{end}}{{end}}{{"\n"}}{{end}}{{end}}'
