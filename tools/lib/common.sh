# Shared by the scripts of tools/: what they need from the system, and how they call Bazel.
# Source it from bash under `set -euo pipefail`.

ioengine_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"

# Bazel keeps its output below the home folder, and some runners of jobs set none.
if [[ -z "${HOME:-}" ]]; then
  HOME="$(getent passwd "$EUID" | cut -d: -f6)"
  export HOME
fi

# Debian packages. `bazel-rules-*`, `bazel-platforms` and `bazel-skylib` are the rule sets that
# WORKSPACE names; without them Bazel would want to download. Only //tools/compare and its tests need
# the engines of others (librocksdb-dev).
ioengine_build_packages=(
  g++ python3 pkg-config
  bazel-bootstrap bazel-platforms bazel-rules-java bazel-rules-proto bazel-skylib
  libabsl-dev liburing-dev libnuma-dev libxxhash-dev nlohmann-json3-dev
)
ioengine_test_packages=("${ioengine_build_packages[@]}" libgtest-dev libgmock-dev librocksdb-dev cmake)

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# missing_packages PACKAGE... - prints those that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    if [[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]]; then
      echo "$package"
    fi
  done
}

# apt_get_install PACKAGE... - a fresh machine may have no package lists, or stale ones.
apt_get_install() {
  local -a apt=(apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
  export DEBIAN_FRONTEND=noninteractive
  "${apt[@]}" install --no-install-recommends "$@" </dev/null && return
  "${apt[@]}" update </dev/null && "${apt[@]}" install --no-install-recommends "$@" </dev/null
}

# install_packages PACKAGE... - installs what is missing; silent when nothing is.
install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    # Not Debian: Bazel and pkg-config name what they do not find.
    return
  fi
  local -a missing
  mapfile -t missing < <(missing_packages "$@")
  if ((${#missing[@]} == 0)); then
    return
  fi
  if ((EUID != 0)); then
    die "missing packages: ${missing[*]}
Not running as root, so install them first:  sudo apt-get install ${missing[*]}"
  fi
  echo "Installing ${missing[*]}" >&2
  local log
  log="$(mktemp)"
  if ! apt_get_install "${missing[@]}" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    rm -f "$log"
    die "apt-get could not install: ${missing[*]} (its output is above)"
  fi
  rm -f "$log"
}

# in_workspace COMMAND... - runs it at the top of the tree.
in_workspace() (
  cd "$ioengine_root" || exit
  "$@"
)

# quiet_bazel COMMAND... - silent unless it fails; then shows what Bazel said.
quiet_bazel() {
  local log status=0
  log="$(mktemp)"
  in_workspace bazel "$@" --noshow_progress --color=no >"$log" 2>&1 </dev/null || status=$?
  if ((status != 0)); then
    cat "$log" >&2
  fi
  rm -f "$log"
  return "$status"
}

# bazel_info KEY [OPTION...] - one fact, such as the output folder of a configuration.
bazel_info() {
  in_workspace bazel info "$@" --noshow_progress 2>/dev/null </dev/null
}
