"""The measurements. Each gives a dictionary: peer -> list of samples, one per round, in the order of the rounds."""

import contextlib
import pathlib
import re
import resource
import signal
import subprocess
import time
import typing

import machine
import peers

ACCEPT_MESSAGES_MAX = 60000
RELAY_MESSAGE_BYTES = 4096
COST_SESSIONS = 20
TLS_CLIENTS = 8
LARGE_BYTES = 102400
LARGE_BATCH = 6  # messages that share a sync there
IDLE_SETTLE_S = 2
POSTFIX_IDLE_MAX = 300  # it takes 1.6 MiB for each
# Messages a second that a first guess takes a peer for, so that a round of relaying lasts about as long as asked.
RELAY_GUESS = {"Postfix": 600, "Packetboat": 6000}


class Accept(typing.NamedTuple):
	name: str
	words: str
	size: int
	sessions: int
	mode: str  # of smtp-source: keep or conn


ACCEPTS = [
	Accept("accept-20", "1 KiB, 20 sessions, connections kept", 1024, 20, "keep"),
	Accept("accept-100", "1 KiB, 100 sessions, connections kept", 1024, 100, "keep"),
	Accept("accept-connections", "1 KiB, 20 sessions, one message a connection", 1024, 20, "conn"),
	Accept("accept-1", "1 KiB, one session", 1024, 1, "keep"),
	Accept("accept-large", "100 KiB, 20 sessions", LARGE_BYTES, 20, "keep"),
]


class Settings(typing.NamedTuple):
	folder: pathlib.Path
	tools: pathlib.Path
	disk: machine.Disk
	rounds: int
	seconds: float
	idle: int
	progress: machine.Progress


class Sample(typing.NamedTuple):
	"""Of one round of accept.py: messages a second; milliseconds of the machine's CPU, and cache flushes, per message."""

	rate: float
	cpu_ms: float
	flushes: float


def build_tools(folder):
	"""The C tools of the shared folder and our own."""
	tools = folder / "tools"
	tools.mkdir(exist_ok=True)
	flags = ["-std=gnu17", "-D_GNU_SOURCE", "-O2", "-pthread"]
	sources = [peers.BENCH / "smtpload.c", peers.BENCH / "tlsmem.c", peers.BENCH / "fsbench.c",
		pathlib.Path(__file__).parent / "idle.c"]
	for source in sources:
		machine.run(["cc", *flags, "-o", tools / source.stem, source, "-lssl", "-lcrypto"])
	return tools


