#!/usr/bin/env bash
# Installs every Debian package that building, testing and measuring Weir needs.  Idempotent, and quick when all are there.
# Must never start a service: databases and proxies are started by the lab, in namespaces of its own.
# Usage: scripts/setup.sh [--check]      --check: say what is missing, install nothing, exit 1 if anything is
set -euo pipefail

# What a build needs.
build=(build-essential gcc g++ cmake ninja-build ccache mold pkg-config git
  clang clang-tidy clang-format libclang-rt-dev lld llvm bpftool linux-libc-dev libbpf-dev libelf-dev zlib1g-dev liburing-dev libcap-dev libseccomp-dev libmnl-dev
  libhyperscan-dev libpg-query-dev libprotobuf-c-dev libssl-dev libboost1.74-dev libboost-program-options-dev libspdlog-dev libfmt-dev
  libexpected-dev libpq-dev libsqlite3-dev libyaml-cpp-dev nlohmann-json3-dev libcurl4-openssl-dev libzstd-dev libzip-dev libgtest-dev libgmock-dev libbenchmark-dev)
# What the lab, the tests and the side-by-side measurements run.
lab=(iproute2 nftables postgresql-15 postgresql-client-15 jq python3 ca-certificates curl iputils-ping tcpdump zstd openssl psmisc procps util-linux
  zsh fish iperf3 haproxy nginx libnginx-mod-stream pgbouncer python3-scapy python3-cryptography
  openssh-client openssh-server dropbear-bin putty-tools python3-paramiko)

missing_packages() {
  # dpkg-query fails when it knows nothing of one of them: that is an answer, not an error.
  { dpkg-query -W -f='${Package} ${db:Status-Status}\n' "${build[@]}" "${lab[@]}" 2>/dev/null || true; } |
    awk '$2 == "installed" {print $1}' | sort -u >"$scratch/installed"
  printf '%s\n' "${build[@]}" "${lab[@]}" | sort -u | comm -23 - "$scratch/installed"
  command -v node >/dev/null || echo nodejs
  command -v npm >/dev/null || echo npm
}

# Three tries: mirrors and proxies fail now and then.
retry() {
  local attempt
  for attempt in 1 2 3; do
    "$@" && return 0
    echo "setup: try $attempt of 3 failed: $*" >&2
    sleep $((attempt * 5))
  done
  return 1
}

# Debian starts a service when it installs it, unless this file says no.
forbid_services() {
  [ -e /usr/sbin/policy-rc.d ] && return 0
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  policy_is_ours=1
}

policy_is_ours=
scratch=$(mktemp -d)
finish() {
  rm -rf "$scratch"
  [ -z "$policy_is_ours" ] || rm -f /usr/sbin/policy-rc.d
}
trap finish EXIT

mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -eq 0 ]; then
  echo "setup: all $((${#build[@]} + ${#lab[@]} + 2)) packages are installed"
  exit 0
fi
echo "setup: missing: ${missing[*]}"
[ "${1:-}" = --check ] && exit 1
[ "$(id -u)" -eq 0 ] || { echo "setup: run as root: packages are to be installed" >&2; exit 1; }

export DEBIAN_FRONTEND=noninteractive
install=(apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
forbid_services
# The lists may be there and fresh enough: then the update is not needed.
if ! "${install[@]}" "${missing[@]}" >"$scratch/log" 2>&1; then
  retry apt-get update -q
  retry "${install[@]}" "${missing[@]}"
fi
mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -ne 0 ]; then
  echo "setup: still missing after the install: ${missing[*]}" >&2
  exit 1
fi
echo "setup: done"
