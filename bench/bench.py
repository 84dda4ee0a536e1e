#!/usr/bin/python3
"""bench: measures the server beside Postfix and smtp-sink in one run, on loopback, and holds it to its goals.

The load tools and the peers are those of the shared bench folder (BENCH_DIR, by default ../shared/bench). Everything lies on
the disk under /var/tmp. Prints tables and the goals, met or not; a whole run also writes bench/README.md. Whatever was
started is ended, also on Ctrl-C. Exit status 0 when it could be measured, whether or not the goals are met.
"""

import argparse
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import machine
import peers
import report
import work

FOLDER = "/var/tmp"
NAMES = [cell.name for cell in work.ACCEPTS] + ["relay", "idle", "tls", "calls"]


def read_options():
	parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
	parser.add_argument("--only", metavar="NAME", action="append", help=f"only this, of: {', '.join(NAMES)}, accept (all of them)")
	parser.add_argument("--rounds", type=int, default=5, help="of every measurement (default %(default)s)")
	parser.add_argument("--seconds", type=float, default=2, help="about as long takes one run of one server (default %(default)s)")
	parser.add_argument("--idle", type=int, default=5000, metavar="N", help="idle connections, at most 50000 (default %(default)s)")
	parser.add_argument("--quick", action="store_true", help="one short round, to see that it works; writes no report")
	options = parser.parse_args()
	for name in options.only or []:
		if name not in NAMES + ["accept"]:
			parser.error(f"--only {name}: there is only {', '.join(NAMES)}, accept")
	if options.quick:
		options.rounds, options.seconds, options.idle = 1, 0.5, min(options.idle, 500)
	if options.rounds < 1 or not 0.1 <= options.seconds <= 60 or not 1 <= options.idle <= 50000:
		parser.error("--rounds from 1, --seconds 0.1 to 60, --idle 1 to 50000")
	return options


def check_place():
	if not (peers.BENCH / "accept.py").exists():
		raise machine.Failure(f"the shared bench folder is not at {peers.BENCH}; say where it is with BENCH_DIR")
	if not peers.PROGRAM.exists():
		raise machine.Failure(f"there is no {peers.PROGRAM}: ./dev build")
	if os.geteuid() != 0:
		raise machine.Failure("Postfix and strace need root")
	peers.install_postfix()
	machine.need("smtp-source", "smtp-sink", "strace", "cc", "openssl")
	machine.allow_many_files()


def measure(settings, only):
	told = report.Report()
	if any(only(cell.name) for cell in work.ACCEPTS):
		told.add_accepts(*work.accepts(settings, only))
	if only("relay"):
		told.add_relay(work.relay(settings))
	if only("idle"):
		told.add_idle(work.idle(settings))
	if only("tls"):
		told.add_handshakes(*work.handshakes(settings))
	if only("calls"):
		told.add_costs(work.costs(settings))
	settings.progress.clear()
	return told


def main():
	options = read_options()
	signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended as by Ctrl-C
	begin = time.monotonic()
	load = os.getloadavg()[0]
	disk = machine.Disk(FOLDER)
	check_place()
	folder = pathlib.Path(tempfile.mkdtemp(prefix="packetboat-bench-", dir=FOLDER))
	folder.chmod(0o755)
	try:
		settings = work.Settings(folder, work.build_tools(folder), disk, options.rounds, options.seconds, options.idle,
			machine.Progress())
		told = measure(settings, lambda name: not options.only or name in options.only
			or ("accept" in options.only and name.startswith("accept")))
	finally:
		shutil.rmtree(folder, ignore_errors=True)
	report.show(told)
	if not options.only and not options.quick:
		words = (f"{options.rounds} rounds, each server in turn, about {options.seconds:g} s each; {options.idle:,} idle connections; "
			f"{time.strftime('%Y-%m-%d')}, {(time.monotonic() - begin) / 60:.0f} minutes")
		report.write(told, [*machine.describe(disk), ("load before the run", f"{load:.1f}")], words)
		print(f"written to {report.README.relative_to(peers.ROOT)}")
	return 0


if __name__ == "__main__":
	try:
		sys.exit(main())
	except machine.Failure as failure:
		sys.exit(f"bench: {failure}")
	except KeyboardInterrupt:
		sys.exit(130)
