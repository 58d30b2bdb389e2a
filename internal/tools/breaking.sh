#!/bin/sh
# Compares proto/ with what was promised before: nothing that was ever written or sent may become unreadable.
#
#   internal/tools/breaking.sh [<commit>]
#
# It is compared with the first of these that there is:
#
#   1. the commit given;
#   2. the newest release (tag v*) in the history: what it wrote and sent is out there;
#   3. before the first release, on a branch: the commit where it left main;
#   4. before the first release, on main: the newest commit of main whose .proto files differ from those here.
#
# The commit that brings the first .proto files has nothing before it, which is said and is no failure. A shallow clone
# cannot know what came before it, which is one.
set -eu
cd "$(dirname "$0")/../.."

fail() {
	echo "breaking: $*" >&2
	exit 1
}

has_proto() {
	git ls-tree -r --name-only "$1" -- proto | grep -q '\.proto$'
}

# main_ref prints the branch that others start from: of the clone's origin, else here.
main_ref() {
	for ref in refs/remotes/origin/main refs/heads/main; do
		if git rev-parse --quiet --verify "$ref^{commit}" >/dev/null; then
			echo "$ref"
			return
		fi
	done
}

# last_different prints the newest commit of the main line whose .proto files differ from those in the working tree.
last_different() {
	if ! git diff --quiet HEAD -- 'proto/*.proto'; then
		echo HEAD
		return
	fi
	for commit in $(git rev-list --first-parent HEAD -- 'proto/*.proto'); do
		before=$(git rev-parse --quiet --verify "$commit^") || return 0
		if ! git diff --quiet "$before" -- 'proto/*.proto'; then
			echo "$before"
			return
		fi
	done
}

base() {
	if tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null); then
		echo "$tag"
		return
	fi
	main=$(main_ref)
	if [ -n "$main" ] && ! git merge-base --is-ancestor HEAD "$main"; then
		git merge-base HEAD "$main" || true
		return
	fi
	last_different
}

git rev-parse --git-dir >/dev/null 2>&1 || fail 'the history is needed to compare with, and this is no git repository'

against=${1:-}
if [ -n "$against" ]; then
	has_proto "$against" || fail "$against has no .proto files"
else
	against=$(base)
	if [ -z "$against" ] || ! has_proto "$against"; then
		if [ "$(git rev-parse --is-shallow-repository)" = true ]; then
			fail 'this clone is shallow: fetch its history (git fetch --unshallow --tags), or name a commit'
		fi
		echo 'breaking: SKIPPED: there is no earlier version of the .proto files to compare with' >&2
		exit 0
	fi
fi

echo "breaking: compared with $(git log -1 --format='%h %s' "$against")"
git archive --format=tar "$against" proto | bin/buf breaking proto --against '-#format=tar,subdir=proto'
