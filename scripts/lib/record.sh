# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the script that sources this
# What the cluster remembers about its deployments: the render that runs, the one before it, and who is deploying. It is
# kept there and not in the checkout, because the next deployment, or the one that must undo this one, may come from
# another machine. Secrets are left out: a render that is applied again finds those of the cluster. Sourced by deploy.sh.

# recorded current|previous FILE writes the recorded render into FILE; fails where there is none.
recorded() {
  kn get configmap "mlapi-deploy-$1" --ignore-not-found -o go-template='{{index .data "render.yaml"}}' >"$2" || return 1
  [ -s "$2" ]
}

write_record() {
  kubectl create configmap "mlapi-deploy-$1" --from-file=render.yaml="$2" --dry-run=client -o yaml >"$work/record.yaml" &&
    kn apply --server-side --force-conflicts --field-manager="$manager-record" -f "$work/record.yaml" >/dev/null
}

# record_good FILE makes FILE the current render, and the one that was current the previous one.
record_good() {
  if recorded current "$work/record-current"; then
    ! cmp -s "$1" "$work/record-current" || return 0
    write_record previous "$work/record-current" || return 1
  fi
  write_record current "$1"
}

# record_rollback FILE makes FILE the current render; there is none before it any more.
record_rollback() {
  write_record current "$1" && kn delete configmap mlapi-deploy-previous --ignore-not-found >/dev/null
}

locked=0
take_lock() {
  local holder
  holder="$(id -un) on $(uname -n), $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  if kn create configmap mlapi-deploy-lock --from-literal=holder="$holder" >/dev/null 2>"$work/errors"; then
    locked=1
    return
  fi
  grep -q 'already exists' "$work/errors" || die "the lock could not be taken: $(cat "$work/errors")"
  die "another deployment is under way: $(kn get configmap mlapi-deploy-lock -o go-template='{{.data.holder}}')
  if it is not: kubectl --context $context -n $namespace delete configmap mlapi-deploy-lock"
}

release_lock() {
  [ "$locked" = 0 ] || kn delete configmap mlapi-deploy-lock --ignore-not-found >/dev/null ||
    warn "the lock is still there: kubectl --context $context -n $namespace delete configmap mlapi-deploy-lock"
  locked=0
}
