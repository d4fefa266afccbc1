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

# smoke_test FILE: true when the service answers where clients ask it.
smoke_test() {
  local status=0
  step "Smoke test"
  if [ "$environment" = dev ]; then smoke_dev || status=1; else smoke_gateway "$1" || status=1; fi
  stop_forwards
  return "$status"
}

smoke_dev() {
  forward mlapi && ask "http://$forwarded/project" --noproxy '*' && forward lab && ask "http://$forwarded/lab" --noproxy '*'
}

# smoke_gateway FILE asks through the gateway, under the name that clients use. With TLS the name decides about
# certificate and route, so the address is given beside it.
smoke_gateway() {
  local host address route
  host=$(value "$environment" host)
  address=${gateway:-$(gateway_address)} || return 1
  if [ -z "$address" ]; then
    warn "the gateway has no address yet: kubectl --context $context -n $(value "$environment" gatewayNamespace) get services"
    return 1
  fi
  for route in project lab $(awk '/prefix: \/project\/v2\/$/ { print "project/v2"; exit }' "$1"); do
    ask "https://$host/$route" --noproxy '*' --connect-to "$host:443:$address" || return 1
  done
}

# gateway_address prints ADDRESS:PORT of the gateway's load balancer.
gateway_address() {
  k get services --namespace "$(value "$environment" gatewayNamespace)" -o go-template="$balancers" | awk 'NR == 1'
}
# shellcheck disable=SC2016 # the dollars are the template's
balancers='{{range .items}}{{$ports := .spec.ports}}{{range .status.loadBalancer.ingress}}{{$address := .ip}}{{with .hostname}}{{$address = .}}{{end}}{{range $ports}}{{if eq (print .port) "443"}}{{$address}}:443{{"\n"}}{{end}}{{end}}{{end}}{{end}}'
