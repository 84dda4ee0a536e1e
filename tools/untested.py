#!/usr/bin/python3
"""untested: prints the attacks that have no test, and why (tests/attacks.tsv)."""

import mutants


def main():
	untested = mutants.read_untested()
	print(f"{len(untested)} attacks without a test:")
	for item, reason in untested.items():
		print(f"  {item:4} {reason}")


if __name__ == "__main__":
	main()
