# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # others' variables
# Whether the node serves, and what follows for the slot that it runs from. Sourced after slots.sh.

# A start on trial has to end well or be given up, whatever fails: where this service is killed or
# cannot do its work, it is started again and goes on with the time that is left, and the initial RAM
# disk has left a process behind (dead_man) that ends the trial some time after we should have.

ESP_RETRY_S=5
KEEP_S=60

verb_confirm()
{
	local told=
	[[ -p $RUN/never ]] || mkfifo -m 0600 "$RUN/never"
	confirm_begin
	ESP_WAIT_S=10
	[[ -z $SLOT ]] || { say_given_up && told=yes; } || true
	# An earlier one of us may have kept it, and not come to say so.
	[[ ! -p $RUN/dead_man ]] || on_trial || trial_over
	until listening && healthy; do
		time_left || not_healthy
		pause 0.5
	done
	if [[ -n $SLOT ]]; then
		# What took its time to be healthy gets some to be kept.
		look_at_clock
		((UNTIL_S >= NOW_S + KEEP_S)) || UNTIL_S=$((NOW_S + KEEP_S))
		until slot_keep; do
			time_left || not_kept
			pause "$ESP_RETRY_S"
		done
		[[ -n $told ]] || say_given_up || true
	fi
	say "serving: $(where_to_reach) (slot ${SLOT:-none}, $(<"$LIB/title"))"
	rm -f "$RUN/confirm_began"
}

# As sleep, but without a process: the machine has other things to do now.
pause()
{
	read -r -t "$1" <>"$RUN/never" || true
}

# Seconds since the kernel began, also without a process.
look_at_clock()
{
	read -r NOW_S _ <"$PROCFS/uptime"
	NOW_S=${NOW_S%.*}
}

time_left()
{
	look_at_clock
	((NOW_S < UNTIL_S))
}

# When the time is up, also where an earlier one of us did not come to its end.
confirm_begin()
{
	local began
	TIMEOUT_S=$(cat "$RUN/trial_timeout_s" 2>/dev/null || echo 180)
	look_at_clock
	[[ -s $RUN/confirm_began ]] || echo "$NOW_S" >"$RUN/confirm_began"
	began=$(<"$RUN/confirm_began")
	UNTIL_S=$((began + TIMEOUT_S))
}

# What the boot loader gave up before this start. Return: 1 where that cannot be read.
say_given_up()
{
	local other counted
	esp_mount ro || return 1
	other=$(entry_of "$(other_slot)")
	[[ $(entry_state "$other") != failed ]] ||
		say "slot $(other_slot) ($(entry_field "$other" title)) did not come up healthy and was" \
			"given up: slot $SLOT runs"
	counted=$(entry_counted "$SLOT")
	[[ $(entry_state "$counted") != failed || $counted == "$(entry_running)" ]] ||
		say "the kernel command line did not come up healthy and was given up: $(words_named "$counted");" \
			"it is $(words_named "$(entry_running)")"
	esp_close
}

# The entry tells where the EFI partition can be read; the kernel's command line always.
on_trial()
{
	local state=
	[[ -n $SLOT ]] || return 1
	if esp_mount ro; then
		state=$(entry_state "$(entry_running)")
		esp_close
	fi
	case $state in
	good) return 1 ;;
	trial* | failed) return 0 ;;
	esac
	[[ -n $(trial_serial) && ! -e $RUN/kept ]]
}

not_healthy()
{
	! on_trial || trial_failed "did not come up healthy within $TIMEOUT_S s"
	trial_over
	say "not serving after $TIMEOUT_S s: millrace-doctor says what is missing"
	rm -f "$RUN/confirm_began"
	exit 3
}

not_kept()
{
	local why=$ESP_FAULT
	! on_trial || trial_failed "is healthy and cannot be kept: $why"
	trial_over
	say "serving: $(where_to_reach), but the boot loader's entries cannot be kept up: $why"
	rm -f "$RUN/confirm_began"
	exit 3
}

# trial_failed WHY: the next start is the boot loader's choice.
trial_failed()
{
	say "slot $SLOT, on trial, $1: starting again"
	systemctl --no-block reboot || true
	sleep 90
	reboot -ff
	exit 1
}

# Tell the process that would end the trial; it may be told again. Only when what runs is kept on the disk,
# and then before anything that may fail: untold, it resets a node that serves.
trial_over()
{
	: >"$RUN/kept" || true
	[[ ! -p $RUN/dead_man ]] || echo kept 1<>"$RUN/dead_man"
}

