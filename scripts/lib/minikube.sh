# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the script that sources this
# Minikube: a running profile, an image built inside it, and how to reach it. Sourced by deploy.sh and clean-dev.sh.

mk() { minikube --profile "$context" "$@"; }

# minikube_state prints running, stopped or absent. `minikube status` tells it by its exit status: 0, a sum of 1, 2 and 4
# for what does not run, or 85 where there is no such profile.
minikube_state() {
  local status=0
  mk status >/dev/null 2>&1 || status=$?
  case $status in
    0) echo running ;;
    85) echo absent ;;
    *) echo stopped ;;
  esac
}

# start_minikube starts the profile $context unless it runs. One that it makes is noted, so that `make clean-dev` may delete it.
start_minikube() {
  local state
  state=$(minikube_state)
  case $state in
    running) return 0 ;;
    absent)
      say "Minikube has no profile $context yet: making one"
      # Docker inside, so that the image can be built there.
      act minikube --profile "$context" start --container-runtime=docker || die "minikube could not start: see above"
      if [ "$dry_run" = 0 ]; then
        mkdir -p "$generated/dev"
        printf '%s\n' "$context" >>"$generated/dev/made-profile"
      fi
      ;;
    stopped)
      say "starting the Minikube profile $context"
      act minikube --profile "$context" start || die "minikube could not start: see above"
      ;;
  esac
}

make_dev_image() {
  step "Image"
  if [ "$dry_run" = 1 ]; then
    say "would build the image inside Minikube; its tag is not known before, the plan names it mlapi"
  else
    build_in_minikube
  fi
}

# build_in_minikube builds the image inside Minikube and sets $image. Its tag is made from its content, because an image
# that is in no registry has no digest: the same content gives the same tag, and so no new rollout.
build_in_minikube() {
  local lines built id runtimes outside="Build it outside:
  ./build-push.sh --no-push --tag mine && minikube --profile $context image load mlapi:mine && ./deploy.sh dev --image mlapi:mine
or make the profile anew: minikube --profile $context delete"
  # Not told by docker-env, which for containerd speaks of another program that takes docker's place, as an experiment.
  runtimes=$(k get nodes -o go-template='{{range .items}}{{.status.nodeInfo.containerRuntimeVersion}} {{end}}') || runtimes=unknown
  case $runtimes in
    docker://*) ;;
    *) die "the image cannot be built inside the profile $context, whose container runtime is ${runtimes% } and not Docker. $outside" ;;
  esac
  lines=$(mk docker-env --shell bash) || die "minikube does not let its Docker be used, see above. $outside"
  built=$(
    eval "$lines"
    # What goes into an image is for the image's user, too.
    umask 022
    "$root/build-push.sh" --model "$model" --no-push --allow-dirty --yes
  ) || die "the image could not be built"
  # What build-push.sh prints last is the image's name.
  built=$(printf '%s\n' "$built" | tail -n 1)
  id=$(
    eval "$lines"
    docker image inspect --format '{{.Id}}' "$built"
  ) || die "the image $built cannot be found inside Minikube"
  image=mlapi:dev-$(printf '%s' "${id#sha256:}" | cut -c 1-12)
  (
    eval "$lines"
    docker tag "$built" "$image"
  ) || die "the image $built could not be tagged"
}

show_dev_addresses() {
  say "To reach it from this machine, in another terminal:"
  say "  minikube --profile $context tunnel"
  say "and then, at the address that this prints under EXTERNAL-IP:"
  say "  kubectl --context $context -n $namespace get services"
  say "Or without a tunnel: kubectl --context $context -n $namespace port-forward service/mlapi 8000:80"
}
