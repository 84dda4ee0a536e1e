#!/bin/sh
# floors.sh BUILD ROOM BELOW...: makes BUILD/floors/ROOM, which holds links to the folders that ROOM
# may include from, and to no other.
set -eu
build=$1 room=$2
shift 2
source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
rm -rf "$build/floors/$room"
mkdir -p "$build/floors/$room"
for name in "$room" "$@"; do
	ln -s "$source/src/$name" "$build/floors/$room/$name"
done
