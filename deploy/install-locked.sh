#!/usr/bin/env bash
# Installs the locked versions into an environment; the Makefile and the Dockerfile share it.
#
#   install-locked.sh UV PYTHON cpu|cuda [all | EXTRA ...]
#
# cuda: every file is checked by its digest in requirements.lock.
# cpu:  the same versions, but torch's CPU-only build from torch's own index and none of the CUDA
#       libraries: about 1 GB instead of 5.5 GB. The lock knows the digests of the CUDA build only,
#       so versions are held here and digests are not. F2F_TORCH_INDEX names a mirror.
# all:  every extra; else only the named ones.
set -euo pipefail
uv=$1 python=$2 torch=$3
shift 3
root=$(cd "$(dirname "$0")/.." && pwd)
lock=$root/requirements.lock
project=$root/pyproject.toml
index=${F2F_TORCH_INDEX:-https://download.pytorch.org/whl/cpu}

extras=()
for extra in "$@"; do
    if [[ $extra == all ]]; then extras+=(--all-extras); else extras+=(--extra "$extra"); fi
done

install() { "$uv" pip install --quiet --python "$python" "$@"; }

case $torch in
cuda)
    if [[ $* == all ]]; then
        install --require-hashes --requirements "$lock"
        exit
    fi
    install --constraints "$lock" --requirements "$project" "${extras[@]}"
    ;;
cpu)
    versions=$(mktemp)
    trap 'rm -f "$versions"' EXIT
    sed -E '/^ /d; /^#/d; s/ *\\$//' "$lock" >"$versions"
    # Alone and first: torch's index carries old copies of other packages too.
    install --no-deps --index-url "$index" "$(grep -oE '^torch==[0-9.]+' "$lock")"
    install --constraints "$versions" --requirements "$project" "${extras[@]}"
    ;;
*)
    echo "install-locked.sh: '$torch' is neither cpu nor cuda" >&2
    exit 2
    ;;
esac
