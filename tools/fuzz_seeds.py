#!/usr/bin/python3
"""fuzz_seeds FROM TO: the sessions of other people's corpora as inputs of smtp-server_fuzz.

FROM is a folder as fuzz-seeds of the conformance cases: raw sessions, and inputs of Go's fuzzer, whose last line is a
string literal. Lines get CR LF. Three bytes go in front: the settings, the cut and the refusals of the target.
"""

import ast
import pathlib
import re
import sys


def session_of(data):
	match = re.search(rb'^\[\]byte\((".*")\)', data, re.M) if data.startswith(b"go test fuzz") else None
	text = ast.literal_eval(match.group(1).decode("latin-1")).encode("latin-1", "replace") if match else data
	return re.sub(rb"\r?\n", b"\r\n", text)


def main():
	source, target = (pathlib.Path(argument) for argument in sys.argv[1:3])
	for file in sorted(source.rglob("*")):
		if file.is_file() and file.suffix != ".dict" and file.name != "LICENSE":
			(target / file.name).write_bytes(b"\0\0\0" + session_of(file.read_bytes()))


if __name__ == "__main__":
	main()
