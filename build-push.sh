#!/usr/bin/env bash
# Builds the image of the service with a model in it, and pushes it.
#
#   ./build-push.sh [OPTION]... [-- BUILD_OPTION...]
#
# The model is pulled, exported and gated once, on this machine; the build gets a finished directory. So it needs no
# hub and no token, and every architecture ships the same bytes.
#
#   --model MODEL     starter [default], a directory, or OWNER/NAME@REVISION of a model hub. A directory without
#                     manifest.json is exported first. Needs PyTorch where something is exported (make venv-torch).
#   --target TARGET   runtime [default], or runtime-torch, which has PyTorch
#   --platform LIST   linux/amd64, linux/arm64, or both with a comma between (needs buildx) [the engine's own]
#   --tag TAG         may be repeated [the short commit and the model's version, and -torch with PyTorch]
#   --registry HOST   where to push, with a path if need be. Default: registry in .k8s/overlays/prod/values.yaml, or
#                     the Amazon ECR of its account and region
#   --account ID      the AWS account, in place of that in values.yaml
#   --region NAME     the AWS region, in place of that in values.yaml
#   --no-push         build alone; the image is called mlapi:TAG, and mlapi:latest where no tag is given
#   --push            build and push [default]
#   --allow-dirty     take changes that are not committed; the tag then says so
#   --dry-run         say what would be done
#   -y, --yes         do not ask before pushing
#   -h, --help        show this
#
# What comes after -- goes to docker build: -- --network host, -- --cache-from TYPE…
#
# The last line of standard output is the image: HOST/mlapi@sha256:… where it was pushed, mlapi:TAG where not. All else
# goes to standard error. What was pushed is also written to .k8s/.generated/image, where deploy.sh looks.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
root=$(pwd -P)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"
# shellcheck source=scripts/lib/render.sh
. "$root/scripts/lib/render.sh"
# shellcheck source=scripts/lib/model.sh
. "$root/scripts/lib/model.sh"
# shellcheck source=scripts/lib/build.sh
. "$root/scripts/lib/build.sh"
# shellcheck source=scripts/lib/push.sh
. "$root/scripts/lib/push.sh"

model=starter
target=runtime
platform=
tags=
registry=
account=
region=
push=1
allow_dirty=0
dry_run=0
assume_yes=0

# option_value OPTION COUNT VALUE: an option without its value must not take the next option for it.
option_value() {
  [ "$2" -ge 2 ] || usage_error "$1 needs a value"
  case $3 in
    '' | -*) usage_error "$1 needs a value, not '$3'" ;;
  esac
}

while [ $# -gt 0 ]; do
  case $1 in
    --model | --target | --platform | --tag | --registry | --account | --region)
      option_value "$1" "$#" "${2:-}"
      case $1 in
        --model) model=$2 ;;
        --target) target=$2 ;;
        --platform) platform=$2 ;;
        --tag)
          check_tag "$2"
          tags="$tags $2"
          ;;
        --registry) registry=${2%/} ;;
        --account) account=$2 ;;
        --region) region=$2 ;;
      esac
      shift
      ;;
    --push) push=1 ;;
    --no-push) push=0 ;;
    --allow-dirty) allow_dirty=1 ;;
    --dry-run) dry_run=1 ;;
    -y | --yes) assume_yes=1 ;;
    -h | --help)
      print_help "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --)
      shift
      break
      ;;
    *) usage_error "unknown argument: $1" ;;
  esac
  shift
done
# What is left are options of docker build. From here on standard output holds the result alone.
exec 3>&1 1>&2

check_options
check_tools
check_repository
choose_registry

work=$(mktemp -d "${TMPDIR:-/tmp}/mlapi-build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "Model: $model"
prepare_model
name_image
step "Image: $names"
say "commit $revision, model $model_name $model_version, target $target, ${platform:-$(engine_platform)}"
if [ "$push" = 1 ]; then confirm "Build it and push it to $registry?"; fi
stage_context
if [ "$push" = 1 ]; then log_in; fi
step "Build"
build_image "$@"
if [ "$push" = 1 ]; then
  step "Push"
  push_image
fi
report
