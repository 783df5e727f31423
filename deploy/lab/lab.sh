#!/usr/bin/env bash
# The lab: the daemons of deploy/compose.yaml in containers, without an image registry and without
# systemd, normally through ./run lab. All state is in build/lab.
#
# lab.sh build                    the image
# lab.sh up                       image, containers, health
# lab.sh exec SERVICE COMMAND...  runs a command beside a daemon: exec kms kmsctl …
# lab.sh status | down
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
state=$root/build/lab
project=keystub-lab

die() {
  echo "lab: $*" >&2
  exit 1
}

if [[ $EUID -ne 0 ]]; then
  command -v sudo >/dev/null || die "containers here need root, and there is no sudo"
  exec sudo --preserve-env=CCACHE_DIR "$0" "$@"
fi

# Podman's settings: nothing of the machine's own containers is read or changed.
mkdir -p "$state"
cat >"$state/containers.conf" <<EOF
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=16384:16384"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_config_dir = "$state/networks"
EOF
cat >"$state/storage.conf" <<EOF
[storage]
driver = "overlay"
graphroot = "$state/storage"
runroot = "$state/run"
EOF
export CONTAINERS_CONF=$state/containers.conf CONTAINERS_STORAGE_CONF=$state/storage.conf

helpers=()
scratch=""
stop_helpers() {
  [[ ${#helpers[@]} -eq 0 ]] || kill "${helpers[@]}" 2>/dev/null || true
  [[ -z $scratch ]] || rm -rf "$scratch"
}
trap stop_helpers EXIT

base_image() {
  podman image exists docker.io/library/debian:bookworm-slim && return
  echo "lab: making the base image from the Debian mirror"
  mmdebstrap --quiet --variant=minbase bookworm "$state/base.tar" ||
    die "mmdebstrap cannot make the base image; is the Debian mirror reachable?"
  podman import --quiet "$state/base.tar" docker.io/library/debian:bookworm-slim >/dev/null
  rm -f "$state/base.tar"
}

build() {
  base_image
  local cache=${CCACHE_DIR:-$root/build/ccache}
  mkdir -p "$cache"
  podman build --format docker --pull=never --network host --volume "$cache:/ccache" \
    --tag docker.io/keystub/keystub:lab --file "$root/deploy/container/Containerfile" "$root"
}

# compose ARGUMENTS: docker-compose against a Podman API service that lives as long as this script.
compose() {
  if [[ -z $scratch ]]; then
    # A socket's path is limited to 107 characters.
    scratch=$(mktemp -d)
    export DOCKER_HOST=unix://$scratch/podman.sock
    podman system service --time=0 "$DOCKER_HOST" >"$state/service.log" 2>&1 &
    helpers+=($!)
    local tries=0
    until [[ -S $scratch/podman.sock ]]; do
      tries=$((tries + 1))
      [[ $tries -lt 100 ]] || die "podman's API service does not start ($state/service.log)"
      sleep 0.1
    done
  fi
  timeout 180 docker-compose --file "$root/deploy/compose.yaml" --project-name "$project" "$@"
}

containers() {
  podman ps --quiet --filter "label=com.docker.compose.project=$project"
}

# Podman leaves the health checks to systemd timers; here this loop runs them.
run_health_checks() {
  local id
  while true; do
    for id in $(containers); do
      timeout 10 podman healthcheck run "$id" >/dev/null 2>&1 || true
    done
    sleep 1
  done
}

# The containers that are not what they should be: a daemon runs and is healthy, and what ran once
# (init) ended well.
unwell() {
  podman ps --all --filter "label=com.docker.compose.project=$project" \
    --format '{{.Names}}: {{.Status}}' | grep -vE ': (Up .*\(healthy\)|Exited \(0\))' || true
}

up() {
  build
  run_health_checks &
  helpers+=($!)
  local status=0 deadline
  compose up -d || status=1
  deadline=$((SECONDS + 60))
  while [[ -n $(unwell) && $SECONDS -lt $deadline ]]; do sleep 1; done
  show
  if [[ $status -ne 0 || -n $(unwell) ]]; then
    compose logs --no-color --tail 40 || true
    die "the lab did not come up; ./run lab down removes it"
  fi
  echo "lab: up. ./run lab down ends it and removes its volumes."
}

show() {
  podman ps --all --filter "label=com.docker.compose.project=$project" \
    --format 'table {{.Names}}\t{{.Status}}'
}

# in_container SERVICE COMMAND...
in_container() {
  local id
  [[ $# -ge 2 ]] || die "usage: ./run lab exec SERVICE COMMAND..."
  id=$(podman ps --quiet --filter "label=com.docker.compose.project=$project" \
    --filter "label=com.docker.compose.service=$1")
  [[ -n $id ]] || die "the service $1 does not run; ./run lab up starts the lab"
  shift
  podman exec "$id" "$@"
}

down() {
  compose down --volumes --timeout 20
}

case ${1-} in
  build | up | down) "$1" ;;
  status) show ;;
  exec)
    shift
    in_container "$@"
    ;;
  *) die "usage: ./run lab build|up|status|exec|down" ;;
esac
