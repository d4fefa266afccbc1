# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the script that sources this
# The git-ignored layer over an overlay: image digests, a canary, its weight. No tracked file is ever edited. Sourced by
# deploy.sh.

overlay_components() {
  awk '
    /^[^ #-]/ { inside = ($1 == "components:") }
    inside && /^ *- / { sub(/^ *- */, ""); sub(/ *(#.*)?$/, ""); sub(/\/$/, ""); sub(/.*\//, ""); print }
  ' "$root/.k8s/overlays/$environment/kustomization.yaml"
}

# added_components prints what the layer adds: Minikube's Redis has a password of this checkout, unless the overlay says
# otherwise where Redis is or where its password comes from.
added_components() {
  if [ "$environment" = dev ] && ! overlay_components | grep -E '^(redis-auth|redis-external)$' >/dev/null; then echo redis-auth; fi
  if [ -n "$canary_image" ]; then echo canary; fi
}

# components prints the names of all components in use, in their order.
components() {
  overlay_components
  added_components
}

# components_with KIND names the components in use that have such an object.
components_with() {
  local component found=""
  for component in $(components); do
    if grep -qs "^kind: $1\$" "$root/.k8s/components/$component"/*.yaml; then found="$found component $component"; fi
  done
  if [ -n "$found" ]; then printf '%s\n' "${found# }"; else echo "the overlay $environment"; fi
}

# check_combination ends the script where the components in use exclude each other, lack one that they need, or stand in
# an order in which one does not find what it changes.
check_combination() {
  local wrong
  wrong=$(components | awk '
    function names(text) { sub(/^[^[]*\[/, "", text); sub(/\].*/, "", text); gsub(/,/, " ", text); return text }
    FNR == NR { used[$1] = FNR; next }
    /^[^ #]/ { section = $1; next }
    section == "order:" && $1 == "-" && ($2 in used) {
      if (used[$2] < last) print "  " $2 " must stand before " before
      else { last = used[$2]; before = $2 }
    }
    section == "requires:" && /\[/ {
      name = $1; sub(/:.*/, "", name)
      if (name in used) { n = split(names($0), needed, " "); for (i = 1; i <= n; i++) if (!(needed[i] in used)) print "  " name " needs " needed[i] }
    }
    section == "excludes:" && / components:/ {
      n = split(names($0), both, " "); together = n; list = ""
      for (i = 1; i <= n; i++) { if (!(both[i] in used)) together = 0; list = list (i > 1 ? " and " : "") both[i] }
    }
    section == "excludes:" && /^ +because:/ && together { sub(/^ *because: */, ""); print "  " list " exclude each other: " $0 }
  ' - "$root/.k8s/components/combinations.yaml")
  [ -z "$wrong" ] || die "the components of .k8s/overlays/$environment/kustomization.yaml do not go together:
$wrong"
}

# image_entry NAME REF prints an entry of `images`: Kustomize wants name, tag and digest apart.
image_entry() {
  local name=${2%%@*} tag=""
  case ${name##*/} in
    *:*) tag=${name##*:} name=${name%:*} ;;
  esac
  printf '  - name: %s\n    newName: %s\n' "$1" "$name"
  case $2 in
    *@*) printf '    digest: %s\n' "${2#*@}" ;;
    *) printf '    newTag: "%s"\n' "${tag:-latest}" ;;
  esac
}

# dev_password writes the password of Minikube's Redis into the layer. The cluster's Secret decides, whatever this checkout
# remembers: Redis reads it at its start alone, so another one would shut the service out. Where the cluster has none, it
# is the one of before, or a new one.
new_password=0
dev_password() {
  local kept=$generated/dev/redis-password
  : >"$work/redis-password"
  if [ "$reachable" = 1 ]; then
    kn get secret redis-auth --ignore-not-found -o go-template='{{with .data}}{{with .password}}{{base64decode .}}{{end}}{{end}}' \
      >"$work/redis-password" || die "the cluster does not tell the password of its Redis"
  fi
  if [ ! -s "$work/redis-password" ]; then
    new_password=1
    if [ -s "$kept" ]; then
      cp "$kept" "$work/redis-password"
    else
      od -An -N 24 -t x1 /dev/urandom | tr -d ' \n' >"$work/redis-password"
      [ "$dry_run" = 1 ] || say "made a password for Redis: ${kept#"$root"/}"
    fi
  fi
  # Kustomize reads no file outside the layer.
  cp "$work/redis-password" "$layer/redis-password"
}

# restart_redis: a Redis that was there before its password. After keep_replicas, which listed what was there.
restart_redis() {
  [ "$new_password" = 1 ] && grep -q '^redis ' "$work/replicas" || return 0
  kn rollout restart deployment/redis
}

# write_layer writes $layer. What it adds comes after all that the overlay has; a canary's weight comes before the canary.
write_layer() {
  local added
  added=$(added_components)
  rm -rf "$layer/kustomization.yaml" "$layer/weight"
  mkdir -p "$layer"
  {
    echo "# Made by deploy.sh at every run. Do not edit."
    echo "apiVersion: kustomize.config.k8s.io/v1beta1"
    echo "kind: Kustomization"
    echo "resources:"
    echo "  - ../../overlays/$environment"
    if [ -n "$added" ]; then
      echo "components:"
      if [ -n "$canary_image" ]; then echo "  - weight"; fi
      printf '%s\n' "$added" | awk '{ print "  - ../../components/" $1 }'
      # Once more, for the objects that were added here.
      echo "transformers:"
      echo "  - ../../transformers"
    fi
    if [ -n "$image$canary_image" ]; then echo "images:"; fi
    if [ -n "$image" ]; then image_entry mlapi "$image"; fi
    if [ -n "$canary_image" ]; then image_entry mlapi-canary "$canary_image"; fi
  } >"$layer/kustomization.yaml"
  case $added in *redis-auth*) add_password ;; esac
  if [ -n "$canary_image" ]; then add_weight; fi
}

# The Secret keeps its name when the password changes: pods read the file anew, and an earlier render still finds it.
add_password() {
  dev_password
  cat >>"$layer/kustomization.yaml" <<EOF
secretGenerator:
  - name: redis-auth
    files:
      - password=redis-password
    options:
      disableNameSuffixHash: true
      labels:
        app.kubernetes.io/name: redis
EOF
}

add_weight() {
  mkdir -p "$layer/weight"
  cat >"$layer/weight/kustomization.yaml" <<EOF
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - patch: |-
      apiVersion: v1
      kind: ConfigMap
      metadata:
        name: values
      data:
        canaryWeight: "$canary_weight"
        stableWeight: "$((100 - canary_weight))"
EOF
}

# render_layer FILE renders the layer into FILE.
render_layer() {
  kubectl kustomize "$layer" >"$1" || die "the layer $layer does not build"
  [ -s "$1" ] || die "the layer $layer is empty"
}
