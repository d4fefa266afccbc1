# shellcheck shell=bash
# The model that goes into the image: found or fetched, exported, gated. Sourced by build-push.sh.
# shellcheck disable=SC2034,SC2154 # variables of the script that sources it

# Where pulled and exported models stay, so that a second run finds them. Git ignores it, make clean removes it.
models_kept=$root/build/models

# as_folder NAME prints a name that a folder, and a model, can have.
as_folder() { printf '%s' "$1" | LC_ALL=C tr -c 'A-Za-z0-9._-' '-'; }

# has_manifest DIR: whether it is a model directory.
has_manifest() { [ -f "$1/manifest.json" ]; }

# is_hub_id TEXT: OWNER/NAME@REVISION. The revision is not optional: who deploys must know what.
is_hub_id() { printf '%s\n' "$1" | grep -Eq '^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+@[A-Za-z0-9._/-]+$'; }

is_commit() { printf '%s\n' "$1" | grep -Eq '^[0-9a-f]{40}$'; }

# environment VENV makes the environment; that is quick where it is there already.
environment() { act make --no-print-directory -C "$root" "$1" || die "make $1 failed, see above"; }

# prepare_model sets $model_dir to a directory that was checked, and $model_name, $model_version and $model_files.
prepare_model() {
  if [ "$model" = starter ]; then
    model_dir=$root/models/starter
  elif [ -d "$model" ]; then
    model_dir=$(cd "$model" && pwd -P)
    has_manifest "$model_dir" || export_directory "$model_dir"
  elif is_hub_id "$model"; then
    pull_and_export
  else
    die "there is no model $model: name starter, a directory, or OWNER/NAME@REVISION of a model hub
  relative paths start at $root"
  fi
  if ! has_manifest "$model_dir"; then
    [ "$dry_run" = 1 ] || die "there is no model in $model_dir: it has no manifest.json"
    model_name=unknown model_version=MODELVERSION model_files=""
    return
  fi
  environment venv
  act "$root/.venv/bin/mlapi" model verify "$model_dir" ||
    die "the model in $model_dir is not what its manifest says, see above: export it again"
  read_manifest
}

# read_manifest takes from the manifest what the image is named and made of.
read_manifest() {
  local facts
  facts=$(python3 -c '
import json, sys
manifest = json.load(open(sys.argv[1], encoding="utf-8"))
print(manifest["name"], manifest["version"], *manifest["files"], sep="\n")
' "$model_dir/manifest.json") || die "$model_dir/manifest.json cannot be read"
  model_name=$(printf '%s\n' "$facts" | sed -n 1p)
  model_version=$(printf '%s\n' "$facts" | sed -n 2p)
  model_files=$(printf '%s\n' "$facts" | sed 1,2d)
}

# export_directory DIR exports what transformers wrote and sets $model_dir to the result. Its folder is named by a
# checksum of what it was made from: other weights are exported anew.
export_directory() {
  local sum
  [ -f "$1/config.json" ] || die "$1 has neither a manifest.json nor a config.json: it is no model"
  sum=$(cd "$1" && find . -type f ! -name '.*' -exec cksum {} + | LC_ALL=C sort -k 3 | cksum | cut -d ' ' -f 1)
  model_dir=$models_kept/$(as_folder "${1##*/}")-$sum
  export_model "$1" "${1##*/}"
}

# pull_and_export gets $model from the hub. What a commit names never changes: it needs no hub the second time.
pull_and_export() {
  local folder pulled name
  folder=$models_kept/$(as_folder "$model")
  pulled=$folder/pulled
  name=${model#*/}
  name=${name%%@*}
  model_dir=$folder/exported
  if is_commit "${model##*@}" && has_manifest "$model_dir"; then
    say "$model_dir is there already"
    return
  fi
  environment venv-torch
  act "$root/.venv-torch/bin/mlapi" model pull "$model" --out "$pulled" || die "$model could not be pulled, see above"
  # A branch or a tag may name another commit by now.
  if has_manifest "$model_dir" && ! grep -Fq "\"revision\": \"$(pulled_commit "$pulled")\"" "$model_dir/manifest.json"; then
    act rm -rf "$model_dir"
  fi
  export_model "$pulled" "$name"
}

# pulled_commit DIR prints the commit that a pull left in hub.json.
pulled_commit() { sed -n 's/^ *"revision": "\([0-9a-f]*\)",*$/\1/p' "$1/hub.json" | head -n 1; }

# export_model SOURCE NAME makes $model_dir. Where a variant does not pass its gate, the others are kept apart: whether to
# ship without it is for a person to say.
export_model() {
  if has_manifest "$model_dir"; then
    say "$model_dir is there already"
    return
  fi
  environment venv-torch
  act rm -rf "$model_dir.incomplete" # of a run that was cut off: its manifest would be taken for this one's
  act "$root/.venv-torch/bin/mlapi" model export "$1" --out "$model_dir.incomplete" --name "$(as_folder "$2")" || {
    has_manifest "$model_dir.incomplete" || die "$1 could not be exported, see above"
    die "a variant of $1 did not pass its gate, see above
  to ship the others: --model ${model_dir#"$root"/}.incomplete"
  }
  act mv "$model_dir.incomplete" "$model_dir"
}
