#!/usr/bin/env bash
# `make test`: from a bare Debian or Ubuntu to the verdict over everything that this machine can run.
#
# As root it installs the packages that are missing and runs the host tests (libvirt, QEMU, network namespaces, real
# guests) too. Without root it runs all that needs neither root nor a package that is missing, and says what it left out.
# Arguments go to pytest and narrow the run; with arguments the stages are not split.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

printf '\n── install\n'
lacking=""
if ! etc/install/bootstrap.sh --apt node --apt test --extras node,tools,dev,clients; then
  [ "$(id -u)" -ne 0 ] || exit 1
  printf '\nWithout them: the tests that need none of them.\n'
  etc/install/bootstrap.sh --extras tools,dev || exit 1
  lacking=1
fi
export PATH="$PWD/.venv/bin:$PATH"
if command -v npm >/dev/null && [ ! -d .venv/clients/node_modules/@aws-sdk/lib-storage ]; then
  npm install --silent --no-audit --no-fund --prefix .venv/clients @aws-sdk/client-s3@3 @aws-sdk/lib-storage@3 \
    || printf '\nWithout the AWS SDK for JavaScript: its test is skipped.\n'
fi

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
  printf '\n── host tests (libvirt, network namespaces, real guests): not run, they need root: sudo make test\n'
fi
[ -z "$lacking" ] || printf '\nPackages are missing here, and tests that need them were skipped: see the top.\n'

printf '\ntest: %d s in all\n' $((SECONDS - started))
if [ ${#failed[@]} -gt 0 ]; then
  printf 'test: FAILED: %s\n' "$(IFS=,; echo "${failed[*]}")"
  exit 1
fi
printf 'test: good\n'
