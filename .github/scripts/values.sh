#!/usr/bin/env bash
# Prints values of an overlay as a workflow's outputs, KEY=VALUE, one a line. An empty one is an error.
#
#   .github/scripts/values.sh ENVIRONMENT KEY...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

[ $# -ge 2 ] || {
  echo 'usage: .github/scripts/values.sh ENVIRONMENT KEY...' >&2
  exit 2
}

root=$PWD
# shellcheck source=scripts/lib/render.sh
. "$root/scripts/lib/render.sh"

environment=$1
shift
for key in "$@"; do
  found=$(value "$environment" "$key")
  [ -n "$found" ] || {
    echo "error: .k8s/overlays/$environment/values.yaml has no $key: fill it in" >&2
    exit 1
  }
  printf '%s=%s\n' "$key" "$found"
done
