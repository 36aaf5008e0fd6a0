#!/usr/bin/env bash
# What `make bench` needs beside kph itself: the Debian packages named, which are installed where they are missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
. .ci/apt.sh

missing=()
for package; do
    if [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) != "install ok installed" ]]; then
        missing+=("$package")
    fi
done
if ((${#missing[@]})); then apt_install "${missing[@]}"; fi