# What was started is kept: its entry has no count from now on. Words that the configuration wants
# besides are on trial with the next start, and once only.
# Return: 1 where the EFI partition cannot be used; ESP_FAULT says why.
slot_keep()
{
	local todo
	esp_mount ro || return 1
	[[ $(entry_state "$(entry_running)") != good ]] || trial_over
	todo=$(keep_todo)
	esp_close
	[[ -n $todo ]] || return 0
	esp_mount rw || return 1
	keep_do "$todo" || ESP_FAULT=${ESP_FAULT:-the EFI partition cannot be written}
	esp_close
	[[ -z $ESP_FAULT ]]
}

# keep, try and forget, or some of them, in this order.
keep_todo()
{
	local runs counted words
	runs=$(entry_running)
	words=$(words_wanted "$runs")
	counted=$(entry_counted "$SLOT")
	[[ $(entry_state "$runs") == good ]] || { echo keep && counted=; }
	if [[ $words == "$(entry_words "$runs")" ]]; then
		[[ -z $counted ]] || echo forget
	else
		[[ -n $counted && $words == "$(entry_words "$counted")" ]] || echo try
	fi
}

keep_do()
{
	local runs words text what="slot $SLOT"
	runs=$(entry_running)
	words=$(words_wanted "$runs")
	if [[ $1 == *keep* ]]; then
		text=$(entry_with_words "$runs" "$(entry_words "$runs")") || return 1
		[[ $runs == "$(entry_of "$SLOT")" ]] || what="the kernel command line ($(words_named "$runs"))"
		entry_put "$SLOT" "" <<<"$text" || return 1
		trial_over
		say "$what is healthy and kept"
		runs=$(entry_of "$SLOT")
	fi
	if [[ $1 == *try* ]]; then
		text=$(entry_with_words "$runs" "$words") || return 1
		entry_put "$SLOT" "+$(trial_starts)" <<<"$text" || return 1
		say "the kernel command line is on trial with the next start: ${words:-nothing added}"
	elif [[ $1 == *forget* ]]; then
		entries_remove "$(entry_counted "$SLOT")" || return 1
	fi
}

# Where the configuration was not applied, those that are.
words_wanted()
{
	cat "$RUN/words" 2>/dev/null || entry_words "$1"
}

# ---- is it?

conf_value()
{
	awk -v section="[$1]" -v key="$2" '
		/^[ \t]*\[/ { inside = $1 == section }
		inside && $0 ~ "^[ \t]*" key "[ \t]*=" {
			sub(/^[^=]*=[ \t]*/, ""); sub(/[ \t]+[#;].*$/, ""); sub(/[ \t\r]+$/, ""); text = $0
		}
		END { print text }' "$ETC/millrace/millrace.conf"
}

http_host()
{
	local host
	host=$(conf_value http address)
	case ${host:-any} in
	any | 0.0.0.0) echo 127.0.0.1 ;;
	*) host=${host#[} && echo "${host%]}" ;;
	esac
}

# Cheap to ask, and no before yes.
listening()
{
	HTTP_HOST=${HTTP_HOST:-$(http_host)}
	HTTP_PORT=${HTTP_PORT:-$(conf_value http port)}
	{ : <>"/dev/tcp/$HTTP_HOST/${HTTP_PORT:=8080}"; } 2>/dev/null
}

healthy()
{
	systemctl -q is-active millrace-control.service && systemctl -q is-active millrace-dataplane.service &&
		[[ $(ready_status) == *" 200 "* ]]
}

# The first line that /readyz answers with.
ready_status()
{
	local host=$HTTP_HOST port=$HTTP_PORT
	if [[ -n $(conf_value http tls_certificate) ]]; then
		[[ $host != *:* ]] || host="[$host]"
		printf 'GET /readyz HTTP/1.0\r\n\r\n' |
			timeout 5 openssl s_client -quiet -connect "$host:$port" 2>/dev/null | head -n 1
	else
		# shellcheck disable=SC2016 # the inner shell expands it
		timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET /readyz HTTP/1.0\r\n\r\n" >&3 &&
			head -n 1 <&3' "$host" "$port" 2>/dev/null
	fi
}

where_to_reach()
{
	local scheme=http port address
	[[ -z $(conf_value http tls_certificate) ]] || scheme=https
	port=$(conf_value http port)
	address=$(ip -o addr show scope global up 2>/dev/null | awk '{ sub(/\/.*/, "", $4); print $4; exit }')
	[[ $address != *:* ]] || address="[$address]"
	echo "$scheme://${address:-localhost}:${port:-8080}/"
}
