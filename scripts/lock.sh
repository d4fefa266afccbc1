#!/usr/bin/env bash
# Makes poetry.lock and requirements/*.txt from pyproject.toml. Whatever is passed on goes to `poetry lock`:
# nothing keeps the versions that are locked already, --regenerate takes the newest of everything.
#
# POETRY_PYPI_MIRROR_URL, when set, names the package index to use; it leaves no trace in the files.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Pinned, because another Poetry writes another lock.
tools="poetry==2.5.1 poetry-plugin-export==1.10.1 poetry-plugin-pypi-mirror==0.6.5"
venv=.venv-lock
if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$tools" ]; then
  echo "Installing Poetry into $venv …"
  rm -rf "$venv"
  "${PYTHON:-python3}" -m venv "$venv"
  # shellcheck disable=SC2086 # the list is meant to be split
  "$venv/bin/python" -m pip --disable-pip-version-check install -qq $tools
  echo "$tools" >"$venv/stamp"
fi
# Poetry would make an environment of its own for the project, which nobody needs here.
export POETRY_VIRTUALENVS_CREATE=false

echo "Locking …"
"$venv/bin/poetry" lock --no-interaction "$@"

# export_to FILE ARGUMENT... writes requirements/FILE from the lock.
export_to() {
  local file=requirements/$1
  shift
  {
    echo "# Made from poetry.lock by make lock. Do not edit: make check compares this file with the lock."
    "$venv/bin/poetry" export --no-interaction --format requirements.txt --without-urls "$@"
  } >"$file.new"
  mv "$file.new" "$file"
  echo "$file: $(grep -c '==' "$file") packages"
}

# Leaves out torch, whose builds differ by index, and the gigabytes of CUDA that its default build asks for.
# An entry is a line that starts at the margin and the indented ones below it.
without_torch() {
  local file=requirements/$1
  awk '/^[^ ]/ { skip = $0 ~ /^(torch=|triton=|nvidia-|cuda-)/ } !skip' "$file" >"$file.new"
  mv "$file.new" "$file"
}

mkdir -p requirements
export_to runtime.txt --only main
export_to runtime-torch.txt --only main --extras torch
without_torch runtime-torch.txt
export_to dev.txt --with dev
export_to torch.txt --with dev --extras export --extras train
without_torch torch.txt
export_to build.txt --only build
"$venv/bin/python" scripts/check_requirements.py
