# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # others' variables
# Whether the node serves, and what follows for the slot that it runs from. Sourced after slots.sh.

HEALTHY_S=180

verb_confirm()
{
	local begin=$SECONDS trial=
	[[ -p $RUN/never ]] || mkfifo -m 0600 "$RUN/never"
	if [[ -n $SLOT ]]; then
		esp_open ro
		[[ $(slot_state "$SLOT") == good ]] || trial=yes
		[[ $(slot_state "$(other_slot)") != failed ]] ||
			say "slot $(other_slot) ($(entry_field "$(other_slot)" title)) did not come up healthy and was" \
				"given up: slot $SLOT runs"
		esp_close
	fi
	until listening && healthy; do
		if ((SECONDS - begin >= HEALTHY_S)); then
			[[ -z $trial ]] || trial_failed
			say "not serving after $HEALTHY_S s: millrace-doctor says what is missing"
			exit 3
		fi
		# As sleep, but without a process: the machine has other things to do now.
		read -r -t 0.5 <>"$RUN/never" || true
	done
	[[ -z $SLOT ]] || slot_keep
	say "serving: $(where_to_reach) (slot ${SLOT:-none}, $(<"$LIB/title"))"
}

trial_failed()
{
	say "slot $SLOT did not come up healthy within $HEALTHY_S s: starting again"
	systemctl --no-block reboot || true
	sleep 90
	reboot -ff
}

# The slot's entry without count, and with the words that the configuration wants.
slot_keep()
{
	local words
	words=$(<"$RUN/words")
	esp_open ro
	if [[ $(slot_state "$SLOT") != good || $(entry_words "$SLOT") != "$words" ]]; then
		esp_close
		esp_open rw
		[[ $(entry_words "$SLOT") == "$words" ]] || say "the kernel command line changes with the" \
			"next start: ${words:-nothing added}"
		[[ $(slot_state "$SLOT") == good ]] || say "slot $SLOT is healthy and kept"
		entry_with_words "$SLOT" "$words" >"$RUN/entry"
		entry_put "$SLOT" "" <"$RUN/entry"
	fi
	esp_close
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
