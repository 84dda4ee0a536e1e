#!/usr/bin/python3
"""crash [--rounds N] [--seed S] [--threads N]: kill -9 of a random process, round after round, under load.

The scenario is in tests/crashes.py. Last line: N rounds, N messages accepted, N repeated, N lost; exit status 0 only
with none lost.
"""

import argparse
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
from crashes import Crashes  # noqa: E402


def main():
	parser = argparse.ArgumentParser(prog="crash", description=__doc__.splitlines()[0])
	parser.add_argument("--rounds", type=int, default=200)
	parser.add_argument("--seed", default=str(int(time.time())))
	parser.add_argument("--threads", type=int, default=6)
	options = parser.parse_args()
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
	print(f"seed {options.seed}", file=sys.stderr)
	begin = time.monotonic()

	def say(text):
		print(f"{time.monotonic() - begin:7.1f} s  {text}", file=sys.stderr, flush=True)

	failure = None
	with Crashes(options.seed, options.threads, say) as crashes:
		try:
			crashes.run(options.rounds)
			crashes.finish()
		except AssertionError as error:
			failure = error
			say(f"failed: {error}")
		say(f"{crashes.held} messages were held after two deaths, and released")
		print(f"{crashes.rounds} rounds, {crashes.figures()}", flush=True)
	return 1 if failure else 0


if __name__ == "__main__":
	sys.exit(main())
