# shellcheck shell=bash
# The registry: logging in, pushing, and what most often is wrong. Sourced by build-push.sh.
# shellcheck disable=SC2034,SC2154 # variables of the script that sources it

is_ecr() {
  case $1 in
    *.dkr.ecr.*.amazonaws.com | *.dkr.ecr.*.amazonaws.com.cn | *.dkr.ecr.*.amazonaws.com/* | *.dkr.ecr.*.amazonaws.com.cn/*) return 0 ;;
  esac
  return 1
}

# log_in gets a password for Amazon's registry, good for twelve hours. Other registries: docker login, by hand.
log_in() {
  local host=${registry%%/*} place
  is_ecr "$registry" || return 0
  need_tools aws
  place=${host#*.dkr.ecr.}
  place=${place%%.amazonaws.com*}
  if [ "$dry_run" = 1 ]; then
    say "would run: aws ecr get-login-password --region $place | docker login --username AWS --password-stdin $host"
    return
  fi
  aws ecr get-login-password --region "$place" >"$work/password" ||
    die "AWS gives no password for $host: log in first (aws sso login, or aws configure), and see that ecr:GetAuthorizationToken is allowed"
  docker login --username AWS --password-stdin "$host" <"$work/password" ||
    die "docker could not log in to $host, see above: is it account and region that you mean?"
  rm "$work/password"
}

# push_image pushes every name and sets $pushed to the digest that the registry gave.
push_image() {
  local name digest
  if [ "$dry_run" = 1 ]; then
    for name in $names; do several_platforms || act docker push "$name"; done
    pushed=$repository@sha256:DIGEST
    return
  fi
  if several_platforms; then
    digest=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["containerimage.digest"])' "$work/metadata.json")
  else
    for name in $names; do
      docker push "$name" 2>&1 | tee "$work/push" || explain_push "$name could not be pushed, see above"
    done
    digest=$(sed -n 's/^.*digest: \(sha256:[0-9a-f]\{64\}\).*$/\1/p' "$work/push" | tail -n 1)
  fi
  pushed=$repository@$digest
  is_digest_reference "$pushed" || die "the registry gave no digest, but ${digest:-nothing}"
}

# explain_push MESSAGE ends the script, saying what most often is wrong.
explain_push() {
  if grep -qsiE 'multi-platform build is not supported|multiple platforms feature is' "$work/push"; then
    die "$1
  this builder makes one platform at a time: docker buildx create --driver docker-container --use"
  elif grep -qs 'pull access denied' "$work/push"; then
    die "$1
  that is about the base image, and not about $registry"
  elif grep -qsE 'name unknown|repository .*does not exist' "$work/push"; then
    die "$1
  ECR makes no repository by itself: aws ecr create-repository --repository-name mlapi${region:+ --region $region}"
  elif grep -qsE 'immutable' "$work/push"; then
    die "$1
  the tag is there already and the repository does not let it change: pass another --tag, or deploy what is there"
  elif grep -qsE 'denied|unauthorized|no basic auth|authorization' "$work/push"; then
    die "$1
  log in first: docker login ${registry%%/*}"
  fi
  die "$1"
}
