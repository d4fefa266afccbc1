# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the script that sources this
# Renders, read as text: kustomize writes every key at the margin or at two spaces, which awk can tell apart, and the user
# of deploy.sh needs no YAML reader. Sourced by deploy.sh and clean-dev.sh.

# value ENVIRONMENT KEY prints one of the overlay's values, or nothing.
value() {
  awk -v key="$2:" '
    /^[^ #]/ { inside = ($1 == "data:") }
    inside && $1 == key {
      sub(/^[^:]*: */, "")
      if (/^"/) { sub(/^"/, ""); sub(/".*/, "") } else sub(/ *(#.*)?$/, "")
      print
      exit
    }' "$root/.k8s/overlays/$1/values.yaml"
}

# objects FILE prints a line for each object: apiVersion, kind, namespace (or -), name.
objects() {
  awk '
    function put() { if (kind != "") print api, kind, (space == "" ? "-" : space), name }
    function clean(text) { gsub(/["'\'']/, "", text); return text }
    /^---/ { put(); api = kind = space = name = ""; inside = 0; next }
    /^[^ #-]/ { inside = ($1 == "metadata:") }
    /^apiVersion:/ { api = clean($2) }
    /^kind:/ { kind = clean($2) }
    inside && /^  name:/ { name = clean($2) }
    inside && /^  namespace:/ { space = clean($2) }
    END { put() }' "$1"
}

# documents only|without KIND FILE prints the documents of this kind, or all the others.
documents() {
  awk -v which="$1" -v wanted="$2" '
    function put() {
      if (text != "" && (kind == wanted) == (which == "only")) { if (any++) print "---"; printf "%s", text }
      text = kind = ""
    }
    /^---/ { put(); next }
    /^kind:/ { kind = $2 }
    { text = text $0 "\n" }
    END { put() }' "$3"
}

# deployments FILE prints the names of its Deployments.
deployments() { objects "$1" | awk '$2 == "Deployment" { print $4 }'; }

# progress_deadline FILE prints the longest progressDeadlineSeconds of its Deployments; Kubernetes takes 600 where there is none.
progress_deadline() {
  documents only Deployment "$1" | awk '
    function put() { if (kind) { if (own == "") own = 600; if (own + 0 > longest) longest = own + 0 } }
    /^---/ { put(); kind = 0; own = "" }
    /^kind:/ { kind = 1 }
    /^  progressDeadlineSeconds:/ { own = $2 }
    END { put(); print longest + 0 }'
}
