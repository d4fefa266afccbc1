# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the script that sources this
# The cluster: which one, whether it answers, whether it knows all kinds that a render has. Sourced by deploy.sh.

k() { kubectl --context "$context" "$@"; }
kn() { k --namespace "$namespace" "$@"; }

# Components, replacements and `kubectl diff --server-side` as they are used here: kustomize 5, which came with kubectl 1.27.
check_kubectl() {
  local version
  version=$(kubectl version --client -o json | awk -F '"' '/"gitVersion"/ && !found++ { print $4 }')
  printf '%s\n' "$version" | awk -F '[v.]' '$2 > 1 || ($2 == 1 && $3 + 0 >= 27) { ok = 1 } END { exit !ok }' ||
    die "kubectl is ${version:-of an unknown version}, and 1.27 or newer is needed: $(where_to_get kubectl)"
}

# choose_context sets $context. Production is never reached by accident: the current context must be the one that the
# overlay names, or --context says another one in so many words.
choose_context() {
  local named current
  named=$(value "$environment" context)
  if [ -n "$context_option" ]; then
    kubectl config get-contexts "$context_option" -o name >/dev/null 2>&1 ||
      die "kubectl knows no context $context_option: kubectl config get-contexts lists them"
    context=$context_option
    return
  fi
  [ -n "$named" ] || die ".k8s/overlays/$environment/values.yaml names no context: fill it in, or pass --context"
  current=$(kubectl config current-context 2>/dev/null) || current=""
  [ -n "$current" ] || die "no kubectl context is set, and $environment is deployed to $named:
  kubectl config use-context $named"
  [ "$current" = "$named" ] || die "the current kubectl context is $current, and $environment is deployed to $named:
  kubectl config use-context $named, or --context $current if that is what you mean"
  context=$named
}

# reach_cluster lists what the cluster knows, once; fails where it does not answer. An aggregated API that is down makes
# kubectl list the others and exit 1.
reach_cluster() {
  k api-versions >"$work/api-versions" 2>"$work/errors" || return 1
  if ! k api-resources --no-headers >"$work/api-resources" 2>"$work/errors"; then
    [ -s "$work/api-resources" ] || return 1
    warn "kubectl api-resources was incomplete: $(tail -n 1 "$work/errors")"
  fi
}

# knows GROUP KIND: whether the cluster has this kind. SHORTNAMES may be empty, so columns count from the right.
knows() {
  awk -v group="$1" -v kind="$2" '
    { own = $(NF - 2); if (!sub("/.*", "", own)) own = "" }
    own == group && $NF == kind { found = 1 }
    END { exit !found }' "$work/api-resources"
}

# what_brings GROUP says what to install for an API group.
what_brings() {
  case $1 in
    *.istio.io) echo 'Istio, with its CNI plugin and native sidecars: https://istio.io/latest/docs/setup/additional-setup/cni' ;;
    keda.sh) echo 'KEDA: https://keda.sh/docs/latest/deploy' ;;
    monitoring.coreos.com) echo 'the Prometheus Operator: https://prometheus-operator.dev' ;;
    external-secrets.io) echo 'the External Secrets Operator: https://external-secrets.io' ;;
    metrics.k8s.io) echo 'metrics-server (Minikube: minikube addons enable metrics-server)' ;;
    *) echo "what defines $1" ;;
  esac
}

# check_apis FILE ends the script unless the cluster knows all kinds of the render, naming the component that brings each.
check_apis() {
  local api kind group missing=""
  objects "$1" | awk '{ print $1, $2 }' | sort -u >"$work/kinds"
  while read -r api kind; do
    group=""
    case $api in */*) group=${api%%/*} ;; esac
    if ! grep -Fxq -- "$api" "$work/api-versions" || ! knows "$group" "$kind"; then
      missing="$missing
  $kind ($api), of $(components_with "$kind"): install $(what_brings "$group")"
    fi
  done <"$work/kinds"
  if grep -q ' HorizontalPodAutoscaler$' "$work/kinds" && ! grep -q '^metrics\.k8s\.io/' "$work/api-versions"; then
    missing="$missing
  the figures that a HorizontalPodAutoscaler reads (metrics.k8s.io): install $(what_brings metrics.k8s.io)"
  fi
  [ -z "$missing" ] || die "the cluster of context $context lacks:$missing
or take the component out of .k8s/overlays/$environment/kustomization.yaml"
}
