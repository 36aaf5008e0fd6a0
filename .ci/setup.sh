#!/usr/bin/env bash
# Sets up a Debian machine (12 or later) for kph: a Python environment in .venv, and the packages that
# `kph doctor` finds missing. Does nothing when it has done it before for the same requirements.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stamp=.venv/kph-setup
key="$PWD $(cat pyproject.toml harness/requirements.yaml | sha256sum)"
done_before() { [[ -f $stamp && -x .venv/bin/kph && $(<"$stamp") == "$key" ]]; }
if done_before; then exit 0; fi

exec 9<pyproject.toml
flock 9 # two at once: the second finds it done
if done_before; then exit 0; fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
. .ci/apt.sh

# A Python that is new enough and can make environments (Debian keeps that in python3-venv).
find_python() {
    local each
    for each in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$each" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$each"
            return
        fi
    done
    return 1
}

if ! .venv/bin/python -c '' 2>/dev/null; then
    if ! python=$(find_python); then
        apt_install python3 python3-venv
        if ! python=$(find_python); then
            say "there is no Python 3.11 or later; name one in PYTHON"
            exit 3
        fi
    fi
    say "making the Python environment .venv"
    rm -rf .venv
    "$python" -m venv .venv
fi
say "installing the Python packages"
if ! .venv/bin/pip install --disable-pip-version-check --editable '.[test]' >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    say "the Python packages cannot be installed; the lines above are pip's own"
    exit 3
fi

packages=$(.venv/bin/kph doctor --packages)
if [[ -n $packages ]]; then
    read -ra words <<<"$packages"
    apt_install "${words[@]}"
fi
printf '%s' "$key" >"$stamp"
