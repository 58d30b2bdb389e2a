#!/usr/bin/env bash
# Starts what the tests use and what does not answer yet: with docker compose where there is an engine, else from Debian's
# packages, else it says what to do. Whatever answers already is left alone.
#
#   internal/services/start.sh [<service> …]     all of them by default
#
# A service is a name in `services` and in compose.yaml, and three functions: <name>_address prints where the tests look for it
# (host and port), <name>_packages what Debian calls it, and <name>_start starts what those packages have brought.
set -euo pipefail
cd "$(dirname "$0")"

services=(postgres)

say() { echo "services: $*" >&2; }

is_root() { [ "$(id -u)" = 0 ]; }

has_engine() { docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; }

# answers <host> <port> reports whether somebody listens.
answers() { timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; }

# install <service> brings the packages of a service that are missing, where that is possible.
install() {
	local packages
	packages=$("$1_packages")
	if is_root && command -v apt-get >/dev/null; then
		say "$1: installing $packages"
		# shellcheck disable=SC2086 # they are several words
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends $packages >&2
	else
		say "$1: install $packages (on Debian: sudo apt-get install $packages), or a container engine with compose; then run this again"
		return 1
	fi
}

# PostgreSQL

postgres_address() {
	local place=${OUTBOX_TEST_POSTGRES_URL:-postgres://postgres@127.0.0.1:5432/postgres}
	place=${place#*://} && place=${place%%[/?]*} && place=${place##*@}
	echo "${place%:*}" "$([ "$place" = "${place%:*}" ] && echo 5432 || echo "${place##*:}")"
}

postgres_packages() { echo postgresql; }

# postgres_bin prints the folder of PostgreSQL's programs: the newest that Debian has, else the one in PATH.
postgres_bin() {
	local found
	found=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
	[ -n "$found" ] || found=$(dirname "$(command -v initdb)" 2>/dev/null) || return 1
	[ -x "$found/initdb" ] && echo "$found"
}

# postgres_stop_packaged stops the cluster that Debian starts when it installs the packages: it is at the same address.
postgres_stop_packaged() {
	command -v pg_lsclusters >/dev/null || return 0
	pg_lsclusters --no-header | while read -r version cluster _; do
		pg_ctlcluster "$version" "$cluster" stop || true
	done
}

# postgres_start runs a cluster of its own, which lets everybody in on the loopback address: those of the machine ask for
# passwords, and are not ours to change.
postgres_start() {
	local bin place as=() port
	if ! postgres_bin >/dev/null; then
		install postgres
		postgres_stop_packaged
	fi
	bin=$(postgres_bin)
	port=$(postgres_address | cut -d' ' -f2)
	if is_root; then # PostgreSQL does not run as root
		place=/var/lib/postgresql/outbox-services
		as=(runuser -u postgres --)
	else
		place=${XDG_STATE_HOME:-$HOME/.local/state}/outbox-services/postgres
		mkdir -p "$(dirname "$place")"
	fi
	cd /
	if ! "${as[@]}" test -e "$place/PG_VERSION"; then
		"${as[@]}" "$bin/initdb" --pgdata="$place" --username=postgres --auth=trust --encoding=UTF8 --locale=C >/dev/null
	fi
	"${as[@]}" "$bin/pg_ctl" start --wait --silent --pgdata="$place" --log="$place/log" \
		--options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=''"
}

# start <service>
start() {
	local host port
	read -r host port <<<"$("$1_address")"
	if answers "$host" "$port"; then
		say "$1: answers at $host:$port"
		return
	fi
	case $host in
	127.0.0.1 | localhost) ;;
	*)
		say "$1: nobody answers at $host:$port, where the tests are told to look: start it there"
		return 1
		;;
	esac
	if has_engine; then
		docker compose up --detach --wait "$1"
	else
		("$1_start")
	fi
	answers "$host" "$port" || { say "$1: was started, and does not answer at $host:$port"; return 1; }
	say "$1: started at $host:$port"
}

failed=()
for service in "${@:-${services[@]}}"; do
	start "$service" || failed+=("$service")
done
# Tests that stop a server, or fill its disk, have one of their own.
postgres_bin >/dev/null || install postgres || failed+=("PostgreSQL's programs")
[ ${#failed[@]} = 0 ] || { say "missing: ${failed[*]}"; exit 1; }
