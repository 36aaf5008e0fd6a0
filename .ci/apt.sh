# Installing Debian packages, for the scripts beside this one. Sourced; needs bash, and $log, a scratch file.

say() { printf 'setup: %s\n' "$*" >&2; }

apt_install() {
    local root=()
    local command=(apt-get install -y --no-install-recommends "$@")
    if ! command -v apt-get >/dev/null; then
        say "this machine has no apt; install what these Debian packages hold, then run again: $*"
        exit 3
    fi
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null; then
            say "you are not root and there is no sudo; let root run: ${command[*]}"
            exit 3
        fi
        root=(sudo)
    fi
    say "installing $*"
    # A machine with old package lists asks for files that are gone: then fetch the lists, and try once more.
    if ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive "${command[@]}" >"$log" 2>&1 </dev/null; then
        "${root[@]}" apt-get update >>"$log" 2>&1 </dev/null || true
        if ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive "${command[@]}" >>"$log" 2>&1 </dev/null; then
            tail -n 15 "$log" >&2
            say "the packages cannot be installed; try by hand: ${command[*]}"
            exit 3
        fi
    fi
}
