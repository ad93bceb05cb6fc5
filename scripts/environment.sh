# Makes and refreshes the project's own environments; sourced by the other scripts.
#
#   ensure_environment NAME EXTRAS    a virtual environment .venv-NAME with the package and EXTRAS
#
# An environment is made again when pyproject.toml changes. It is built beside its final place and
# a marker is written last, so that an interrupted build is never taken for a finished one.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    echo "gemma-setup needs Python 3.11 or later, and none was found." >&2
    echo "Install it (https://www.python.org/downloads/), or set PYTHON to one that is." >&2
    return 1
}

ensure_environment() {
    environment="$root/.venv-$1"
    # The place counts too: a moved checkout needs a new environment.
    wanted=$(cat "$root/pyproject.toml" && printf '%s %s\n' "$root" "$2")
    if [ -f "$environment/.complete" ] && [ "$(cat "$environment/.complete")" = "$wanted" ]; then
        return 0
    fi
    python=$(find_python) || return 1
    echo "Making the environment .venv-$1 (once) ..." >&2
    log="$root/.venv-$1.log"
    if ! {
        rm -rf "$environment" &&
            "$python" -m venv "$environment" &&
            "$environment/bin/python" -m pip install --disable-pip-version-check \
                --quiet --editable "$root[$2]"
    } >"$log" 2>&1; then
        echo "The environment could not be made; the last lines of $log:" >&2
        tail -n 15 "$log" >&2
        return 1
    fi
    printf '%s\n' "$wanted" >"$environment/.complete"
    rm -f "$log"
}
