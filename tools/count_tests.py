#!/usr/bin/python3
"""count_tests JUNIT.XML...: adds up the cases and prints "N passed, N failed, N skipped"; exit status 1 if any failed."""

import sys
import xml.etree.ElementTree as ElementTree


def outcome(case):
	if case.find("failure") is not None or case.find("error") is not None:
		return "failed"
	return "skipped" if case.find("skipped") is not None else "passed"


def main():
	count = {"passed": 0, "failed": 0, "skipped": 0}
	for path in sys.argv[1:]:
		try:
			cases = list(ElementTree.parse(path).iter("testcase"))
		except (OSError, ElementTree.ParseError) as error:
			print(f"{path}: {error}", file=sys.stderr)
			cases = []
			count["failed"] += 1
		for case in cases:
			count[outcome(case)] += 1
	print(", ".join(f"{number} {name}" for name, number in count.items()))
	return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
	sys.exit(main())
