# shellcheck shell=bash
# What every script shares: messages, waiting, undoing. Sourced, never run.

# shellcheck disable=SC2034 # read by those who source this
ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
UNDO=()

note()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
	note "$*"
	exit 1
}

need_root()
{
	[[ $EUID -eq 0 ]] || die "root is needed for namespaces, huge pages and XDP: run  sudo $0"
}

# Wait for something to become true, looking ten times a second.
# await SECONDS COMMAND...: 0 as soon as the command succeeds; 1 when the time is over.
await()
{
	local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
	shift
	until "$@"; do
		((${EPOCHREALTIME/[.,]/} < end)) || return 1
		sleep 0.1
	done
}

# Remember a command that takes back what was just done; undo_all runs them, newest first.
undo_with()
{
	UNDO+=("$(printf '%q ' "$@")")
}

# To be called from the EXIT trap: nothing stops it half way, a step that fails does not stop the
# others.
undo_all()
{
	local i
	trap '' INT TERM HUP
	for ((i = ${#UNDO[@]} - 1; i >= 0; i--)); do
		eval "${UNDO[i]}" || note "could not: ${UNDO[i]}"
	done
	UNDO=()
}
