# shellcheck shell=bash
# Changing a system so that it can be put back: every change is written down before it is made, and
# undone from that record, newest first. Sourced after common.sh.
#   TARGET   root of the system that is changed; "" is the running one
#   STATE    the record's directory, with TARGET before it
#   DRY_RUN  not empty: say every change, make none

# shellcheck disable=SC2034 # read by those who source this
WRITTEN="# Written by scripts/provision of millrace."
N_CHANGES=0
UNDO_FAILED=

# change TEXT...: say what is changed next. Return: 1 in a dry run: leave it.
change()
{
	N_CHANGES=$((N_CHANGES + 1))
	printf '%s%s\n' "${DRY_RUN:+would }" "$*"
	[[ -z $DRY_RUN ]]
}

make_state()
{
	[[ -d $STATE ]] || mkdir -m 0700 "$STATE"
	mkdir -p "$STATE/saved"
}

# record KIND ARGUMENT...: one line, to be undone by undo_KIND ARGUMENT...
record()
{
	local IFS=$'\t'
	make_state
	printf '%s\n' "$*" >>"$STATE/record"
}

record_lines()
{
	[[ ! -e $STATE/record ]] || wc -l <"$STATE/record"
}

# recorded KIND: the first argument of each such line, oldest first.
recorded()
{
	[[ ! -e $STATE/record ]] || awk -F '\t' -v kind="$1" '$1 == kind { print $2 }' "$STATE/record"
}

# remember NAME VALUE: for the next run, which need not say it again.
remember()
{
	[[ $(asked "$1") == "$2" ]] || record asked "$1" "$2"
}

# asked NAME: what the run before had; nothing if it had nothing.
asked()
{
	[[ ! -e $STATE/record ]] || awk -F '\t' -v name="$1" \
		'$1 == "asked" && $2 == name { value = $3 } END { print value }' "$STATE/record"
}

undo_asked()
{
	:
}

# in_target COMMAND...: run it inside TARGET, which has no /proc of its own.
in_target()
{
	if [[ -z $TARGET ]]; then
		"$@"
	else
		# shellcheck disable=SC2016 # expanded by the inner shell
		unshare --mount --propagation private bash -c \
			'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$TARGET" "$@"
	fi
}

sha_of()
{
	[[ ! -f $1 ]] || sha256sum <"$1" | cut -c 1-64
}

# ---- directories and files

# make_dir PATH [MODE]: with those above it.
make_dir()
{
	[[ ! -d $TARGET$1 ]] || return 0
	make_dir "$(dirname -- "$1")"
	record dir "$1"
	mkdir -m "${2:-0755}" "$TARGET$1"
}

undo_dir()
{
	[[ ! -d $TARGET$1 ]] || rmdir "$TARGET$1" 2>/dev/null || note "$1 stays: it is not empty"
}

# own_dir PATH MODE USER: a directory that is ours alone, with all that will be in it.
own_dir()
{
	local owner
	if [[ ! -d $TARGET$1 ]]; then
		change "make $1" || return 0
		make_dir "$(dirname -- "$1")"
		record own_dir "$1"
		mkdir -m "$2" "$TARGET$1"
		owner=$(target_id passwd "$3" 3):$(target_id passwd "$3" 4)
		chown "$owner" "$TARGET$1"
	fi
}

undo_own_dir()
{
	[[ $1 != /?*/?* ]] || rm -rf --one-file-system -- "$TARGET$1"
}

# target_id passwd|group NAME FIELD: a number of TARGET's.
target_id()
{
	awk -F : -v name="$2" -v field="$3" '$1 == name { print $field }' "$TARGET/etc/$1"
}

# put_file FROM PATH MODE: PATH becomes a copy of FROM, root's.
put_file()
{
	local at=$TARGET$2
	[[ ! -f $at || $(stat -c %a "$at") != "${3#0}" ]] || ! cmp -s "$1" "$at" || return 0
	change "write $2" || return 0
	make_dir "$(dirname -- "$2")"
	remember_file "$2" "$(sha_of "$1")"
	install -m "$3" "$1" "$at.millrace-new"
	mv -fT "$at.millrace-new" "$at"
}

