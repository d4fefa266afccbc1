# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the script that sources this
# The stages of a deployment, in their order. Sourced by deploy.sh.

check_everything() {
  step "Checks"
  need_tools kubectl curl diff awk
  check_kubectl
  if [ "$environment" = dev ]; then
    need_tools minikube
    # Before Minikube is started, which takes minutes, as building the image does.
    if [ -z "$image_option" ] && [ "$mode" = deploy ]; then
      need_tools docker git make python3
      need_python
    fi
    context=${context_option:-$(value dev context)}
    start_minikube
  else
    choose_context
  fi
  say "context $context, namespace $namespace"
  check_combination
  reachable=1
  if ! reach_cluster; then
    [ "$dry_run" = 1 ] || die "the cluster of context $context does not answer: $(tail -n 1 "$work/errors")"
    reachable=0
  fi
  check_gateway
  # Before an image is built, which takes minutes. A canary's kinds are those of the component istio, which it needs.
  kubectl kustomize "$root/.k8s/overlays/$environment" >"$work/overlay.yaml" || die "the overlay $environment does not build"
  [ "$reachable" = 0 ] || check_apis "$work/overlay.yaml"
}

# make_render writes what is to be applied to $render.
make_render() {
  render=$work/render.yaml
  if [ "$dry_run" = 0 ]; then read_state "$work/state" || die "the cluster does not tell what runs there"; fi
  if [ "$mode" = rollback ]; then
    [ "$reachable" = 1 ] || die "the cluster does not answer, and only it knows what ran before"
    recorded previous "$render" || die "the cluster remembers no render before the current one"
  else
    if [ "$reachable" = 1 ]; then choose_image; else image=$image_option; fi
    if [ -z "$image" ] && [ "$environment" = dev ]; then make_dev_image; fi
    write_layer
    render_layer "$render"
    check_images
  fi
  choose_timeout
  if [ "$dry_run" = 0 ]; then save_render; fi
}

# The project's own image was checked already; those of other services need a tag that says which version.
check_images() {
  local reference
  awk '$1 == "image:" { print $2 } $1 == "-" && $2 == "image:" { print $3 }' "$render" | sort -u >"$work/images"
  while read -r reference; do
    case $reference in
      *@sha256:*) ;;
      *:latest) die "$reference in the render is not pinned: give it a version in the overlay" ;;
      *:*) ;;
      mlapi) [ "$dry_run" = 1 ] || die "the render has no image for mlapi" ;;
      *) die "$reference in the render is not pinned: give it a version in the overlay" ;;
    esac
  done <"$work/images"
}

choose_timeout() {
  local deadline
  deadline=$(progress_deadline "$render")
  timeout=${timeout:-$((deadline + 60))}
  [ "$timeout" -gt "$deadline" ] ||
    die "--timeout $timeout is not above the longest progressDeadlineSeconds, $deadline: Kubernetes would still be trying"
}

# A copy for people to read, without Secrets. What a rollback applies is what the cluster remembers.
save_render() {
  mkdir -p "$generated/$environment/renders"
  saved=$generated/$environment/renders/$(date -u +%Y%m%dT%H%M%SZ).yaml
  documents without Secret "$render" >"$saved"
  say "render: ${saved#"$root"/}"
}

namespace_exists() { [ -n "$(k get namespace "$namespace" --ignore-not-found -o name)" ]; }

# show_plan is all of a dry run.
show_plan() {
  step "Plan"
  say "would apply to namespace $namespace:"
  objects "$render" | awk '{ print "  " $2 "/" $4 }'
  if [ "$reachable" = 0 ]; then
    say "no differences shown: the cluster of context $context does not answer"
  elif ! namespace_exists; then
    say "all of it is new: there is no namespace $namespace"
  else
    show_differences "$render"
    find_obsolete "$render" || die "what is obsolete could not be found"
    [ "$different" = 1 ] || [ -s "$work/obsolete" ] || say "no differences"
    awk '{ print "would delete " $0 }' "$work/obsolete"
  fi
  say "nothing was changed (dry run)"
}

# What can be said of a cluster in which nothing was applied but, at the first deployment, the namespace.
untouched="nothing was applied"

# The namespace comes first: without it the server cannot say how anything in it would differ.
prepare_namespace() {
  if namespace_exists; then return 0; fi
  step "Namespace"
  documents only Namespace "$render" >"$work/namespace.yaml"
  [ -s "$work/namespace.yaml" ] || die "the render has no Namespace, and the cluster has none called $namespace"
  apply "$work/namespace.yaml" || die "the namespace $namespace could not be made"
  untouched="nothing was applied but the namespace $namespace"
}

# apply_and_check FILE: true when all pods run and the service answers. Routes to pods that are not there yet wait until
# those are ready: the mesh answers 503 for a share whose service has no pod, and a canary begins without any.
apply_and_check() {
  step "Apply"
  keep_replicas "$1" || return 1
  if routes_to_new_pods "$1"; then
    documents without VirtualService "$1" >"$work/without-routes.yaml"
    apply "$work/without-routes.yaml" || return 1
    wait_for_rollouts "$1" || return 1
  fi
  apply "$1" || return 1
  restart_redis || return 1
  step "Rollout"
  wait_for_rollouts "$1" || return 1
  smoke_test "$1"
}

# settle shows, asks, applies, checks, cleans up, remembers; undoes what does not work.
settle() {
  step "Differences"
  show_differences "$render"
  find_obsolete "$render" || die "what is obsolete could not be found"
  awk '{ print "to be deleted afterwards: " $0 }' "$work/obsolete"
  if [ "$different" = 0 ] && [ ! -s "$work/obsolete" ]; then
    say "no differences: the cluster has all of it already"
    step "Rollout"
    if ! wait_for_rollouts "$render" || ! smoke_test "$render"; then
      show_failure
      die "nothing was changed, and the service does not answer as it should"
    fi
  else
    confirm "Apply this to $context, namespace $namespace?" "$untouched"
    applying=1
    if ! apply_and_check "$render"; then
      show_failure
      restore
      exit 1
    fi
    delete_obsolete || die "it runs, but something obsolete could not be deleted: run this again"
  fi
  remember || die "it runs, but the cluster could not be told to remember it: run this again"
  applying=0
  step "Deployed"
  show_addresses
}

# interrupted says how things are after Ctrl-C. Nothing is undone: who stops this may know better, or has no time.
applying=0
interrupted() {
  [ "$applying" = 1 ] || return 0
  warn "stopped in the middle. What was applied stays, Kubernetes goes on with it, and nothing is undone; the lock is taken off.
  To go on: the same command again. To go back: \"Interrupted\" in docs/operations.md"
}

remember() {
  documents without Secret "$render" >"$work/good.yaml"
  if [ "$mode" = rollback ]; then record_rollback "$work/good.yaml"; else record_good "$work/good.yaml"; fi
}

# restore applies what ran before.
restore() {
  step "Back to the previous render"
  if ! recorded current "$work/last-good.yaml"; then
    warn "the cluster remembers no earlier render: it is left as it is, for you to look at"
    return 0
  fi
  if apply_and_check "$work/last-good.yaml"; then
    if ! find_obsolete "$work/last-good.yaml" || ! delete_obsolete; then
      warn "what only the failed render has is still there"
    fi
    warn "the new render failed; the previous one runs again"
  else
    warn "the previous render does not come up either"
  fi
}

show_addresses() {
  if [ "$environment" = dev ]; then
    show_dev_addresses
  else
    say "https://$(value "$environment" host)/project"
    say "https://$(value "$environment" host)/lab"
  fi
}
