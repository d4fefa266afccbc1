#!/usr/bin/env bash
# Makes the virtual environment NAME hold exactly what the REQUIREMENTS say, and the project itself, editable.
#
#   scripts/venv.sh NAME REQUIREMENT...
#
# A REQUIREMENT is a file with hashes (requirements/*.txt) or one pinned project (torch==2.13.0). The latter is
# installed after the files, without hashes and without its dependencies: torch has builds that differ by index.
#
# The environment keeps a stamp with the full text of what it was made from, the Python version and its own place.
# While the stamp fits, nothing is run and no network is needed. Otherwise (other requirements, other Python, moved
# folder, interrupted install) the environment is made anew.
#
# PYTHON=/path/to/python chooses the interpreter. Works with bash 3.2, which is what macOS has.
set -euo pipefail

die() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

[ $# -ge 2 ] || die "usage: scripts/venv.sh NAME REQUIREMENT..."
cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=$1
shift
root=$(pwd -P)
venv_python=$name/bin/python
stamp=$name/stamp-requirements
project_stamp=$name/stamp-project

# The bounds stand in pyproject.toml and nowhere else.
bounds=$(sed -n 's/^requires-python = ">=\([0-9.]*\),<\([0-9.]*\)"$/\1 \2/p' pyproject.toml)
[ -n "$bounds" ] || die 'pyproject.toml has no line like: requires-python = ">=3.11,<3.15"'
oldest=${bounds% *}
below=${bounds#* }

# as_number 3.11 gives 311, so that 3.9 sorts before 3.11.
as_number() {
  local major=${1%%.*} rest=${1#*.}
  printf '%d%02d' "$major" "${rest%%.*}"
}

# Prints "3.11.7 /usr/bin/python3.11" for a command that is a Python, fails for anything else (a pyenv shim for a
# version that is not active exists and cannot run). The syntax also suits Python 2, to be able to name its version.
probe() {
  "$1" -c 'import sys; print("%d.%d.%d %s" % (sys.version_info[0], sys.version_info[1], sys.version_info[2], sys.executable))' 2>/dev/null
}

# Says in $unsuitable why the interpreter of version $1 at path $2 cannot be used, or leaves it empty.
judge() {
  unsuitable=
  local number
  number=$(as_number "$1")
  if [ "$number" -lt "$(as_number "$oldest")" ]; then
    unsuitable="Python $oldest or newer is needed, found $1 at $2: install it or set PYTHON=/path/to/python$oldest"
  elif [ "$number" -ge "$(as_number "$below")" ]; then
    unsuitable="Python below $below is needed, found $1 at $2: install python$oldest or set PYTHON=/path/to/python$oldest"
  elif ! "$2" -c 'import venv, ensurepip' 2>/dev/null; then
    local minor=${1%.*}
    unsuitable="Python $1 at $2 has no venv module: install it (Debian, Ubuntu: apt install python$minor-venv) or set PYTHON=/path/to/another/python"
  fi
}

# Sets $python and $version to the interpreter to build with.
choose_python() {
  local candidate found reason=
  if [ -n "${PYTHON:-}" ]; then
    found=$(probe "$PYTHON") || die "PYTHON=$PYTHON cannot be run as a Python: set it to the path of Python $oldest or newer"
    judge "${found%% *}" "${found#* }"
    [ -z "$unsuitable" ] || die "$unsuitable"
  else
    local minor=${oldest#*.} last=${below#*.} names="python3"
    while [ "$minor" -lt "$last" ]; do
      names="$names python${oldest%%.*}.$minor"
      minor=$((minor + 1))
    done
    unsuitable=missing
    for candidate in $names; do
      found=$(probe "$candidate") || continue
      judge "${found%% *}" "${found#* }"
      [ -n "$unsuitable" ] || break
      # The first reason is the one to show: it is about the python3 that the user knows of.
      [ -n "$reason" ] || reason=$unsuitable
    done
    [ -z "$unsuitable" ] ||
      die "${reason:-no python3 found on PATH, Python $oldest or newer is needed: install it or set PYTHON=/path/to/python$oldest}"
  fi
  version=${found%% *}
  python=${found#* }
}

# What the stamp of a finished environment must hold, to the letter; $1 is the Python version.
expected_stamp() {
  printf 'python %s\nplace %s/%s\n' "$1" "$root" "$name"
  local requirement
  for requirement in "${requirements[@]}"; do
    if [ -f "$requirement" ]; then cat "$requirement"; else printf '%s\n' "$requirement"; fi
  done
}

requirements=("$@")
files=()
pins=()
for requirement in "${requirements[@]}"; do
  case $requirement in
    *.txt)
      [ -f "$requirement" ] || die "$requirement does not exist: run make lock"
      files+=(-r "$requirement")
      ;;
    *) pins+=("$requirement") ;;
  esac
done

requirements_fit() {
  [ -f "$stamp" ] && [ -x "$venv_python" ] || return 1
  local wanted
  # Without PYTHON, an environment that works is kept even when another python3 comes first by now.
  if [ -n "${PYTHON:-}" ]; then wanted=$(probe "$PYTHON") || return 1; else wanted=$(probe "$venv_python") || return 1; fi
  expected_stamp "${wanted%% *}" | cmp -s - "$stamp"
}

project_fits() {
  cmp -s pyproject.toml "$project_stamp"
}

if requirements_fit && project_fits; then exit 0; fi

# Two makes in one folder must not build one environment at once. mkdir is the one test-and-set that every system has.
lock=$name.lock
told=
until mkdir "$lock" 2>/dev/null; do
  # Only a lock that is there is waited for; anything else that keeps mkdir from working stays.
  [ -d "$lock" ] || mkdir "$lock" 2>/dev/null || die "$root cannot be written to (or its disk is full): use a checkout of your own"
  holder=$(cat "$lock/pid" 2>/dev/null || true)
  # Between mkdir and the write of the pid the file is missing for a moment.
  if [ -z "$holder" ]; then
    sleep 1
    holder=$(cat "$lock/pid" 2>/dev/null || true)
  fi
  if [ -z "$holder" ] || ! kill -0 "$holder" 2>/dev/null; then
    rm -rf "$lock" 2>/dev/null || die "$root/$lock is left over and cannot be removed: remove it"
    continue
  fi
  [ -n "$told" ] || echo "Waiting for process $holder, which is building $name …"
  told=yes
  sleep 1
done
echo $$ >"$lock/pid"
log=$(mktemp "${TMPDIR:-/tmp}/mlapi-venv.XXXXXX")
trap 'rm -rf "$lock" "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs pip quietly; shows its last lines, and what they probably mean, when it fails. $1 says what is being installed.
run_pip() {
  local what=$1
  shift
  if "$venv_python" -m pip --disable-pip-version-check --no-input "$@" >"$log" 2>&1; then return 0; fi
  grep -v -E '^(Ignoring|WARNING: Retrying)' "$log" | tail -n 5 | sed 's/^/  pip: /' >&2
  if grep -q -E 'NewConnectionError|NameResolutionError|Temporary failure in name resolution|ConnectTimeout|Read timed out|ConnectionResetError|ProxyError|Network is unreachable' "$log"; then
    die "$what could not be installed into $name: the package index cannot be reached. Check the network or proxy (pip config list) and run this again"
  elif grep -q -E 'DO NOT MATCH THE HASHES' "$log"; then
    die "$what could not be installed into $name: a downloaded file differs from what poetry.lock records. Do not use it; check which index pip reads (pip config list)"
  elif grep -q 'No space left on device' "$log"; then
    die "$what could not be installed into $name: the disk is full"
  fi
  die "$what could not be installed into $name; pip's last lines are above. Check which index pip reads (pip config list) and run this again"
}

if ! requirements_fit; then
  choose_python
  rm -rf "$name"
  "$python" -m venv "$name" >"$log" 2>&1 || {
    tail -n 5 "$log" | sed 's/^/  venv: /' >&2
    rm -rf "$name"
    die "$python could not make a virtual environment in $root/$name"
  }
  # "${files[@]}" of an empty array is an error in bash before 4.4.
  if [ ${#files[@]} -gt 0 ]; then
    # A package that is locked at several versions, one for each Python, counts once.
    count=$(expected_stamp "$version" | sed -n 's/^\([A-Za-z0-9._-]*\)[^=]*==.* \\$/\1/p' | sort -u | grep -c .)
    echo "Installing $count packages into $name (Python $version) …"
    run_pip "$count packages" install --no-deps --require-hashes "${files[@]}"
  fi
  if [ ${#pins[@]} -gt 0 ]; then
    for pin in "${pins[@]}"; do
      echo "Installing $pin into $name …"
      run_pip "$pin" install --no-deps "$pin"
      module=${pin%%==*}
      "$venv_python" -c "import $module" >"$log" 2>&1 || {
        tail -n 3 "$log" | sed 's/^/  python: /' >&2
        die "$pin was installed, but cannot be imported. On Linux the default build needs CUDA libraries: set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU builds and run this again"
      }
    done
  fi
  expected_stamp "$version" >"$stamp"
fi

if ! project_fits; then
  run_pip "mlapi itself" install --no-deps --no-build-isolation --no-index --editable .
  cp pyproject.toml "$project_stamp"
fi
