# shellcheck shell=bash
# Child processes by name: started in a session of their own, so that Ctrl-C reaches this script
# alone, and ended by their id. Sourced after common.sh; RUN_DIR takes their logs.

declare -A PIDS=()

# process_start NAME COMMAND...: its output goes to RUN_DIR/NAME.log.
process_start()
{
	local name=$1
	shift
	setsid -- "$@" >"$RUN_DIR/$name.log" 2>&1 </dev/null &
	PIDS[$name]=$!
	undo_with process_stop "$name"
}

process_alive()
{
	[[ -n ${PIDS[$1]:-} ]] && kill -0 "${PIDS[$1]}" 2>/dev/null
}

process_gone()
{
	! process_alive "$1"
}

# End it, wait for it, and say what is wrong if it does not end well. Ended already is fine.
process_stop()
{
	local name=$1 pid=${PIDS[$1]:-} status=0
	[[ -n $pid ]] || return 0
	kill -TERM "$pid" 2>/dev/null || true
	if ! await 10 process_gone "$name"; then
		note "$name did not end within 10 s: killed"
		kill -KILL "$pid" 2>/dev/null || true
	fi
	wait "$pid" || status=$?
	unset "PIDS[$name]"
	((status == 0 || status == 143 || status == 255)) ||
		note "$name ended with status $status: $(process_last_line "$name")"
}

process_last_line()
{
	tail -n 1 "$RUN_DIR/$1.log"
}

# process_await NAME SECONDS COMMAND...: wait until the command succeeds, but no longer than the
# process lives. On failure the script ends with the process's own last words.
process_await()
{
	local name=$1 seconds=$2
	shift 2
	await "$seconds" process_gone_or "$name" "$@" ||
		die "$name was not ready within $seconds s: $(process_last_line "$name")"
	"$@" || die "$name gave up: $(process_last_line "$name")"
}

process_gone_or()
{
	local name=$1
	shift
	"$@" || process_gone "$name"
}