def follow(command, output, lines, progress, words, timeout_s):
	"""Runs a script of the shared folder, telling how far its output file has grown; the file's lines as fields."""
	output.unlink(missing_ok=True)
	log = output.with_suffix(".log")
	with open(log, "w") as said:
		process = machine.start(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
		deadline = time.monotonic() + timeout_s
		try:
			while process.poll() is None:
				done = output.read_text().count("\n") if output.exists() else 0
				progress.say(f"{words}: {done} of {lines} runs")
				if time.monotonic() > deadline:
					raise machine.Failure(f"{command[0]} took more than {timeout_s} s")
				time.sleep(0.2)
		finally:
			machine.end(process)
	if process.returncode != 0:
		raise machine.Failure(f"{command[0]} ended with {process.returncode}: {log.read_text()[-400:]}")
	return [line.split("\t") for line in output.read_text().splitlines()]


def clean_script(settings, servers):
	"""accept.py empties each queue between the rounds, outside the clock."""
	path = settings.folder / "clean"
	cases = "".join(f"{server.name}) {server.clean_command()} ;;\n" for server in servers)
	path.write_text(f"#!/bin/sh\ncase $1 in\n{cases}esac\n")
	path.chmod(0o755)
	return path


def accept(settings, cell, servers):
	command = [peers.BENCH / "accept.py", "-r", settings.rounds, "-t", settings.seconds, "-o", settings.folder / "accept.tsv",
		"--sizes", cell.size, "--sessions", cell.sessions, "--modes", cell.mode, "--disk", settings.disk.name or "none",
		"--max", ACCEPT_MESSAGES_MAX, "--clean", f"{clean_script(settings, servers)} {{}}",
		*(f"{server.name}={server.port}" for server in servers)]
	lines = follow(command, settings.folder / "accept.tsv", settings.rounds * len(servers), settings.progress,
		f"accept, {cell.words}", 60 + 20 * settings.seconds * (settings.rounds + 1) * len(servers))
	samples = {server.name: [] for server in servers}
	for fields in lines:
		if len(fields) > 11 and fields[11]:
			raise machine.Failure(f"{fields[1]} failed under {cell.words}: {fields[11]}")
		samples[fields[1]].append(Sample(float(fields[7]), float(fields[8]), float(fields[10])))
	return samples


def disk_rate(settings, size, batch):
	"""Records a second that the disk alone takes, appended and synced in batches."""
	words = machine.run([settings.tools / "fsbench", settings.folder, "fsync", str(size), str(batch), "1"])
	return float(re.search(r"records/s=([\d.]+)", words).group(1))


class DiskAlone(typing.NamedTuple):
	"""What the disk gives to one session, and what it takes of large messages; samples."""

	syncs: list
	large: list


def measure_disk(settings, alone):
	alone.syncs.append(disk_rate(settings, 4096, 1))
	alone.large.append(disk_rate(settings, LARGE_BYTES, LARGE_BATCH))


def accepts(settings, only):
	"""Samples per cell, and those of the disk alone, measured between the cells."""
	results, alone = {}, DiskAlone([], [])
	with contextlib.ExitStack() as stack:
		servers = [stack.enter_context(kind(settings.folder)) for kind in (peers.Sink, peers.Postfix, peers.Packetboat)]
		for cell in ACCEPTS:
			if only(cell.name):
				measure_disk(settings, alone)
				results[cell.name] = accept(settings, cell, servers)
		measure_disk(settings, alone)
	return results, alone


def relay(settings):
	"""Messages a second from smtp-source through the server to smtp-sink, until the sink has them all."""
	sink = peers.harness.free_port()
	samples = {}
	with contextlib.ExitStack() as stack:
		servers = [stack.enter_context(kind(settings.folder, hold=False, sink_port=sink))
			for kind in (peers.Postfix, peers.Packetboat)]
		command = [peers.BENCH / "relay.py", "-r", settings.rounds, "-l", RELAY_MESSAGE_BYTES, "-s", "20", "--modes", "keep",
			"--sink", sink, "-o", settings.folder / "relay.tsv"]
		for server in servers:
			count = max(200, int(RELAY_GUESS[server.name] * settings.seconds))
			command.append(f"{server.name}={server.port}:{count}")
			samples[server.name] = []
		lines = follow(command, settings.folder / "relay.tsv", settings.rounds * len(servers), settings.progress,
			"relay, 4 KiB, 20 sessions", 60 + 100 * settings.rounds * len(servers))
	for fields in lines:
		if len(fields) > 10 and fields[10]:
			raise machine.Failure(f"{fields[1]} did not relay all its messages: {fields[10]}")
		samples[fields[1]].append(float(fields[7]))
	return samples


class Idle(typing.NamedTuple):
	kib: float  # per connection
	held: int
	asked: int
	banner_ms: float  # of a new client, while they are held; the worst
	served: bool


def hold_idle(settings, server, mode, count):
	before = peers.pss_kib(server.pid())
	load = machine.start([settings.tools / "idle", mode, server.port, count], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
	try:
		settings.progress.say(f"idle, {mode}: {server.name} is given {count} connections")
		opened = dict(word.split("=") for word in load.stdout.readline().split())
		time.sleep(IDLE_SETTLE_S)
		after = peers.pss_kib(server.pid())
		load.stdin.write("\n")
		load.stdin.flush()
		fared = dict(word.split("=") for word in load.stdout.readline().split())
	finally:
		machine.end(load)
	held = int(opened["open"]) - int(fared["dropped"])
	return Idle((after - before) / max(held, 1), held, count, float(fared["worst_ms"]), fared["served"] == fared["of"])


def idle(settings):
	"""Each with a server of its own, so that no memory of earlier clients is used again."""
	results = {}
	for mode in ("plain", "tls"):
		results[mode] = {}
		for kind in (peers.Postfix, peers.Packetboat):
			count = settings.idle
			options = {}
			if kind is peers.Postfix:
				count = min(count, POSTFIX_IDLE_MAX)
				options = {"processes": count + 50}
			with kind(settings.folder, **options) as server:
				results[mode][kind.name] = hold_idle(settings, server, mode, count)
	return results


class Handshake(typing.NamedTuple):
	rate: float  # STARTTLS sessions a second
	user_us: float  # user CPU of the server for STARTTLS, a session: with it minus without


def load_sessions(settings, server, mode):
	"""Sessions, their rate, and the user CPU that the server spent on them."""
	pids = peers.tree(server.pid())
	before = machine.user_cpu_s(pids)
	words = machine.run([settings.tools / "smtpload", mode, server.port, TLS_CLIENTS, settings.seconds])
	spent = machine.user_cpu_s(pids) - before
	found = re.search(r"per_s=([\d.]+) ok=(\d+) bad=(\d+)", words)
	if not found or int(found.group(3)) or not int(found.group(2)):
		raise machine.Failure(f"{server.name}: {mode} sessions fail: {words.strip()}")
	return float(found.group(1)), spent * 1e6 / int(found.group(2))


def handshakes(settings):
	"""Full TLS 1.3 handshakes with a P-256 key; beside them OpenSSL's server side alone, in memory."""
	samples, alone_us = {"Postfix": [], "Packetboat": []}, []
	with contextlib.ExitStack() as stack:
		servers = [stack.enter_context(kind(settings.folder)) for kind in (peers.Postfix, peers.Packetboat)]
		for number in range(settings.rounds):
			for server in servers:
				settings.progress.say(f"STARTTLS: round {number + 1} of {settings.rounds}, {server.name}")
				_, plain_us = load_sessions(settings, server, "plain")
				rate, tls_us = load_sessions(settings, server, "tls")
				samples[server.name].append(Handshake(rate, tls_us - plain_us))
			alone_us.append(openssl_alone_us(settings))
	return samples, alone_us


def openssl_alone_us(settings):
	"""User CPU of OpenSSL's server side for one handshake: the share of its time, of what both sides used."""
	before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
	words = machine.run([settings.tools / "tlsmem", settings.folder / "certificates", settings.seconds, "1"])
	spent_us = (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before) * 1e6
	rate, server_us, both_us = re.search(r"both=(\d+)/s .*\((\d+) us of (\d+) us\)", words).groups()
	return spent_us / (float(rate) * settings.seconds) * float(server_us) / float(both_us)


def traced(pid):
	"""Whether all its threads are, or it is gone."""
	with contextlib.suppress(FileNotFoundError, ProcessLookupError):
		return all(not re.search(r"^TracerPid:\t0$", status.read_text(), re.M)
			for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"))
	return True


def system_calls(settings, server, count):
	"""System calls per message of each kind, in a run of their own: tracing slows what it watches."""
	output = settings.folder / "strace"
	load = ["smtp-source", "-s", str(COST_SESSIONS), "-l", "1024", "-d", "-f", "a@bench.test", "-t", "b@sink.test"]
	target = f"127.0.0.1:{server.port}"
	machine.run([*load, "-m", str(2 * COST_SESSIONS), target])  # its processes are there now
	pids = peers.tree(server.pid())
	words = ["strace", "-c", "-f", "-o", output, *(word for pid in pids for word in ("-p", str(pid)))]
	process = machine.start(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
	try:
		peers.harness.wait_for(lambda: all(traced(pid) for pid in pids), "strace to attach")
		machine.run([*load, "-m", str(count), target])
		time.sleep(0.5)
		process.send_signal(signal.SIGINT)
		process.wait(10)
	finally:
		machine.end(process)
	calls = {}
	for line in output.read_text().splitlines():
		fields = line.split()
		if len(fields) >= 5 and re.fullmatch(r"[\d.]+", fields[0]) and fields[-1] != "total":
			calls[fields[-1]] = int(fields[3]) / count
	return calls


def costs(settings):
	results = {}
	with contextlib.ExitStack() as stack:
		servers = [stack.enter_context(kind(settings.folder)) for kind in (peers.Sink, peers.Postfix, peers.Packetboat)]
		for server in servers:
			settings.progress.say(f"system calls: {server.name}")
			results[server.name] = system_calls(settings, server, 400 if server.name == "Postfix" else 4000)
	return results

