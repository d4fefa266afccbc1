# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the script that sources this
# Which image is to run: given, built, written down by build-push.sh, or running already. Sourced by deploy.sh.

# running_image DEPLOYMENT prints the image of its container mlapi, or nothing where there is no such Deployment.
running_image() {
  kn get deployment "$1" --ignore-not-found \
    -o go-template='{{range .spec.template.spec.containers}}{{if eq .name "mlapi"}}{{.image}}{{end}}{{end}}'
}

# check_pinned REF: a tag can come to mean another image between the pods of one rollout. Minikube's own image has a tag made
# from its content, and no registry that could give it a digest.
check_pinned() {
  [ "$environment" = dev ] || is_digest_reference "$1" || die "$1 is not pinned: $environment takes NAME@sha256:DIGEST,
  which build-push.sh prints and keeps in .k8s/.generated/image"
}

# choose_image sets $image, and for a canary $canary_image, as $mode asks.
choose_image() {
  local canary
  canary=$(running_image mlapi-canary) || die "the cluster does not tell what runs there"
  case $mode in
    deploy)
      [ -z "$canary" ] || die "a canary is running ($canary): --promote it, --abort-canary, or say --canary again"
      image=$image_option
      if [ -z "$image" ] && [ "$environment" = prod ]; then
        [ -s "$generated/image" ] || die "no image: run ./build-push.sh, which writes .k8s/.generated/image, or pass --image"
        image=$(head -n 1 "$generated/image")
      fi
      ;;
    canary)
      image=$(running_image mlapi)
      [ -n "$image" ] || die "there is nothing to run a canary beside: deploy first"
      ;;
    promote)
      [ -n "$canary" ] || die "there is no canary to promote"
      image=$canary
      ;;
    abort)
      [ -n "$canary" ] || die "there is no canary to abort"
      image=$(running_image mlapi)
      ;;
  esac
  if [ -n "$image" ]; then check_pinned "$image"; fi
  if [ -n "$canary_image" ]; then check_pinned "$canary_image"; fi
}
