#!/bin/bash
# The Debian packages that the container image needs, one a line: what a node needs, less what looks
# after the machine, which is the host's.
# usage: needed.sh [FOLDER of packages.sh]
set -euo pipefail

LIB=${1:-$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib}
# shellcheck source=scripts/lib/packages.sh
source "$LIB/packages.sh"
printf '%s\n' "${PACKAGES_RUN[@]}" passwd | grep -vxE 'driverctl|kmod|ethtool'
