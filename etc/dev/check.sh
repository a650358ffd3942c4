#!/usr/bin/env bash
# `make check`: every stage is run, whatever the one before said, and the failures are named again at the end.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export PATH="$PWD/.venv/bin:$PATH"

failed=()
stage() {
  local name=$1 started=$SECONDS
  shift
  printf '\n── %s\n' "$name"
  if "$@"; then
    printf '   %s: good (%d s)\n' "$name" $((SECONDS - started))
  else
    printf '   %s: FAILED (%d s)\n' "$name" $((SECONDS - started))
    failed+=("$name")
  fi
}

stage "ruff check" ruff check .
stage "ruff format" ruff format --check .
stage "mypy" mypy
stage "import contracts" lint-imports --no-logo
stage "architecture" python -m pytest -q tests/architecture

if [ ${#failed[@]} -gt 0 ]; then
  printf '\ncheck: FAILED: %s\n' "$(IFS=,; echo "${failed[*]}")"
  exit 1
fi
printf '\ncheck: good\n'
