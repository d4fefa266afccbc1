#!/usr/bin/env bash
# Deploys mlapi with Kustomize, and checks that it answers. docs/operations.md tells what to do when.
#
#   ./deploy.sh [dev|prod] [options]
#
#   dev    Minikube, the default: started if needed, the image built inside it
#   prod   the cluster whose kubectl context .k8s/overlays/prod/values.yaml names
#
#   --image REF              the image; for prod NAME@sha256:DIGEST. By default dev builds one from this checkout,
#                            and prod takes the one that build-push.sh pushed last (.k8s/.generated/image)
#   --model MODEL            what to build the image of dev with: starter (the default), or as build-push.sh takes it
#   --canary REF             run REF beside what is running, behind /project/v2 and for a share of /project
#   --canary-weight N        that share in per cent, 0 to 100 (default 10)
#   --promote                give the canary's image to all pods and remove the canary
#   --abort-canary           remove the canary
#   --rollback               apply the render that ran before the current one
#   --context NAME           another kubectl context than values.yaml names; for dev a Minikube profile
#   --gateway ADDRESS:PORT   where the smoke test of prod finds the gateway, if not at the one load balancer in
#                            gatewayNamespace
#   --timeout SECONDS        for each rollout (default: progressDeadlineSeconds and one minute)
#   --smoke-timeout SECONDS  for the smoke test (default 60)
#   --dry-run                say what would be done, change nothing
#   --yes                    do not ask
#   --help                   this text
#
# Exit status: 0 deployed and answering; 1 refused or failed, the previous render is back if there was one; 2 wrong use.
# shellcheck disable=SC2034 # many variables are read by the libraries alone
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
cd "$root"
for library in common render cluster layer images minikube record rollout smoke stages; do
  # shellcheck source=/dev/null
  . "$root/scripts/lib/$library.sh"
done

environment="" mode=deploy dry_run=0 assume_yes=0 timeout="" smoke_timeout=60
image="" image_option="" model="" canary_image="" canary_weight="" context="" context_option="" gateway=""

set_mode() {
  [ "$mode" = deploy ] || usage_error "only one of --canary, --promote, --abort-canary and --rollback"
  mode=$1
}

while [ $# -gt 0 ]; do
  case $1 in
    --image | --model | --canary | --canary-weight | --context | --gateway | --timeout | --smoke-timeout)
      [ $# -ge 2 ] && [ -n "$2" ] || usage_error "$1 wants a value"
      ;;
  esac
  case $1 in
    dev | prod)
      [ -z "$environment" ] || usage_error "one environment at a time"
      environment=$1
      ;;
    --image) image_option=$2 && shift ;;
    --model) model=$2 && shift ;;
    --canary) set_mode canary && canary_image=$2 && shift ;;
    --canary-weight) canary_weight=$2 && shift ;;
    --promote) set_mode promote ;;
    --abort-canary) set_mode abort ;;
    --rollback) set_mode rollback ;;
    --context) context_option=$2 && shift ;;
    --gateway) gateway=$2 && shift ;;
    --timeout) timeout=$2 && shift ;;
    --smoke-timeout) smoke_timeout=$2 && shift ;;
    --dry-run) dry_run=1 ;;
    --yes) assume_yes=1 ;;
    --help | -h)
      print_help "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *) usage_error "unknown argument: $1" ;;
  esac
  shift
done
environment=${environment:-dev}
[ "$mode" = deploy ] || [ -z "$image_option" ] || usage_error "--image goes with a plain deployment alone"
if [ -n "$model" ]; then
  [ "$environment" = dev ] || usage_error "--model is for dev, which builds its image: prod takes what build-push.sh --model pushed"
  [ "$mode" = deploy ] && [ -z "$image_option" ] || usage_error "--model is for an image that is built here, not for one that is there"
fi
model=${model:-starter}
[ "$mode" = canary ] || [ -z "$canary_weight" ] || usage_error "--canary-weight goes with --canary"
canary_weight=${canary_weight:-10}
if ! is_number "$canary_weight" || [ "$canary_weight" -gt 100 ]; then
  usage_error "--canary-weight is a whole number from 0 to 100"
fi
[ -z "$timeout" ] || is_number "$timeout" || usage_error "--timeout is a whole number of seconds"
is_number "$smoke_timeout" || usage_error "--smoke-timeout is a whole number of seconds"

umask 077
generated=$root/.k8s/.generated
work=$(mktemp -d "${TMPDIR:-/tmp}/mlapi-deploy.XXXXXX")
layer=$generated/$environment
# A dry run leaves the layer alone. Kustomize takes no absolute paths, so its own must lie beside it.
if [ "$dry_run" = 1 ]; then layer=$generated/dry-run.$$; fi
clean_up() {
  local status=$?
  # A second Ctrl-C must not leave the lock behind.
  trap '' INT TERM
  stop_waiting
  stop_forwards
  release_lock
  rm -rf "$work" "$generated/dry-run.$$"
  # nor does a dry run leave an empty folder
  rmdir "$generated" 2>/dev/null || true
  exit "$status"
}
trap clean_up EXIT
trap 'interrupted; exit 130' INT
trap 'interrupted; exit 143' TERM

namespace=$(value "$environment" namespace)
[ -n "$namespace" ] || die ".k8s/overlays/$environment/values.yaml names no namespace"

check_everything
make_render
if [ "$dry_run" = 1 ]; then
  show_plan
  exit 0
fi
prepare_namespace
take_lock
check_state
settle
