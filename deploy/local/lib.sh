# Shared by the scripts of this directory: where things lie, which processes there are, how they are started and asked.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
STACK=$(realpath -m "${CONTACTHUB_STACK:-$ROOT/.stack}")
BIN=$(realpath -m "${CONTACTHUB_BIN:-$ROOT/build/bin}")
readonly ROOT STACK BIN

# Every process of the stack, in the order in which they start; they stop in the opposite order.
readonly PROCESSES=(postgres kafka configuration customer-merge event-ingest aggregate-sync stats-rollup bulk-processor gateway)

readonly PYTHON=/usr/bin/python3
readonly PG_BIN=/usr/lib/postgresql/15/bin
readonly PG_NAME=contacthub
readonly KAFKA_VERSION=4.3.1
export HOME=${HOME-~} # the user's, where nobody has set it
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/contacthub
readonly KAFKA_JARS=$CACHE/kafka-$KAFKA_VERSION
readonly SCHEMATHESIS_VERSION=4.32.5
readonly SCHEMATHESIS=$CACHE/schemathesis-$SCHEMATHESIS_VERSION
readonly STOP_SECONDS=15
readonly READY_SECONDS=90

say() {
	printf '%s\n' "$*"
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# For scripts that take no arguments: --help prints the comment that the script begins with, anything else is refused. (One
# that did not look would delete the data when it is asked what it does.)
take_no_arguments() {
	case ${1:-} in
	"") ;;
	-h | --help)
		explain
		exit 0
		;;
	*) die "takes no arguments, but '$1' was given; --help says what it does" ;;
	esac
}

# For scripts whose arguments somebody else reads, or that begin with something long.
explain_if_asked() {
	case ${1:-} in
	-h | --help)
		explain
		exit 0
		;;
	esac
}

explain() {
	sed -n '2,$ { /^#/! q; s/^# \{0,1\}//; p }' "$0"
}

need_file() {
	[ -e "$1" ] || die "$1 is missing: run deploy/local/$2 first"
}

is_root() {
	[ "$(id -u)" = 0 ]
}

# --- ports -----------------------------------------------------------------------------------------------------------

readonly PORT_COUNT=4
readonly DEFAULT_PORT_BASE=18080

# The base that was asked for, else the one that this stack had before, else the default.
port_base() {
	local base=${CONTACTHUB_PORT_BASE:-}
	if [ -z "$base" ] && [ -s "$STACK/port-base" ]; then
		base=$(<"$STACK/port-base")
	fi
	base=${base:-$DEFAULT_PORT_BASE}
	[[ $base =~ ^[1-9][0-9]{0,4}$ ]] && [ "$((base + PORT_COUNT))" -le 65535 ] ||
		die "CONTACTHUB_PORT_BASE must be a number from 1 to $((65535 - PORT_COUNT)), not '$base'"
	echo "$base"
}

set_ports() {
	PORT_BASE=$(port_base)
	GATEWAY_PORT=$PORT_BASE
	KAFKA_PORT=$((PORT_BASE + 1))
	CONTROLLER_PORT=$((PORT_BASE + 2))
	PG_PORT=$((PORT_BASE + 3))
}

# Prints those of the given ports that somebody listens on.
taken_ports() {
	"$PYTHON" - "$@" <<-'PYTHON'
		import socket, sys
		for port in sys.argv[1:]:
		    with socket.socket() as probe:
		        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		        try:
		            probe.bind(("0.0.0.0", int(port)))
		        except OSError:
		            print(port)
	PYTHON
}

# The first base from the given one on whose ports are all free; for stacks that tests make.
free_port_base() {
	local base=$1
	while [ -n "$(taken_ports $(seq "$base" "$((base + PORT_COUNT - 1))"))" ]; do
		base=$((base + 10))
		[ "$base" -lt 32000 ] || die "no free range of $PORT_COUNT ports between $1 and 32000"
	done
	echo "$base"
}

# --- supervision (runit) -----------------------------------------------------------------------------------------------

# Names of the services, which are the process names; further instances of a process are NAME.1, NAME.2, ...
services() {
	local process index
	for process in "${PROCESSES[@]}"; do
		[ -d "$STACK/service/$process" ] && echo "$process"
		for ((index = 1; ; index++)); do
			[ -d "$STACK/service/$process.$index" ] || break
			echo "$process.$index"
		done
	done
}

