# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the script that sources this
# Asks the service what a client asks: health, one prediction, from outside of the pods. Sourced by deploy.sh.

forwards=""

# forward SERVICE sets $forwarded to a local address that leads to the service's port 80.
forward() {
  local log="$work/forward-$1" pid port attempt=0
  : >"$log"
  # Without functions between: what is ended later must be kubectl itself.
  kubectl --context "$context" --namespace "$namespace" port-forward --address 127.0.0.1 "service/$1" :80 >"$log" 2>&1 &
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

# ask_once URL CURL_ARGUMENT... sets $version and $cache_down; $refusal says why not.
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
  cache_down=0
  if grep -q '"cache": *"down"' "$work/body"; then cache_down=1; fi
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
  # No failure: the service works without. But nobody would notice otherwise.
  if [ "$cache_down" = 1 ]; then
    warn "$1: the cache is down, so each text is computed anew. Ask Redis: kubectl --context $context -n $namespace logs deployment/redis"
  fi
}

# smoke_test FILE: true when the service answers where clients ask it.
smoke_test() {
  local status=0
  step "Smoke test"
  if [ "$environment" = dev ]; then smoke_dev "$1" || status=1; else smoke_gateway "$1" || status=1; fi
  stop_forwards
  return "$status"
}

# smoke_dev FILE asks each service by itself. A canary's own path is a matter of the mesh; its service answers as the others.
smoke_dev() {
  local service
  for service in mlapi lab $(objects "$1" | awk '$2 == "Service" && $4 == "mlapi-canary" { print $4 }'); do
    forward "$service" || return 1
    case $service in
      lab) ask "http://$forwarded/lab" --noproxy '*' || return 1 ;;
      *) ask "http://$forwarded/project" --noproxy '*' || return 1 ;;
    esac
  done
}

# check_gateway ends the script where the smoke test would not find the service: afterwards it would be too late.
check_gateway() {
  local values=.k8s/overlays/$environment/values.yaml space services
  [ "$environment" != dev ] || return 0
  [ -n "$(value "$environment" host)" ] || die "$values names no host, by which the smoke test asks: fill it in"
  [ -z "$gateway" ] || return 0
  space=$(value "$environment" gatewayNamespace)
  [ -n "$space" ] || die "$values names no gatewayNamespace, where the smoke test finds the gateway: fill it in, or pass --gateway ADDRESS:PORT"
  [ "$reachable" = 1 ] || return 0
  load_balancers >"$work/balancers" ||
    die "the services of namespace $space cannot be listed, where the smoke test finds the gateway: pass --gateway ADDRESS:PORT"
  services=$(awk '!seen[$1]++ { print "  " $1 ", --gateway " $2 }' "$work/balancers")
  [ "$(printf '%s\n' "$services" | wc -l)" -le 1 ] || die "several load balancers of namespace $space listen on port 443. Say which one is the gateway:
$services"
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
gateway_address() { load_balancers | awk 'NR == 1 { print $2 }'; }

# load_balancers prints a line for each address that the gateway may have: its service, and ADDRESS:PORT.
load_balancers() { k get services --namespace "$(value "$environment" gatewayNamespace)" -o go-template="$balancers"; }
# shellcheck disable=SC2016 # the dollars are the template's
balancers='{{range .items}}{{$name := .metadata.name}}{{$ports := .spec.ports}}{{range .status.loadBalancer.ingress}}{{$address := .ip}}{{with .hostname}}{{$address = .}}{{end}}{{range $ports}}{{if eq (print .port) "443"}}{{$name}} {{$address}}:443{{"\n"}}{{end}}{{end}}{{end}}{{end}}'
