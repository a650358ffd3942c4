#!/usr/bin/env bash
# `make test`: from a bare Debian or Ubuntu to the verdict over everything that this machine can run.
#
# As root it installs the packages that are missing and runs the host tests (libvirt, QEMU, network namespaces, real
# guests) too; without root those are skipped, by name, and the packages must be there. Arguments go to pytest and
# narrow the run; with arguments the stages are not split.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

printf '\n── install\n'
etc/install/bootstrap.sh --apt node --apt test --extras node,tools,dev || exit 1
export PATH="$PWD/.venv/bin:$PATH"

if [ $# -gt 0 ]; then
  exec python -m pytest "$@"
fi

started=$SECONDS
failed=()
stage() {
  local name=$1 stage_started=$SECONDS
  shift
  printf '\n── %s\n' "$name"
  "$@" || failed+=("$name")
  printf '   %s: %d s\n' "$name" $((SECONDS - stage_started))
}

stage "check" etc/dev/check.sh
stage "fast tests" python -m pytest -q -n "$(nproc)" --dist loadfile -m "not host and not guest" \
  --ignore=tests/architecture
if [ -d /usr/lib/postgresql ]; then
  stage "fast tests on PostgreSQL" python -m pytest -q -n "$(nproc)" --dist loadfile -m "not host and not guest" \
    --engine postgresql tests/clc tests/cloud --ignore=tests/cloud/test_deaths.py
fi
if [ "$(id -u)" -eq 0 ]; then
  stage "host tests" python -m pytest -v --durations=15 -m "host or guest"
else
  printf '\n── host tests: not run, they need root\n'
fi

printf '\ntest: %d s in all\n' $((SECONDS - started))
if [ ${#failed[@]} -gt 0 ]; then
  printf 'test: FAILED: %s\n' "$(IFS=,; echo "${failed[*]}")"
  exit 1
fi
printf 'test: good\n'
