#!/bin/sh
# Make the locked environment .venv/ in the checkout; `make setup` calls this when it is out of
# date. Needs Python 3.11 to 3.13 with its venv module, and git. PYTHON names the interpreter,
# LOCK the lock file.
set -eu
cd "$(dirname "$0")/.."
lock=${LOCK:-envs/requirements.lock}
uv_version=0.13.9 # fetched only where there is no uv

fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
else
    set -- python3 python3.13 python3.12 python3.11
fi
python=
for candidate in "$@"; do
    if command -v "$candidate" >/dev/null 2>&1 &&
        "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
        python=$(command -v "$candidate")
        break
    fi
done
[ -n "$python" ] ||
    fail "no Python 3.11, 3.12 or 3.13 among: $*; install one, or name it: make setup PYTHON=…"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python has no venv module; install it (Debian, Ubuntu: apt install python3-venv)"
command -v git >/dev/null 2>&1 || fail "git is missing; install it (Debian, Ubuntu: apt install git)"

if command -v uv >/dev/null 2>&1; then
    uv=uv
else
    uv=.uv/bin/uv
    if [ ! -x "$uv" ] || ! "$uv" --version >/dev/null 2>&1; then
        "$python" -m venv --clear .uv
        .uv/bin/python -m pip install -qq --disable-pip-version-check "uv==$uv_version" ||
            fail "cannot install uv $uv_version with pip; is there a network?"
    fi
fi

# scripts in .venv/bin name their own place: an environment that was moved here, or one of another
# Python, is made anew
here=$(pwd -P)
version='import sys; print(*sys.version_info[:2])'
if ! grep -qsF "$here/.venv/bin/python" .venv/bin/snakemake ||
    [ "$(.venv/bin/python -c "$version" 2>&1)" != "$("$python" -c "$version")" ]; then
    "$uv" venv --quiet --clear --python "$python" .venv
fi
VIRTUAL_ENV=$here/.venv
export VIRTUAL_ENV
echo "setup: installing $lock into .venv/"
# Snakemake starts many short processes: each would compile what has no bytecode
"$uv" pip sync --quiet --require-hashes --compile-bytecode "$lock"
"$uv" pip install --quiet --no-deps --no-build-isolation --editable . \
    --editable plugins/snakemake-executor-plugin-wilsonvox-slurm
[ -n "$(find .venv -name '*.pyc' -print | head -n 1)" ] || .venv/bin/python -m compileall -q .venv
printf '%s\n' "$here" "$lock" >.venv/setup.stamp
