#!/usr/bin/env bash
# Builds the function's package: its image, with the package metadata and input CRD as one more layer.
#   package/xpkg/build.sh [OUT.xpkg]      needs buildah and skopeo, no Docker
# NODE_IMAGE names another base image (default: Dockerfile's); BUILDAH_FLAGS and BUD_FLAGS go to buildah, for builds in
# a chroot or behind a proxy; test/support/node-image.sh makes a base image where no registry can be reached.
# The OCI layout is left beside OUT as OUT.oci: push that, its annotations say what is what.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-$root/dist/function-parapet.xpkg}
for tool in buildah skopeo; do
  command -v "$tool" >/dev/null || { echo "build.sh: $tool is missing (Debian: apt-get install buildah skopeo)" >&2; exit 2; }
done
mkdir -p "$(dirname "$out")"
rm -rf "$out" "$out.oci"
image=localhost/function-parapet:package
read -ra buildah_flags <<<"${BUILDAH_FLAGS:-}"
read -ra bud_flags <<<"${BUD_FLAGS:-}"
[ -z "${NODE_IMAGE:-}" ] || bud_flags+=(--build-arg "NODE_IMAGE=$NODE_IMAGE")

buildah "${buildah_flags[@]}" bud -q "${bud_flags[@]}" --target function -t "$image" "$root"
buildah "${buildah_flags[@]}" push -q "$image" "oci:$out.oci:package"
(cd "$root" && npx node package/xpkg/add-package-layer.ts "$out.oci" package/function)
skopeo copy -q "oci:$out.oci:package" "docker-archive:$out"
echo "$out"
