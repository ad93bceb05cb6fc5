# Makes and refreshes the project's own environments; sourced by the other scripts.
#
#   ensure_environment NAME EXTRAS    a virtual environment .venv-NAME with the package and EXTRAS
#
# An environment is made again when pyproject.toml changes. A marker is written last, so that an
# interrupted build is never taken for a finished one. uv is used where it is installed.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    echo "gemma-setup needs Python 3.11 or later, which was not found." >&2
    echo "Install it from https://www.python.org/downloads/, or set PYTHON to its path." >&2
    return 1
}

step() {
    # step TITLE COMMAND...: says what runs, shows every second that it still does.
    printf '  %s ' "$1" >&2
    shift
    dots=
    if [ -t 2 ]; then
        # Ctrl-C ends this script and not its background jobs: they look for themselves.
        while sleep 1 && kill -0 $$ 2>/dev/null; do printf . >&2; done &
        dots=$!
    fi
    status=0
    "$@" >>"$log" 2>&1 || status=$?
    [ -z "$dots" ] || kill "$dots" 2>/dev/null || :
    [ "$status" -ne 0 ] || echo " done" >&2
    return "$status"
}

make_environment() {
    rm -rf "$environment"
    if command -v uv >/dev/null; then
        uv venv --seed --python "$python" "$environment"
    else
        "$python" -m venv "$environment"
    fi
}

install_package() {
    if command -v uv >/dev/null; then
        uv pip install --python "$environment/bin/python" --editable "$root[$1]"
    else
        "$environment/bin/python" -m pip install --disable-pip-version-check \
            --progress-bar off --editable "$root[$1]"
    fi
}

ensure_environment() {
    environment="$root/.venv-$1"
    # The place counts too: a moved checkout needs a new environment.
    wanted=$(cat "$root/pyproject.toml" && printf '%s %s\n' "$root" "$2")
    if [ -f "$environment/.complete" ] && [ "$(cat "$environment/.complete")" = "$wanted" ]; then
        return 0
    fi
    python=$(find_python) || return 1
    log="$root/.venv-$1.log"
    : >"$log"
    echo "Setting up gemma-setup in .venv-$1 (once, about half a minute):" >&2
    if ! step "Python environment" make_environment || ! step "packages" install_package "$2"; then
        echo >&2
        echo "Setup failed; the last lines of $log:" >&2
        tail -n 15 "$log" >&2
        return 1
    fi
    printf '%s\n' "$wanted" >"$environment/.complete"
    rm -f "$log"
}
