# shellcheck shell=bash
# The kernel command line: what it is, what it shall be, and the boot loader that keeps it.
# Sourced after hardware.sh and record.sh.
# shellcheck disable=SC2034,SC2153 # REBOOT, PAGES: scripts/provision's

GRUB_FILE=/etc/default/grub.d/millrace.cfg
KERNEL_FILE=/etc/kernel/cmdline

# grub, kernel (systemd-boot and unified images, by kernel-install), or none.
boot_find()
{
	if [[ -e $TARGET/etc/default/grub ]]; then
		echo grub
	elif [[ -e $TARGET$KERNEL_FILE ]]; then
		echo kernel
	else
		echo none
	fi
}

boot_where()
{
	case $BOOT in
	grub) echo "$TARGET/etc/default/grub" ;;
	*) echo "$TARGET$KERNEL_FILE" ;;
	esac
}

# The parameters that are wanted, whoever has set them.
boot_wanted()
{
	boot_wanted_pages
	[[ -z $NIC || -n $NIC_STAYS ]] || echo "intel_iommu=on iommu=pt"
	[[ -n $CORES ]] || return 0
	echo "isolcpus=managed_irq,domain,$CORES nohz_full=$CORES rcu_nocbs=$CORES"
	[[ -z $HARDWARE ]] || echo "irqaffinity=$(cores_left)"
}

