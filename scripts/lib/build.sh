# shellcheck shell=bash
# Building with meson, quietly. Sourced after common.sh.

# build_dir DIR LOG [MESON OPTION...]: configure DIR if it is new, build it. The directory belongs
# to the owner of the tree afterwards, also when root built it.
build_dir()
{
	local dir=$1 log=$2 status=0
	shift 2
	build_run "$dir" "$@" >"$log" 2>&1 || status=$?
	build_own "$dir"
	return "$status"
}

# What root wrote below DIR is the tree's owner's.
build_own()
{
	[[ $EUID -ne 0 || ! -d $1 ]] || chown -R --reference="$ROOT" "$1"
}

build_run()
{
	local dir=$1
	shift
	if [[ -f $dir/build.ninja ]]; then
		/usr/bin/meson configure "$dir" "$@" &&
			ninja -C "$dir"
	else
		/usr/bin/meson setup "$dir" "$ROOT" "$@" &&
			ninja -C "$dir"
	fi
}
