#!/usr/bin/env bash
# Installs the Debian packages that the tests drive for real, where they are missing and this user may install them.
set -euo pipefail
missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need redis-server redis-server
need chromium chromium
need openssl openssl
need curl curl
need ip iproute2
need iptables iptables
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "missing on PATH: ${missing[*]}; the tests that need them will be skipped (Debian: apt-get install ${missing[*]})" >&2
  exit 0
fi
echo "installing ${missing[*]} ..."
apt-get update -qq
# A package's service must not start by itself: tests start their own on free ports.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
