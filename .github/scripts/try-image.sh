#!/usr/bin/env bash
# Tries an image: starts it as a pod does (read-only, no capabilities), waits for it to be ready, asks for a prediction
# and ends it by SIGTERM, which must leave status 0.
#
#   .github/scripts/try-image.sh IMAGE
set -euo pipefail

[ $# -eq 1 ] || {
  echo 'usage: .github/scripts/try-image.sh IMAGE' >&2
  exit 2
}
image=$1

container=$(docker run --detach --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
  --publish 127.0.0.1::8000 "$image")
trap 'docker rm --force --volumes "$container" >/dev/null' EXIT

die() {
  docker logs "$container" >&2
  echo "error: $1" >&2
  exit 1
}

running() { [ "$(docker inspect --format '{{.State.Running}}' "$container")" = true ]; }

address=$(docker port "$container" 8000/tcp) || die "$image ended at once"
url=http://$address/project
attempt=0
until health=$(curl --silent --fail --max-time 5 "$url/health"); do
  running || die "$image ended before it was ready"
  attempt=$((attempt + 1))
  [ "$attempt" -lt 60 ] || die "$image is not ready after $attempt attempts"
  sleep 0.5
done
echo "$health"

answer=$(curl --silent --show-error --fail --max-time 15 -H 'Content-Type: application/json' \
  -d '{"text": "A warm, funny film with a wonderful cast."}' "$url/predict") || die "$image does not predict"
echo "$answer"
case $answer in
  '{"prediction":[{"label":'*) ;;
  *) die "that is no prediction" ;;
esac

docker stop --time 60 "$container" >/dev/null
status=$(docker inspect --format '{{.State.ExitCode}}' "$container")
[ "$status" = 0 ] || die "SIGTERM left status $status"
