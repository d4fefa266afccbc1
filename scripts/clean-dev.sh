#!/usr/bin/env bash
# Removes what ./deploy.sh dev made: the namespace with all that is in it, the images inside Minikube, the layer with its
# renders and the password of Redis. A Minikube profile is deleted only if deploy.sh made it.
#
#   make clean-dev
#   scripts/clean-dev.sh [--context PROFILE] [--dry-run] [--yes]
#
# What is not there is passed over, so that it can be repeated.
# shellcheck disable=SC2034 # some variables are read by the libraries alone
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"
# shellcheck source=scripts/lib/render.sh
. "$root/scripts/lib/render.sh"
# shellcheck source=scripts/lib/minikube.sh
. "$root/scripts/lib/minikube.sh"

assume_yes=0 dry_run=0 context=$(value dev context)
while [ $# -gt 0 ]; do
  case $1 in
    --context)
      [ $# -ge 2 ] || usage_error "--context wants a value"
      context=$2
      shift
      ;;
    --yes) assume_yes=1 ;;
    --dry-run) dry_run=1 ;;
    --help | -h)
      print_help "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *) usage_error "unknown argument: $1" ;;
  esac
  shift
done
generated=$root/.k8s/.generated
namespace=$(value dev namespace)

# remove_from_cluster leaves the profile, which is somebody else's, and takes out what is ours.
remove_from_cluster() {
  local image
  act kubectl --context "$context" delete namespace "$namespace" --ignore-not-found
  # Named docker.io/library/mlapi:TAG, or without the registry, by the container runtime.
  for image in $(mk image ls | grep -E '^(docker\.io/library/)?mlapi:' || true); do
    act minikube --profile "$context" image rm "$image"
  done
}

state=absent
if command -v minikube >/dev/null 2>&1; then state=$(minikube_state); fi
made=$generated/dev/made-profile
if [ "$state" != absent ] && grep -Fxqs -- "$context" "$made"; then
  confirm "Delete the Minikube profile $context, which deploy.sh made, with all that is in it?"
  act minikube --profile "$context" delete
elif [ "$state" = running ]; then
  need_tools kubectl
  confirm "Delete namespace $namespace of context $context, and the images mlapi inside Minikube?"
  remove_from_cluster
elif [ "$state" = stopped ]; then
  die "the Minikube profile $context is stopped, and what is inside cannot be removed: minikube --profile $context start, then again"
fi
# That deploy.sh made another profile, too, must be known when that one is to go.
others=$(grep -Fxvs -- "$context" "$made" || true)
act rm -rf "$generated/dev"
if [ -n "$others" ] && [ "$dry_run" = 0 ]; then
  mkdir -p "$generated/dev"
  printf '%s\n' "$others" >"$made"
fi