# put_text PATH MODE TEXT; without text there shall be no such file of ours.
put_text()
{
	if [[ -n $3 ]]; then
		printf '%s\n' "$3" >"$WORK/text"
		put_file "$WORK/text" "$1" "$2"
	elif recorded made | grep -qxF "$1" && [[ -e $TARGET$1 ]]; then
		change "remove $1" || return 0
		remember_file "$1" ""
		rm "$TARGET$1"
	fi
}

# remember_file PATH SHA: before it changes to what has that sum.
remember_file()
{
	local n
	if [[ -e $TARGET$1 ]]; then
		make_state
		n=$(find "$STATE/saved" -type f | wc -l)
		cp -a "$TARGET$1" "$STATE/saved/$n"
		record saved "$1" "$n" "$2"
	else
		record made "$1" "$2"
	fi
}

# What somebody changed after us is his.
undo_made()
{
	rm -f "$TARGET$1.millrace-new"
	[[ -e $TARGET$1 ]] || return 0
	if [[ $(sha_of "$TARGET$1") == "${2:-}" ]]; then
		rm "$TARGET$1"
	else
		note "$1 stays: it was changed since"
	fi
}

undo_saved()
{
	local before=$STATE/saved/$2
	rm -f "$TARGET$1.millrace-new"
	if [[ $(sha_of "$TARGET$1") == "${3:-}" ]]; then
		cp -a "$before" "$TARGET$1"
	elif ! cmp -s "$before" "$TARGET$1"; then
		note "$1 stays: it was changed since"
	fi
}

# ---- packages, users

# Only those go that nothing else has come to need.
undo_packages()
{
	local name names=() keep=(-o APT::AutoRemove::RecommendsImportant=false
		-o APT::AutoRemove::SuggestsImportant=false)
	# shellcheck disable=SC2016 # dpkg-query expands it
	mapfile -t names < <(in_target dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" \
		2>/dev/null | sed -n 's/^installed //p')
	((${#names[@]} > 0)) || return 0
	in_target apt-mark auto "${names[@]}" >/dev/null
	mapfile -t names < <(in_target apt-get -s "${keep[@]}" autoremove |
		awk '$1 == "Remv" { print $2 }' | grep -xF "$(printf '%s\n' "${names[@]}")")
	((${#names[@]} == 0)) || in_target dpkg --purge "${names[@]}" >"$WORK/log" 2>&1 || {
		tail -n 5 "$WORK/log" >&2
		return 1
	}
	for name in "$@"; do
		[[ ! -e $TARGET/var/lib/dpkg/info/$name.list ]] || note "$name stays: it is needed now"
	done
}

undo_group()
{
	[[ -z $(target_id group "$1" 3) ]] || in_target groupdel "$1"
}

# userdel takes the group of the same name with it.
undo_user()
{
	[[ -z $(target_id passwd "$1" 3) ]] || in_target userdel "$1"
}

# ---- the record

# undo_record LINE: take back what was recorded from that line on (1: all).
undo_record()
{
	local i lines=() fields=()
	trap '' INT TERM HUP
	[[ ! -e $STATE/record ]] || mapfile -t lines <"$STATE/record"
	for ((i = ${#lines[@]} - 1; i >= $1 - 1; i--)); do
		IFS=$'\t' read -r -a fields <<<"${lines[i]}"
		"undo_${fields[0]}" "${fields[@]:1}" || {
			UNDO_FAILED=yes
			note "could not take back: ${lines[i]//$'\t'/ }"
		}
	done
	[[ -z $UNDO_FAILED ]] || return 0
	if (($1 == 1)); then
		rm -rf "$STATE"
	else
		head -n $(($1 - 1)) "$STATE/record" >"$STATE/record.new"
		mv "$STATE/record.new" "$STATE/record"
	fi
}