supervised() {
	[ -p "$STACK/service/$1/supervise/ok" ] && sv status "$STACK/service/$1" >/dev/null 2>&1
}

# "PID SECONDS" of a service that runs, else nothing and status 1.
service_uptime() {
	local line
	line=$(sv status "$STACK/service/$1" 2>/dev/null) || return 1
	[[ $line =~ ^run:.*\(pid\ ([0-9]+)\)\ ([0-9]+)s ]] && echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
}

supervisor_pid() {
	local pid
	pid=$(cat "$STACK/runsvdir.pid" 2>/dev/null) || return 1
	[ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "runsvdir -P $STACK/service" && echo "$pid"
}

# When a process began, in ticks of the machine's clock: together with its number that is it, and no other.
start_of() {
	local words
	words=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	read -r -a words <<<"${words##*) }"
	echo "${words[19]}"
}

# Pid of a service's process that has outlived its supervisor, else nothing and status 1. Each process notes itself, since a
# supervisor that comes after one that was killed knows of none; before that, the supervisor's own file names it.
stray_pid() {
	local pid start uptime
	uptime=$(service_uptime "$1") || uptime=
	{ read -r pid start <"$STACK/service/$1/process" || read -r pid <"$STACK/service/$1/supervise/pid"; } 2>/dev/null || return 1
	[ -n "$pid" ] && [ "$pid" != "${uptime% *}" ] && [ "${start:-$(start_of "$pid")}" = "$(start_of "$pid")" ] &&
		grep -qzxF "CONTACTHUB_STACK=$STACK" "/proc/$pid/environ" 2>/dev/null && echo "$pid"
}

# What has lost its supervisor is asked as a supervisor asks, and killed after the same time.
stop_stray() {
	local pid signal=TERM began=$SECONDS
	[ "${1%.*}" != postgres ] || signal=INT
	pid=$(stray_pid "$1") || return 0
	kill "-$signal" "$pid" || true
	kill -CONT "$pid" 2>/dev/null || true
	while stray_pid "$1" >/dev/null; do
		[ "$((SECONDS - began))" -lt "$STOP_SECONDS" ] || kill -KILL "$pid" || true
		[ "$((SECONDS - began))" -lt "$((2 * STOP_SECONDS))" ] || die "process $pid of $1 does not end"
		sleep 0.05
	done
}

# Whoever changes what runs does so alone; a script that it starts goes on under its lock, which is file 9 of all of them.
lock_stack() {
	[ "${LOCKED_STACK:-}" != "$STACK" ] || return 0
	until [ "$STACK/up.lock" -ef /dev/fd/9 ]; do # wipe removes the file
		mkdir -p "$STACK"
		exec 9>"$STACK/up.lock"
		flock -n 9 && continue
		say "waiting for another script that is at work on $STACK"
		flock -w "$READY_SECONDS" 9 || die "another script is at work on $STACK: stop that one first"
	done
	export LOCKED_STACK=$STACK
}

# For tests that have a stack of their own, and wipe it before: FILE stands for that stack. (Locked is the file itself, as file 8, so
# that nothing is left behind.)
one_at_a_time() {
	exec 8<"$1"
	flock -n 8 || die "another run is at work in this checkout, and would lose its stack"
}

# --- the operator's tool ---------------------------------------------------------------------------------------------

ctl() {
	chpst -e "$STACK/environment" "$BIN/contacthubctl" "$@"
}

# --- PostgreSQL refuses to run as root ---------------------------------------------------------------------------------

# (Asked with ls: access(2), which test -x calls, leaves capabilities out.)
postgres_reaches_stack() {
	"${PG_AS[@]}" ls -d "$STACK/." >/dev/null 2>&1
}

# Sets PG_AS, the words to put before a command that shall run as PostgreSQL's user: none for a normal user, Debian's
# postgres for root. That user may lack the right to walk into the checkout (say below a home of mode 700); it then gets
# one capability to search directories, which changes nothing about who owns the data.
set_pg_as() {
	PG_AS=()
	is_root || return 0
	local drop=(setpriv --reuid=postgres --regid=postgres --init-groups) capability
	PG_AS=("${drop[@]}")
	postgres_reaches_stack && return 0
	for capability in dac_read_search dac_override; do
		PG_AS=("${drop[@]}" "--inh-caps=+$capability" "--ambient-caps=+$capability")
		postgres_reaches_stack && return 0
	done
	die "the user postgres cannot reach $STACK: set CONTACTHUB_STACK to a directory that it can"
}
