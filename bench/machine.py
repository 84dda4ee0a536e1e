"""The machine that is measured on: its disk with what it counts, its processes, and its description."""

import contextlib
import os
import pathlib
import platform
import resource
import shutil
import signal
import subprocess
import sys

MEMORY_FILESYSTEMS = {"tmpfs", "ramfs", "devtmpfs"}
FILES = 70000


class Failure(Exception):
	"""Why it cannot be measured, in words for whom asked for it."""


def mount_of(folder):
	"""Device number, filesystem type and source of what the folder lies on."""
	wanted = os.stat(folder).st_dev
	for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
		fields, _, rest = line.partition(" - ")
		major, minor = fields.split()[2].split(":")
		if os.makedev(int(major), int(minor)) == wanted:
			kind, source = rest.split()[:2]
			return wanted, kind, source
	return wanted, "unknown", "none"


class Disk:
	"""The block device under a folder. Where it is none of its own (overlay, network), name is empty."""

	def __init__(self, folder):
		device, self.filesystem, source = mount_of(folder)
		if self.filesystem in MEMORY_FILESYSTEMS:
			raise Failure(f"{folder} is a {self.filesystem}: nothing there is durable, so nothing can be compared")
		block = pathlib.Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
		if not block.exists() and source.startswith("/dev/"):
			device = os.stat(source).st_rdev
			block = pathlib.Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
		self.name = ""
		if block.exists():
			block = block.resolve()
			self.name = block.parent.name if (block / "partition").exists() else block.name


def allow_many_files():
	soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
	try:
		resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), max(hard, FILES)))
	except (OSError, ValueError):
		resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def start(command, **options):
	"""A process with a group of its own, so that all that it starts ends with it."""
	return subprocess.Popen([str(word) for word in command], start_new_session=True, **options)


def end(process):
	if process.poll() is None:
		try:
			os.killpg(process.pid, signal.SIGTERM)
			process.wait(10)
		except (ProcessLookupError, subprocess.TimeoutExpired):
			process.kill()
	process.wait()
	for pipe in (process.stdin, process.stdout):
		if pipe:
			pipe.close()


def run(command, timeout_s=120, check=True, **options):
	"""The standard output of a command; ended with all that it started, also when we are interrupted."""
	process = start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
	try:
		output, errors = process.communicate(timeout=timeout_s)
	except subprocess.TimeoutExpired:
		raise Failure(f"{command[0]} took more than {timeout_s} s") from None
	finally:
		end(process)
	if check and process.returncode != 0:
		raise Failure(f"{command[0]} ended with {process.returncode}: {(errors or output).strip()[-400:]}")
	return output


def need(*programs):
	for program in programs:
		if not shutil.which(program):
			raise Failure(f"{program} is missing")


def user_cpu_s(pids):
	"""Seconds in user mode so far of those of these processes that are still there."""
	ticks = 0
	for pid in pids:
		with contextlib.suppress(FileNotFoundError, ProcessLookupError):
			ticks += int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11])
	return ticks / os.sysconf("SC_CLK_TCK")


def git(*arguments):
	root = pathlib.Path(__file__).resolve().parent
	result = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
	return result.stdout.strip()


def describe(disk):
	"""Lines for the report: name and value."""
	cpus = [line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
		if line.startswith("model name")]
	memory_kib = int(pathlib.Path("/proc/meminfo").read_text().split()[1])
	changed = " and uncommitted changes" if git("status", "--porcelain", "--untracked-files=no", "--", "../src") else ""
	return [
		("processor", f"{len(cpus)} x {cpus[0]}" if cpus else platform.machine()),
		("memory", f"{memory_kib / 1024 / 1024:.0f} GiB"),
		("kernel", platform.release()),
		("filesystem", f"{disk.filesystem} on {disk.name or 'no block device of its own'}"),
		("commit", (git("rev-parse", "--short", "HEAD") or "unknown") + changed),
	]


class Progress:
	"""One line on a terminal, written anew; one line per step elsewhere."""

	def __init__(self):
		self.terminal = sys.stderr.isatty()
		self.said = ""

	def say(self, text):
		if text != self.said:
			self.said = text
			line = f"\r\x1b[K{text[:shutil.get_terminal_size().columns - 1]}" if self.terminal else f"{text}\n"
			sys.stderr.write(line)
			sys.stderr.flush()

	def clear(self):
		if self.terminal:
			sys.stderr.write("\r\x1b[K")
			sys.stderr.flush()
