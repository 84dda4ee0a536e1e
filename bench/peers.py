"""The servers that are measured: ours, Postfix as a private instance, and smtp-sink, which stores nothing."""

import os
import pathlib
import subprocess
import sys

import machine

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = pathlib.Path(os.environ.get("BENCH_DIR", ROOT.parent / "shared" / "bench"))
PROGRAM = pathlib.Path(os.environ.get("PACKETBOAT_BUILD", ROOT / "build")) / "packetboat"
SYSTEM_POSTFIX_PID = pathlib.Path("/var/spool/postfix/pid/master.pid")

sys.path.insert(0, str(ROOT / "tests"))
import harness  # noqa: E402


def tree(pid):
	"""The process and all that descend from it."""
	return [int(word) for word in machine.run([BENCH / "tree.sh", str(pid)]).split()]


def pss_kib(pid):
	"""Memory of the process and all that descend from it, shared pages counted once."""
	return int(machine.run([BENCH / "pss.sh", str(pid)]).split()[1])


def install_postfix():
	"""Debian's package, for its load tools and as a peer; no system instance is left running by it."""
	if pathlib.Path("/usr/sbin/postfix").exists():
		return
	environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
	machine.run(["apt-get", "install", "-y", "--no-install-recommends", "postfix"], 600, env=environment)
	if SYSTEM_POSTFIX_PID.exists():
		machine.run(["postfix", "stop"], check=False)
	if pathlib.Path("/run/systemd/system").exists():
		machine.run(["systemctl", "disable", "--now", "postfix"], check=False)


class Sink:
	"""smtp-sink: the ceiling of the load tools."""

	name = "smtp-sink"

	def __init__(self, folder):
		self.port = harness.free_port()

	def __enter__(self):
		command = ["smtp-sink", "-u", "nobody", f"127.0.0.1:{self.port}", "1024"]
		self.process = machine.start(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
		return self

	def __exit__(self, *_):
		machine.end(self.process)

	def pid(self):
		return self.process.pid

	def clean_command(self):
		return ":"


class Postfix:
	"""As peers/postfix.sh sets it up: its own configuration, queue and data in our folder."""

	name = "Postfix"

	def __init__(self, folder, hold=True, sink_port=1, processes=200):
		self.port = harness.free_port()
		self.folder = folder / ("postfix-hold" if hold else "postfix-relay")
		self.mode = "hold" if hold else "relay"
		self.sink_port = sink_port
		self.environment = {**os.environ, "POSTFIX_SMTPD_MAX": str(processes)}

	def script(self, *arguments):
		return machine.run([BENCH / "peers" / "postfix.sh", *arguments], env=self.environment)

	def __enter__(self):
		try:
			self.script("start", self.folder, self.port, self.sink_port, self.mode)
		except BaseException:
			self.script("stop", self.folder)
			raise
		return self

	def __exit__(self, *_):
		self.script("stop", self.folder)

	def pid(self):
		return int(self.script("pid", self.folder))

	def clean_command(self):
		return f"{BENCH}/peers/postfix.sh clean {self.folder}"


class Packetboat:
	"""Our server as it is released, with limits that one machine's load does not reach."""

	name = "Packetboat"

	def __init__(self, folder, hold=True, sink_port=1):
		certificates = folder / "certificates"
		machine.run([BENCH / "mkcert.sh", certificates])
		self.server = harness.Server(
			"mx.bench.test",
			start=False,
			program=PROGRAM,
			tls={"certificates": [{"certificate": str(certificates / "cert.pem"), "key": str(certificates / "key.pem")}]},
			relay={"networks": ["127.0.0.0/8"]},
			routes=[{"to": "*", "via": {"host": "127.0.0.1", "ports": [sink_port]}}],
			queue={"hold": hold},
			limits={"connections": 65000, "connections_per_address": 65000, "commands": 1000000, "idle_time": "1h"},
		)
		self.server.config["log"] = {"to": str(self.server.log_path)}
		self.port = self.server.ports["relay"]

	def __enter__(self):
		try:
			self.server.start()
		except BaseException as error:
			self.server.close()
			if isinstance(error, AssertionError):
				raise machine.Failure(f"the server does not start: {error}") from None
			raise
		return self

	def __exit__(self, *_):
		self.server.close()

	def pid(self):
		return self.server.process.pid

	def clean_command(self):
		return f"{PROGRAM} queue remove --all --config {self.server.config_path} >/dev/null; : > {self.server.log_path}"
