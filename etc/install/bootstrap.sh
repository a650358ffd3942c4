#!/usr/bin/env bash
# From a bare Debian or Ubuntu to a virtual environment with eucapy in it.
#
#   etc/install/bootstrap.sh [--apt LIST]... [--extras NAMES] [--quiet]
#
# LIST names a file beside this one (node, test); a package marked `?` there is left out where the distribution has none.
# Installs only what is missing, says what it does, and is done in a
# moment when nothing is. Without root it cannot call apt: then it names what is missing and ends with 3.
# The environment is .venv beside the checkout's pyproject.toml; nothing outside it and apt is touched.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
venv="$root/.venv"
stamp="$venv/.eucapy-installed"
lists=()
extras="node"
quiet=""
ahead=""  # the process that installs Python packages ahead of time
policy=/usr/sbin/policy-rc.d
policy_made=""

tidy() {
  [ -z "$policy_made" ] || rm -f "$policy"
  [ -z "$ahead" ] || kill "$ahead" 2>/dev/null || true
}
trap tidy EXIT

while [ $# -gt 0 ]; do
  case "$1" in
    --apt) lists+=("$2"); shift 2 ;;
    --extras) extras="$2"; shift 2 ;;
    --quiet) quiet=1; shift ;;
    *) echo "bootstrap.sh: unknown argument $1" >&2; exit 2 ;;
  esac
done

say() { [ -n "$quiet" ] || printf '  %s\n' "$*"; }
fail() { printf '\n%s\n' "$*" >&2; exit "${status:-1}"; }

# Shows one line of a long command's output at a time on a terminal, all of it in a log; prints the log's end on failure.
with_progress() {
  local title=$1 log started rc=0
  shift
  log=$(mktemp)
  started=$SECONDS
  if [ -t 1 ] && [ -z "$quiet" ]; then
    local width
    width=$(($(tput cols 2>/dev/null || echo 80) - 6))
    set +e
    "$@" 2>&1 </dev/null | tee "$log" | while IFS= read -r line; do printf '\r\033[K    %s' "${line:0:$width}"; done
    rc=${PIPESTATUS[0]}
    set -e
    printf '\r\033[K'
  else
    "$@" >"$log" 2>&1 </dev/null || rc=$?
  fi
  if [ "$rc" -ne 0 ]; then
    tail -n 40 "$log" >&2
    rm -f "$log"
    fail "$title failed (exit status $rc). The lines above say why."
  fi
  rm -f "$log"
  say "$title: $((SECONDS - started)) s"
}

packages_of() {
  local list
  for list in "$@"; do
    [ -f "$here/$list.txt" ] || fail "bootstrap.sh: no list $list"
    sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$here/$list.txt"
  done
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = "ii " ]; }

# No pipe into `grep -q`: it leaves at the first match, and apt-cache would fail for want of a reader.
offered() { [[ $(apt-cache policy "$1" 2>/dev/null) == *$'\n'"  Candidate: "[!\(]* ]]; }

missing_packages() {
  local name
  for name in "$@"; do
    installed "${name%\?}" || printf '%s\n' "$name"
  done
}

apt_install() {
  command -v dpkg-query >/dev/null || fail "This machine has no apt. eucapy installs itself on Debian 12 or newer and Ubuntu 22.04 or newer; elsewhere install what etc/install/*.txt names by hand."
  local wanted missing
  mapfile -t wanted < <(packages_of "$@")
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    status=3 fail "These packages are missing, and only root can install them:
  sudo apt-get install --no-install-recommends ${missing[*]%\?}"
  fi
  export DEBIAN_FRONTEND=noninteractive
  with_progress "apt update" apt-get update -q
  local name first=() kept=()
  for name in "${missing[@]}"; do
    case "$name" in
      python3-venv | python3-dev | ca-certificates) first+=("$name") ;;
      *\?) if offered "${name%\?}"; then kept+=("${name%\?}"); fi ;;
      *) kept+=("$name") ;;
    esac
  done
  [ ${#first[@]} -eq 0 ] || apt_get_install "apt install, for Python" "${first[@]}"
  [ ${#kept[@]} -gt 0 ] || return 0
  start_ahead
  apt_get_install "apt install" "${kept[@]}"
}

# Unpacking Debian packages waits for the disk: meanwhile pip can fetch and unpack all that needs no compiler. This is
# a head start and no more: `make_environment` does the whole of it properly, and says what fails.
start_ahead() {
  local python plain
  if satisfied || ! python=$(find_python); then return 0; fi
  plain=$(tr , '\n' <<<"$extras" | sed '/^node$/d' | paste -sd ,)
  {
    has_environment || "$python" -m venv --clear "$venv"
    exec "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off \
      -e "$root${plain:+[$plain]}"
  } >/dev/null 2>&1 </dev/null &
  ahead=$!
}

apt_get_install() {
  local title=$1
  shift
  say "installing $# packages: $*"
  # A package's own daemons stay off: the cloud starts what it needs itself.
  if [ ! -e "$policy" ]; then
    policy_made=1
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  with_progress "$title" apt-get install -q -y --no-install-recommends -o Dpkg::Lock::Timeout=300 "$@"
  if [ -n "$policy_made" ]; then
    rm -f "$policy"
    policy_made=""
  fi
}

find_python() {
  local candidate
  for candidate in "${EUCAPY_PYTHON:-}" /usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
    "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    command -v "$candidate"
    return 0
  done
  return 1
}

checksum() { cat "$root/pyproject.toml" "$root/setup.py" | sha256sum | cut -c1-16; }

has_environment() {
  [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Whether the environment has every extra that is asked for, in the versions that this checkout asks for.
satisfied() {
  local extra key
  has_environment || return 1
  key=$(checksum)
  for extra in ${extras//,/ }; do
    grep -qsx "$key $extra" "$stamp" || return 1
  done
}

make_environment() {
  local python extra started
  if [ -n "$ahead" ]; then
    started=$SECONDS
    wait "$ahead" || true
    ahead=""
    say "waited for pip, which began meanwhile: $((SECONDS - started)) s"
  fi
  if satisfied; then return 0; fi
  if [ -d "$venv" ] && [ ! -w "$venv/bin" ]; then
    fail "$venv is another user's ($(stat -c %U "$venv")), and something new has to be installed in it. Go on with sudo, or make it yours: sudo chown -R $(id -un) $venv"
  fi
  if ! has_environment; then
    if ! find_python >/dev/null && [ "$(id -u)" -eq 0 ] && offered python3.11-venv; then
      # Ubuntu 22.04: its own python3 is 3.10, but it has a newer one beside it.
      apt_get_install "apt install, for Python" python3.11 python3.11-venv python3.11-dev
    fi
    python=$(find_python) || fail "No Python of 3.11 or newer with the venv module was found.
  Debian 12, Ubuntu 24.04 and newer: sudo apt-get install python3-venv
  Ubuntu 22.04, whose own is 3.10:   sudo apt-get install python3.11 python3.11-venv python3.11-dev (from universe)"
    with_progress "virtual environment ($("$python" --version))" "$python" -m venv --clear "$venv"
  fi
  with_progress "Python packages [$extras]" \
    "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off -e "$root[$extras]"
  for extra in ${extras//,/ }; do echo "$(checksum) $extra" >>"$stamp"; done
}

[ ${#lists[@]} -eq 0 ] || apt_install "${lists[@]}"
make_environment
