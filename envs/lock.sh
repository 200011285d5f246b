#!/bin/sh
# Compile the lock files from pyproject.toml, for every Python and platform; `make lock` calls
# this. Versions that are locked already stay; `UPGRADE=1 make lock` takes the newest. The plugin in
# plugins/ is installed from the checkout and not locked; its dependencies are.
set -eu
cd "$(dirname "$0")/.."
uv=$(command -v uv || echo .uv/bin/uv)

compile() {
    "$uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
        ${UPGRADE:+--upgrade} --extra "$1" --extra workflow --extra dev \
        --no-emit-package snakemake-executor-plugin-wilsonvox-slurm \
        pyproject.toml --output-file "$2"
}

compile cpu envs/requirements.lock
compile gpu envs/requirements-gpu.lock

# what an extra needs on top, with the versions of the packages that are there already
on_top='import sys, tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["project"]["optional-dependencies"][sys.argv[1]], sep="\n")'
for extra in htcondor docs; do
    .venv/bin/python -c "$on_top" "$extra" |
        "$uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
            ${UPGRADE:+--upgrade} --no-annotate --constraint envs/requirements.lock \
            - --output-file "envs/requirements-$extra.lock"
done