# Nothing where the command line has enough without us.
boot_wanted_pages()
{
	local node lacking pages=()
	for node in $(pages_nodes); do
		lacking=$((PAGES - 512 * $(boot_pages 1G "$node") - $(boot_pages 2M "$node")))
		((lacking <= 0)) || pages+=("$(boot_node "$node")$lacking")
	done
	((${#pages[@]} == 0)) || echo "hugepagesz=2M hugepages=$(printf '%s\n' "${pages[@]}" | paste -sd ,)"
}

# A number is for one node where there are several.
boot_node()
{
	(($(boot_nodes | wc -l) < 2)) || echo "$1:"
}

# All nodes; one where the machine is not looked at.
boot_nodes()
{
	if [[ -z $HARDWARE ]]; then echo 0; else nodes_online; fi
}

# boot_pages SIZE NODE: how many huge pages of that size the command line without us gives a node.
boot_pages()
{
	local word words size n=0
	words=$(boot_base)
	size=$(sed -n 's/.*\bdefault_hugepagesz=\([^ ]*\).*/\1/p' <<<"$words")
	size=${size:-2M}
	for word in $words; do
		case $word in
		hugepagesz=*) size=${word#*=} ;;
		hugepages=*)
			[[ $(size_bytes "$size") != $(size_bytes "$1") ]] || n=$((n + $(pages_share "${word#*=}" "$2")))
			;;
		esac
	done
	echo "$n"
}

size_bytes()
{
	numfmt --from=iec "${1^^}" 2>/dev/null || echo 0
}

# pages_share LIST NODE: the node's of 4, which all nodes share, or of 0:2,1:2.
pages_share()
{
	local item items=()
	IFS=, read -r -a items <<<"$1"
	for item in "${items[@]}"; do
		if [[ $item =~ ^[0-9]{1,7}$ ]]; then
			echo $((10#$item / $(boot_nodes | wc -l)))
			return
		elif [[ $item =~ ^$2:([0-9]{1,7})$ ]]; then
			echo $((10#${BASH_REMATCH[1]}))
			return
		fi
	done
	echo 0
}

# What is there without us.
boot_base()
{
	case $BOOT in
	grub) grub_line other ;;
	kernel) words_without "$(recorded cmdline | tail -n 1)" <"$TARGET$KERNEL_FILE" ;;
	esac
}

boot_now()
{
	case $BOOT in
	grub) grub_line all ;;
	kernel) words_without "" <"$TARGET$KERNEL_FILE" ;;
	esac
}

# grub_line other|all: as grub-mkconfig puts it together, without or with our file.
grub_line()
(
	set +u
	GRUB_CMDLINE_LINUX='' GRUB_CMDLINE_LINUX_DEFAULT=''
	for file in "$TARGET/etc/default/grub" "$TARGET"/etc/default/grub.d/*.cfg; do
		[[ -e $file ]] || continue
		[[ $1 == all || $file != "$TARGET$GRUB_FILE" ]] || continue
		# shellcheck source=/dev/null
		. "$file"
	done
	echo "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT" | words_without ""
)

# words_without WORDS <TEXT: the text's words on one line, those in WORDS left out.
words_without()
{
	local word kept=() text
	read -r -d '' text || true
	for word in $text; do
		[[ " $1 " == *" $word "* ]] || kept+=("$word")
	done
	echo "${kept[*]}"
}

boot_step()
{
	local base ours
	base=$(boot_base)
	ours=$(boot_wanted | words_without "$base")
	if [[ $BOOT == none ]]; then
		[[ -z $ours ]] || note "no boot loader that is known here: give the kernel yourself: $ours"
		return
	fi
	boot_diff "$(boot_now)" "$base${ours:+ $ours}"
	if [[ $BOOT == grub ]]; then
		grub_write "$ours"
	else
		kernel_write "$base${ours:+ $ours}" "$ours"
	fi
	boot_due "$ours"
}

boot_diff()
{
	[[ $(words_sorted "$1") != "$(words_sorted "$2")" ]] || return 0
	printf 'kernel command line:\n'
	{ diff -U 1000 <(tr ' ' '\n' <<<"$1") <(tr ' ' '\n' <<<"$2") || true; } |
		sed -n '4,$s/^/    /p'
}

words_sorted()
{
	xargs -n 1 <<<"$1" | sort
}

# The record's order makes undo put the file back first, and then have the loader follow.
grub_write()
{
	local before=$N_CHANGES text=
	# shellcheck disable=SC2016 # grub-mkconfig expands it
	[[ -z $1 ]] || printf -v text '%s\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX %s"' "$WRITTEN" "$1"
	boot_will_change "$GRUB_FILE" "$text" grub
	put_text "$GRUB_FILE" 0644 "$text"
	((N_CHANGES == before)) || [[ -n $DRY_RUN ]] || boot_refresh grub
}

kernel_write()
{
	local before=$N_CHANGES
	[[ $(words_sorted "$(boot_now)") != "$(words_sorted "$1")" ]] || return 0
	boot_will_change "$KERNEL_FILE" "$1" kernel
	[[ -n $DRY_RUN ]] || record cmdline "$2"
	put_text "$KERNEL_FILE" "$(stat -c %a "$TARGET$KERNEL_FILE")" "$1"
	((N_CHANGES == before)) || [[ -n $DRY_RUN ]] || boot_refresh kernel
}

boot_will_change()
{
	[[ -z $DRY_RUN && $(cat "$TARGET$1" 2>/dev/null) != "$2" ]] || return 0
	record refresh "$3"
}

# An image that is being made has no loader's file yet: its builder sees to that.
boot_refresh()
{
	local image version
	if [[ $1 == grub ]]; then
		[[ ! -e $TARGET/boot/grub/grub.cfg ]] || in_target update-grub >"$WORK/log" 2>&1 ||
			boot_refresh_failed update-grub
	elif [[ -x $TARGET/usr/bin/kernel-install ]]; then
		for image in "$TARGET"/boot/vmlinuz-*; do
			[[ -e $image ]] || continue
			version=${image##*/vmlinuz-}
			in_target kernel-install add "$version" "/boot/vmlinuz-$version" >"$WORK/log" 2>&1 ||
				boot_refresh_failed kernel-install
		done
	fi
}

boot_refresh_failed()
{
	tail -n 5 "$WORK/log" >&2
	note "$1 failed (see above)"
	return 1
}

undo_refresh()
{
	boot_refresh "$1"
}

undo_cmdline()
{
	:
}

# A note when the running kernel was not started so.
boot_due()
{
	local word missing=() started
	[[ -z $TARGET && -n $1 ]] || return 0
	started=" $(<"$PROCFS/cmdline") "
	for word in $1; do
		[[ $started == *" $word "* ]] || missing+=("$word")
	done
	((${#missing[@]} == 0)) || REBOOT="the kernel must be started with: ${missing[*]}"
}
