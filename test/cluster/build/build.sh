#!/usr/bin/env bash
# Builds the test control plane from Go modules, once, into a cache outside the repository.
#   build.sh kubernetes   etcd, kube-apiserver, kube-controller-manager, kubectl
#   build.sh crossplane   Crossplane core
#   build.sh object-store  versitygw, an S3-compatible store that checks signatures
#   build.sh function-peers   composition functions written in Go, which the function is compared with in benchmarks
#   build.sh kyverno-crds   the definitions of Kyverno's policies, to which the control library is held
#   build.sh package-reader   reads a Function package with Crossplane's own parser and linter
#   build.sh network-policy-oracle   kube-network-policies' evaluator, an independent judge for ours
#   build.sh network-policy-enforcer   kube-network-policies itself, which judges real packets
#   build.sh all   everything that tests use (not function-peers), one after the other
# Prints the folder that holds the binaries. The cache key is the go.sum's hash, so a version change builds anew;
# a lock lets parallel runs wait for one build, and what a killed run left half built is built anew. Measured: 750 and 375 CPU
# seconds from cold on two cores.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
what=${1:?usage: build.sh kubernetes|crossplane|object-store|function-peers|kyverno-crds|package-reader|network-policy-oracle|network-policy-enforcer|all}
if [ "$what" = all ]; then
  for each in kubernetes crossplane object-store kyverno-crds package-reader network-policy-oracle network-policy-enforcer; do
    # Programs that somebody has already are not built.
    [ "$each" = kubernetes ] && [ -n "${KUBEBUILDER_ASSETS:-}" ] && continue
    PARAPET_BUILD_PATIENT=true "$here/build.sh" "$each" >/dev/null
  done
  exit 0
fi
src=$here/$what
[ -d "$src" ] || { echo "build.sh: no folder $src" >&2; exit 2; }
# Go wants a home as well as we do; services are started without.
[ -n "${HOME:-}" ] || { HOME=$(getent passwd "$(id -u)" | cut -d: -f6) && export HOME; }
cache=${PARAPET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/parapet}
key=$(find "$src" -type f | sort | xargs cat | sha256sum | cut -c1-12)
bin=$cache/$what-$key
mkdir -p "$cache"

patiently() { # a command that downloads: proxies fail for a moment. Only once for all: every test file asks for its programs
  local pause
  for pause in ${PARAPET_BUILD_PATIENT:+5 20 60}; do
    "$@" && return 0
    echo "failed: $*; again in $pause s ..." >&2
    sleep "$pause"
  done
  "$@"
}

compile() { # package binary ldflags [folder of the module]
  echo "building $2 from Go modules (once; minutes from cold) ..." >&2
  (cd "${4:-$src}" && patiently go list -mod=mod -deps "$1" >/dev/null)
  (cd "${4:-$src}" && CGO_ENABLED=0 nice go build -mod=mod -trimpath -ldflags "-s -w $3" -o "$bin.tmp/$2" "$1")
}

kubernetes_flags() { # the release's version, which an ordinary go build leaves at v0.0.0-master
  local v=$1 major minor flags=""
  major=$(echo "${v#v}" | cut -d. -f1) minor=$(echo "${v#v}" | cut -d. -f2)
  for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags="$flags -X $p.gitVersion=$v -X $p.gitMajor=$major -X $p.gitMinor=$minor -X $p.gitTreeState=archive -X $p.gitCommit=unknown -X $p.buildDate=1970-01-01T00:00:00Z"
  done
  echo "$flags"
}

build() {
  rm -rf "$bin.tmp" && mkdir -p "$bin.tmp"
  case $what in
    kubernetes)
      local flags; flags=$(kubernetes_flags v1.36.3)
      compile k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver "$flags"
      compile go.etcd.io/etcd/server/v3 etcd ""
      compile k8s.io/kubernetes/cmd/kube-controller-manager kube-controller-manager "$flags"
      compile k8s.io/kubernetes/cmd/kubectl kubectl "$flags"
      ;;
    crossplane)
      compile github.com/crossplane/crossplane/v2/cmd/crossplane crossplane ""
      # What tests read from the module itself: the CRDs that core needs, the wire format of `internal render`.
      local dir; dir=$(cd "$src" && go list -mod=mod -m -f '{{.Dir}}' github.com/crossplane/crossplane/v2)
      cp -r "$dir/cluster/crds" "$bin.tmp/crds" && mkdir -p "$bin.tmp/proto"
      cp -r "$dir/proto/." "$bin.tmp/proto/" && chmod -R u+w "$bin.tmp"
      ;;
    object-store)
      compile github.com/versity/versitygw/cmd/versitygw versitygw ""
      ;;
    function-peers)
      # Each has a module of its own: they want different versions of the same libraries.
      compile github.com/crossplane-contrib/function-cel-filter cel-filter "" "$src/cel-filter"
      compile github.com/crossplane/function-auto-ready auto-ready "" "$src/auto-ready"
      compile github.com/crossplane-contrib/function-patch-and-transform patch-and-transform "" "$src/patch-and-transform"
      ;;
    kyverno-crds)
      local dir; dir=$(cd "$src" && patiently go mod download -json github.com/kyverno/kyverno | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
      cp -r "$dir/config/crds/policies.kyverno.io/." "$bin.tmp/" && chmod -R u+w "$bin.tmp"
      ;;
    package-reader)
      compile . package-reader ""
      ;;
    network-policy-oracle)
      compile . network-policy-oracle ""
      local api; api=$(cd "$src" && go list -mod=mod -m -f '{{.Dir}}' sigs.k8s.io/network-policy-api)
      cp -r "$api/config/crd/standard" "$bin.tmp/crds" && chmod -R u+w "$bin.tmp"
      ;;
    network-policy-enforcer)
      compile sigs.k8s.io/kube-network-policies/cmd/kube-network-policies/npa-v1alpha2 kube-network-policies ""
      ;;
  esac
  mv "$bin.tmp" "$bin"
}

exec 9>"$cache/$what.lock"
flock -n 9 || { echo "waiting for another run that builds $what ..." >&2; flock 9; }
[ -d "$bin" ] || build
echo "$bin"
