# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the script that sources this
# What the cluster remembers about its deployments: the render that runs, the one before it, and who is deploying. It is
# kept there and not in the checkout, because the next deployment, or the one that must undo this one, may come from
# another machine. Secrets are left out: a render that is applied again finds those of the cluster. Sourced by deploy.sh.

# recorded current|previous FILE writes the recorded render into FILE; 1 where there is none, 2 where nobody can tell.
recorded() {
  kn get configmap "mlapi-deploy-$1" --ignore-not-found -o go-template='{{index .data "render.yaml"}}' >"$2" || return 2
  [ -s "$2" ]
}

write_record() {
  kubectl create configmap "mlapi-deploy-$1" --from-file=render.yaml="$2" --dry-run=client -o yaml >"$work/record.yaml" &&
    kn apply --server-side --force-conflicts --field-manager="$manager-record" -f "$work/record.yaml" >/dev/null
}

# record_good FILE makes FILE the current render, and the one that was current the previous one.
record_good() {
  local status=0
  recorded current "$work/record-current" || status=$?
  case $status in
    0)
      ! cmp -s "$1" "$work/record-current" || return 0
      write_record previous "$work/record-current" || return 1
      ;;
    1) ;;
    *) return 1 ;;
  esac
  write_record current "$1"
}

# record_rollback FILE makes FILE the current render; there is none before it any more.
record_rollback() {
  write_record current "$1" && kn delete configmap mlapi-deploy-previous --ignore-not-found >/dev/null
}

# kept_for_undo FILE prints those ConfigMaps, as `objects` does, that the render before FILE names. Their names have a hash
# of their content, so the pods of before need them under these names, and `kubectl rollout undo` brings back those pods.
# After a rollback no render before is remembered.
kept_for_undo() {
  if [ "$mode" = rollback ] && [ "$1" = "$render" ]; then return 0; fi
  recorded current "$work/before" || [ $? = 1 ] || return 1
  documents without Secret "$1" >"$work/this"
  if cmp -s "$work/this" "$work/before"; then
    recorded previous "$work/before" || [ $? = 1 ] || return 1
  fi
  objects "$work/before" | awk '$2 == "ConfigMap"'
}

# read_state FILE writes what was decided by: the images that run, and the render that is remembered.
read_state() {
  running_image mlapi >"$1" || return 1
  echo >>"$1"
  running_image mlapi-canary >>"$1" || return 1
  recorded current "$work/state-render" || [ $? = 1 ] || return 1
  cat "$work/state-render" >>"$1"
}

# check_state ends the script where that was changed before the lock was taken, by a deployment that ended meanwhile.
check_state() {
  read_state "$work/state-now" || die "the cluster does not tell what runs there"
  cmp -s "$work/state" "$work/state-now" ||
    die "another deployment has ended meanwhile, and this one goes by what was before it: run this again"
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
