# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the script that sources this
# What build-push.sh, deploy.sh and clean-dev.sh share: messages, questions, checks. Sourced, with these set by the script:
#   assume_yes, dry_run   1 or 0, from --yes and --dry-run
# Bash 3.2 and BSD tools suffice, which is what macOS has.

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

usage_error() {
  printf 'error: %s (see --help)\n' "$*" >&2
  exit 2
}

# print_help FILE prints the comment at the head of a script, which is its help.
print_help() { awk 'NR > 1 { if (!/^#/ || /^# shellcheck /) exit; sub(/^# ?/, ""); print }' "$1"; }

where_to_get() {
  case $1 in
    kubectl) echo 'https://kubernetes.io/docs/tasks/tools' ;;
    minikube) echo 'https://minikube.sigs.k8s.io/docs/start' ;;
    docker) echo 'https://docs.docker.com/get-started/get-docker' ;;
    aws) echo 'https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html' ;;
    *) echo "the package $1 of your system" ;;
  esac
}

# need_tools TOOL... names all that are missing, not only the first.
need_tools() {
  local tool missing=""
  for tool in "$@"; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing
  $tool: $(where_to_get "$tool")"
  done
  [ -z "$missing" ] || die "these tools are not on PATH:$missing"
}

# need_python ends the script where no Python is on PATH that pyproject.toml takes; scripts/venv.sh chooses among them.
need_python() {
  local oldest candidate
  oldest=$(sed -n 's/^requires-python = ">=3\.\([0-9]*\).*$/\1/p' "$root/pyproject.toml")
  for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
    if "$candidate" -c "import sys; sys.exit(sys.version_info < (3, ${oldest:-11}))" >/dev/null 2>&1; then return; fi
  done
  die "Python 3.${oldest:-11} or newer is needed, to check the model that goes into the image: install it, or set PYTHON=/path/to/python"
}

# act COMMAND... runs the command, or says what would be run.
act() {
  if [ "$dry_run" = 1 ]; then
    say "would run: $*"
  else
    "$@"
  fi
}

# confirm QUESTION [STATE] ends the script unless the answer is yes, and says how things are then. No answer at all (no
# terminal, end of input) is a no.
confirm() {
  [ "$assume_yes" = 0 ] || return 0
  local answer=""
  printf '%s [y/N] ' "$1"
  read -r answer || true
  case $answer in
    y | Y | yes | Yes | YES) ;;
    *)
      say
      die "stopped, ${2:-nothing was changed} (--yes answers for you)"
      ;;
  esac
}

# is_number TEXT: a whole number without sign.
is_number() {
  case $1 in
    '' | *[!0-9]*) return 1 ;;
  esac
}

# is_digest_reference REF: NAME@sha256:… with all of its 64 digits.
is_digest_reference() { printf '%s\n' "$1" | grep -Eq '^[^@ ]+@sha256:[0-9a-f]{64}$'; }
