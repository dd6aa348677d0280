#!/usr/bin/env bash
# Installs the Debian packages that the tests drive for real, where they are missing and this user may install them.
set -euo pipefail
missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
look() {
  missing=()
  need redis-server redis-server
  need chromium chromium
  need openssl openssl
  need curl curl
  need ip iproute2
  need iptables iptables
}
look
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "missing on PATH: ${missing[*]}; the tests that need them will be skipped (Debian: apt-get install ${missing[*]})" >&2
  exit 0
fi
# Of two runs at once the second waits, and finds what the first has installed.
exec 9>/var/lock/parapet-system-packages.lock
flock 9
look
[ ${#missing[@]} -eq 0 ] && exit 0
echo "installing ${missing[*]} ..."
# A package's service must not start by itself: tests start their own on free ports.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
# Mirrors fail for a moment, and a new machine may still be at its own updates.
options=(-qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=600)
# A source that has nothing to do with these packages may be out of order: whether they can be had shows below.
apt-get "${options[@]}" update || echo "apt-get update failed; trying with the lists that are there" >&2
# What a run that was killed left half installed is finished first.
dpkg --configure -a >/dev/null
apt-get "${options[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
