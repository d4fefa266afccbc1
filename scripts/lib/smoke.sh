# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the script that sources this
# Asks the service what a client asks: health, one prediction, from outside of the pods. Sourced by deploy.sh.

forwards=""

# forward SERVICE sets $forwarded to a local address that leads to the service's port 80.
forward() {
  local log="$work/forward-$1" pid port attempt=0
  : >"$log"
  kn port-forward --address 127.0.0.1 "service/$1" :80 >"$log" 2>&1 &
  pid=$!
  forwards="$forwards $pid"
  while [ "$attempt" -lt 100 ]; do
    port=$(awk '/^Forwarding from 127\.0\.0\.1:/ { split($3, part, ":"); print part[2]; exit }' "$log")
    if [ -n "$port" ]; then
      forwarded=127.0.0.1:$port
      return
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
    attempt=$((attempt + 1))
  done
  warn "kubectl port-forward service/$1: $(tail -n 1 "$log")"
  return 1
}

stop_forwards() {
  local pid
  for pid in $forwards; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  forwards=""
}

# ask_once URL CURL_ARGUMENT... sets $version; $refusal says why not.
ask_once() {
  local url=$1 status
  shift
  status=$(curl --silent --show-error --max-time 10 -o "$work/body" -w '%{http_code}' "$@" "$url/health" 2>"$work/errors") || {
    refusal="$url/health: $(head -n 1 "$work/errors")"
    return 1
  }
  if [ "$status" != 200 ] || ! grep -q '"status": *"healthy"' "$work/body"; then
    refusal="$url/health answers $status: $(head -c 300 "$work/body")"
    return 1
  fi
  status=$(curl --silent --show-error --max-time 15 -o "$work/body" -D "$work/headers" -w '%{http_code}' \
    -H 'Content-Type: application/json' -d '{"text": "A warm, funny film with a wonderful cast."}' \
    "$@" "$url/predict" 2>"$work/errors") || {
    refusal="$url/predict: $(head -n 1 "$work/errors")"
    return 1
  }
  if [ "$status" != 200 ] || ! grep -q '"prediction":' "$work/body"; then
    refusal="$url/predict answers $status: $(head -c 300 "$work/body")"
    return 1
  fi
  version=$(awk 'tolower($1) == "x-model-version:" { gsub(/\r/, ""); print $2 }' "$work/headers")
}

# ask URL CURL_ARGUMENT... tries until $smoke_timeout is over: a load balancer learns of new pods later than Kubernetes.
ask() {
  local end=$((SECONDS + smoke_timeout))
  until ask_once "$@"; do
    if [ "$SECONDS" -ge "$end" ]; then
      warn "smoke test: $refusal"
      return 1
    fi
    sleep 1
  done
  say "$1: healthy, predicts, model version ${version:-not told}"
}
