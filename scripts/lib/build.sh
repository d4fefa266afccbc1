# shellcheck shell=bash
# The image: what it is called, what goes into it, how it is built. Sourced by build-push.sh.
# shellcheck disable=SC2034,SC2154 # variables of the script that sources it

# What the Dockerfile copies. Nothing else reaches the engine, and of the models only the one that is wanted.
context_paths="Dockerfile .dockerignore mlapi requirements scripts/image models/lab pyproject.toml README.md LICENSE NOTICE"

check_tag() {
  printf '%s\n' "$1" | LC_ALL=C grep -Eq '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$' ||
    usage_error "'$1' is no tag: letters, digits, '.', '_' and '-', at most 128, and no '.' or '-' first"
}

check_options() {
  local one
  case $target in
    runtime | runtime-torch) ;;
    *) usage_error "--target is runtime or runtime-torch, not $target" ;;
  esac
  for one in $(printf '%s' "$platform" | tr ',' ' '); do
    case $one in
      linux/amd64 | linux/arm64) ;;
      *) usage_error "--platform is linux/amd64, linux/arm64, or both with a comma, not $platform" ;;
    esac
  done
}

# several_platforms: an engine keeps an image of one platform, so several are pushed while they are built.
several_platforms() {
  case $platform in
    *,*) return 0 ;;
  esac
  return 1
}

check_tools() {
  need_tools git docker python3 make
  if ! docker info >/dev/null 2>&1; then
    docker info 2>&1 | tail -n 1 || true
    die "no container engine answers: start Docker and run this again"
  fi
  if several_platforms; then
    [ "$push" = 1 ] || die "an engine keeps an image of one platform alone: push $platform, or build one of them"
    docker buildx version >/dev/null 2>&1 ||
      die "$platform needs buildx, which docker does not have: https://docs.docker.com/build/buildx/install"
  fi
}

# check_repository sets $revision and $short, with -dirty and a digest of the changes where there are any.
check_repository() {
  revision=$(git rev-parse --verify --quiet HEAD) || die "$root is no git repository, or has no commit: the image is named by one"
  short=$(git rev-parse --short=12 HEAD)
  [ -n "$(git status --porcelain)" ] || return 0
  if [ "$allow_dirty" = 0 ]; then
    git status --short
    die "the working tree differs from the commit, see above: commit it, or pass --allow-dirty"
  fi
  local changes
  changes=$({
    git diff --binary HEAD
    git ls-files -z --others --exclude-standard | xargs -0 cksum
  } | git hash-object --stdin | cut -c 1-12)
  revision=$revision-dirty
  short=$short-dirty-$changes
}

# choose_registry sets $registry: as given, or from the values of production.
choose_registry() {
  [ "$push" = 1 ] || return 0
  [ -n "$registry" ] || [ -n "$account$region" ] || registry=$(value prod registry)
  if [ -z "$registry" ]; then
    [ -n "$account" ] || account=$(value prod account)
    [ -n "$region" ] || region=$(value prod region)
    [ -n "$account" ] && [ -n "$region" ] ||
      die "where to push? Fill in account and region in .k8s/overlays/prod/values.yaml, or pass --registry"
    registry=$account.dkr.ecr.$region.amazonaws.com
  fi
}

engine_platform() { docker version --format '{{.Server.Os}}/{{.Server.Arch}}'; }

# name_image sets $names: what the image is called, fully.
name_image() {
  local tag also=""
  repository=mlapi
  if [ "$push" = 1 ]; then repository=$registry/mlapi; fi
  if [ -z "$tags" ]; then
    # One commit with another model, or with PyTorch, is another image: no two of them may fight for one tag.
    tags=$short-$(printf '%s' "$model_version" | cut -c 1-8)
    if [ "$target" = runtime-torch ]; then tags=$tags-torch; fi
    if [ "$push" = 0 ]; then also=" $repository:latest"; fi
  fi
  names=""
  for tag in $tags; do names="$names $repository:$tag"; done
  names=${names# }$also
}

# stage_context fills a folder with what is built: committed files and, of the model, what its manifest names.
stage_context() {
  local file context=$work/context
  if [ "$dry_run" = 1 ]; then return; fi
  # shellcheck disable=SC2086 # the list is meant to be split
  git ls-files -z --cached --others --exclude-standard -- $context_paths |
    while IFS= read -r -d '' file; do
      [ -f "$file" ] || continue # deleted, and not committed yet
      mkdir -p "$context/$(dirname "$file")"
      cp -p "$file" "$context/$file"
    done
  printf '%s\n' manifest.json "$model_files" |
    while IFS= read -r file; do
      mkdir -p "$context/models/default/$(dirname "$file")"
      cp "$model_dir/$file" "$context/models/default/$file"
    done
}

# source_url prints where the project comes from, without a login that may be in it.
source_url() {
  git config --get remote.origin.url 2>/dev/null |
    sed -e 's|^\([a-z+]*://\)[^/@]*@|\1|' -e 's|^[^/@]*@\([^:/]*\):|https://\1/|' -e 's|\.git$||' || true
}

# build_image OPTION... builds what was staged; several platforms are pushed at once.
build_image() {
  local name
  set -- "$@" --target "$target"
  for name in $names; do set -- "$@" --tag "$name"; done
  if [ -n "$platform" ]; then set -- "$@" --platform "$platform"; fi
  set -- "$@" \
    --build-arg MODEL_DIR=models/default \
    --build-arg "TORCH_VERSION=$(sed -n 's/^ *"torch==\([0-9.]*\)",$/\1/p' pyproject.toml | head -n 1)" \
    --build-arg "SOURCE=$(source_url)" \
    --build-arg "COMMIT=$revision" \
    --build-arg "VERSION=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml | head -n 1)" \
    --build-arg "MODEL_NAME=$model_name" \
    --build-arg "MODEL_VERSION=$model_version" \
    "$work/context"
  if several_platforms; then
    act docker buildx build --push --metadata-file "$work/metadata.json" "$@" 2>&1 | tee "$work/push" ||
      explain_push "the build or the push failed, see above"
  else
    act docker build "$@" || die "the build failed, see above"
  fi
}

# report prints the result on what was standard output, and leaves it where deploy.sh looks.
report() {
  if [ "$push" = 1 ]; then
    if [ "$dry_run" = 0 ]; then
      mkdir -p .k8s/.generated
      printf '%s\n' "$pushed" >.k8s/.generated/image.new
      mv .k8s/.generated/image.new .k8s/.generated/image
    fi
    printf '%s\n' "$pushed" >&3
  else
    printf '%s\n' "${names%% *}" >&3
  fi
}
