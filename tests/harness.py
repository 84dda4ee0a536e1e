"""A Packetboat server for tests: its own folder, free ports, loopback only, always ended.

	with Server(domains={"example.org": {"deliver": "maildir"}}) as server:
		server.add_user("alice@example.org", "secret")
		with server.smtp("submission") as client: ...
		server.wait_for_mail("alice@example.org")

A server's configuration is a plain dictionary, written as YAML (JSON is YAML). Waiting is always for
an event with a generous bound, never for a moment in time.
"""

import contextlib
import email
import json
import os
import pathlib
import pwd
import random
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("PACKETBOAT_BUILD", ROOT / "build-test"))
PROGRAM = BUILD / "packetboat"
CONFORMANCE = pathlib.Path(os.environ.get("CONFORMANCE_DIR", ROOT.parent / "shared" / "conformance"))
LONG = os.environ.get("PACKETBOAT_TEST_LONG") == "1"
SEED = int(os.environ.get("PACKETBOAT_TEST_SEED", "0"))
PATIENCE_S = 30
USERS = ["packetboat", "packetboat-net", "packetboat-out", "packetboat-dns", "packetboat-keep"]


given_ports = set()


def is_free(port, address):
	with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
		try:
			probe.bind((address, port))
			return True
		except OSError:
			return False


def free_port(*addresses):
	"""A port that is free on all of these addresses: each is given once, and none is of those that the kernel
	gives to outgoing connections."""
	for _ in range(1000):
		port = random.randrange(10000, 32768)
		if port not in given_ports and all(is_free(port, address) for address in addresses or ("127.0.0.1",)):
			given_ports.add(port)
			return port
	raise AssertionError("no free port")


def has_ipv6():
	try:
		with socket.socket(socket.AF_INET6) as probe:
			probe.bind(("::1", 0))
			return True
	except OSError:
		return False


def wait_for(condition, what, patience_s=PATIENCE_S):
	"""The first true value of condition(); fails the test, saying what was awaited, when none comes."""
	deadline = time.monotonic() + patience_s
	while True:
		value = condition()
		if value:
			return value
		if time.monotonic() > deadline:
			raise AssertionError(f"waited {patience_s} s for {what}")
		time.sleep(0.02)


def make_users():
	for name in USERS:
		try:
			pwd.getpwnam(name)
		except KeyError:
			command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
				"--shell", "/usr/sbin/nologin", name]
			subprocess.run(command, check=True)


class Server:
	"""One running server. `config` entries replace the defaults below, key by key.

	address: one, or a list; clients use the first. inside: a shell command in a mount namespace of the server's own,
	run before it (root only).
	"""

	def __init__(self, hostname="mail.test", start=True, address="127.0.0.1", program=PROGRAM, inside=None, **config):
		if os.geteuid() == 0:
			make_users()
		self.program = str(program)
		self.folder = pathlib.Path(tempfile.mkdtemp(prefix="packetboat-test-", dir="/var/tmp"))
		self.folder.chmod(0o755)
		self.hostname = hostname
		addresses = [address] if isinstance(address, str) else address
		self.address = addresses[0]
		self.inside = inside
		self.namespaces = ["-m"]
		self.as_user = None  # see run_as
		self.environment = {}  # in addition to ours
		self.ports = {name: free_port(*addresses) for name in ("relay", "submissions", "submission", "alternate")}
		self.log_path = self.folder / "log"
		self.config_path = self.folder / "packetboat.yaml"
		self.config = {
			"hostname": hostname,
			"data_dir": str(self.folder / "data"),
			"listeners": [
				{"port": self.ports["relay"], "role": "relay", "address": addresses},
				{"port": self.ports["submissions"], "role": "submission", "tls": "implicit", "address": addresses},
				{"port": self.ports["submission"], "role": "submission", "tls": "starttls", "address": addresses},
				{"port": self.ports["alternate"], "role": "submission", "tls": "starttls", "address": addresses},
			],
			"domains": {"example.org": {"deliver": "maildir"}},
			"outbound": {"allow_private_addresses": True},
			"dns": {"mode": "forward", "servers": ["127.0.0.1@9"], "dnssec": "off"},
			"log": {"to": str(self.log_path), "format": "json"},
		}
		self.config.update(config)
		self.process = None
		if start:
			try:
				self.start()
			except BaseException:
				self.close()
				raise

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()

	def write_config(self, text=None):
		self.config_path.write_text(text or json.dumps(self.config, indent=1))

	def start(self):
		self.launch()
		self.wait_ready()

	def launch(self):
		"""As start(), but does not wait."""
		self.write_config()
		command = [self.program, "serve", "--config", str(self.config_path)]
		if self.inside:
			command = ["unshare", *self.namespaces, "sh", "-ec", self.inside + '\nexec "$@"', "sh", *command]
		with open(self.folder / "stderr", "ab") as errors:
			self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
				env={**os.environ, **self.environment}, **self.identity())

	def wait_ready(self):
		def answers():
			if self.process.poll() is not None:
				raise AssertionError(f"serve ended with {self.process.returncode}: {self.words()}")
			answers.said = self.command("status", check=False)
			return answers.said.returncode == 0

		try:
			wait_for(answers, "the server to be ready")
		except AssertionError as error:
			raise AssertionError(f"{error}: {answers.said}\n{self.words()}") from None

	def run_as(self, user):
		"""From the next start on; a pwd entry. The program goes along: the checkout may lie where that user cannot go."""
		self.as_user = user
		os.chown(self.folder, user.pw_uid, user.pw_gid)
		self.program = shutil.copy2(self.program, self.folder / "packetboat")

	def identity(self):
		if not self.as_user:
			return {}
		return {"user": self.as_user.pw_uid, "group": self.as_user.pw_gid, "extra_groups": []}

	def words(self):
		"""What the server said: standard error and the log, for messages of failed tests."""
		texts = [path.read_text(errors="replace") for path in (self.folder / "stderr", self.log_path) if path.exists()]
		return "\n".join(text[-4000:] for text in texts)

	def races(self):
		"""What ThreadSanitizer reports; in the sandbox it cannot look up where in the program that is, so this does."""
		path = self.folder / "stderr"
		text = path.read_text(errors="replace") if path.exists() else ""
		if "WARNING: ThreadSanitizer" not in text:
			return ""

		def place(match):
			command = ["addr2line", "-sfpe", self.program, match.group(1)]
			return subprocess.run(command, capture_output=True, text=True).stdout.strip() or match.group(0)

		return re.sub(r"<null> <null> \(packetboat\+(0x[0-9a-f]+)\)", place, text)

	def command(self, *arguments, input=None, check=True, timeout=PATIENCE_S):
		command = [self.program, *arguments, "--config", str(self.config_path)]
		result = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout, **self.identity())
		if check and result.returncode != 0:
			raise AssertionError(f"{arguments}: {result.returncode}: {result.stderr}{result.stdout}\n{self.words()}")
		return result

	def json_command(self, *arguments):
		return json.loads(self.command(*arguments, "--json").stdout)

	def add_user(self, address, password="secret", *arguments):
		self.command("user", "add", address, *arguments, input=password + "\n")

	def status(self):
		return self.json_command("status")

	def pids(self):
		"""The processes by name; "supervisor" is the first one."""
		pids = {process["name"]: process["pid"] for process in self.status()["processes"]}
		return {"supervisor": self.process.pid, **pids}

	def smtp(self, listener="relay", user=None, password="secret", timeout=PATIENCE_S, address=None, **options):
		"""A connected smtplib client; on submission listeners TLS is started, and user logged in."""
		address = address or self.address
		context = trusting_context()
		port = self.ports[listener]
		if listener == "submissions":
			client = smtplib.SMTP_SSL(address, port, timeout=timeout, context=context, **options)
		else:
			client = smtplib.SMTP(address, port, timeout=timeout, **options)
		if listener in ("submission", "alternate"):
			client.starttls(context=context)
		if user:
			client.login(user, password)
		return client

	@contextlib.contextmanager
	def raw(self, listener="relay"):
		"""A plain socket to a listener, as a binary file pair: read lines, write bytes."""
		with socket.create_connection((self.address, self.ports[listener]), PATIENCE_S) as connection:
			yield connection

	def mailbox(self, address):
		user, domain = address.split("@")
		return self.folder / "data" / "mail" / domain / user / "Maildir"

	def mails(self, address):
		"""The bytes of each message in the mailbox, oldest file name first."""
		new = self.mailbox(address) / "new"
		return [path.read_bytes() for path in sorted(new.iterdir())] if new.is_dir() else []

	def wait_for_mail(self, address, count=1):
		try:
			wait_for(lambda: len(self.mails(address)) >= count, f"{count} messages for {address}")
		except AssertionError as error:
			raise AssertionError(f"{error}\n{self.words()}") from None
		return [email.message_from_bytes(mail) for mail in self.mails(address)]

	def log(self, **fields):
		"""The log's events in which all these fields have these values."""
		events = []
		if self.log_path.exists():
			for line in self.log_path.read_bytes().splitlines(keepends=True):
				if not line.endswith(b"\n"):
					break  # still being written
				event = json.loads(line)
				if all(str(event.get(name)) == str(value) for name, value in fields.items()):
					events.append(event)
		return events

	def wait_for_log(self, **fields):
		try:
			return wait_for(lambda: self.log(**fields), f"log event {fields}")
		except AssertionError as error:
			raise AssertionError(f"{error}\n{self.words()}") from None

	def stop(self):
		if self.process and self.process.poll() is None:
			self.process.terminate()
			try:
				self.process.wait(PATIENCE_S)
			except subprocess.TimeoutExpired:
				self.process.kill()
				self.process.wait()
				raise AssertionError(f"the server did not stop: {self.words()}") from None
		status = self.process.returncode if self.process else 0
		self.process = None
		assert not (races := self.races()), races
		return status

	def close(self):
		try:
			self.stop()
		finally:
			shutil.rmtree(self.folder, ignore_errors=True)


ADDED = {b"return-path", b"delivered-to", b"received", b"date", b"message-id"}


def split_added(mail, sent):
	"""Checks that a filed message is what was sent (CR LF as LF) behind fields of ours; returns their names."""
	body = sent.replace(b"\r\n", b"\n")
	assert mail.endswith(body), f"{len(mail)} bytes filed, not those {len(body)} sent: {mail[:600]!r}"
	front = mail[:len(mail) - len(body)]
	assert front == b"" or front.endswith(b"\n")
	if front and body and not re.match(rb"[!-9;-~]+[ \t]*:|\n", body):
		assert front.endswith(b"\n\n"), "a text without a header is set off from our fields by an empty line"
		front = front[:-1]
	names = [line.split(b":")[0].lower() for line in front.splitlines() if not line.startswith((b" ", b"\t"))]
	assert set(names) <= ADDED, names
	return names


class Wire:
	"""A raw SMTP connection: what is sent is exactly what the test says."""

	def __init__(self, server, listener="relay", greet=True, address=None):
		self.server, self.listener = server, listener
		self.socket = socket.create_connection((address or server.address, server.ports[listener]), PATIENCE_S)
		self.file = self.socket.makefile("rb")
		self.greeting = self.reply() if greet else None

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()

	def close(self):
		self.file.close()
		self.socket.close()

	def send(self, data):
		self.socket.sendall(data.encode() if isinstance(data, str) else data)

	def reply(self):
		"""The next reply, its lines joined; "" when the connection has ended."""
		lines = []
		while True:
			try:
				line = self.file.readline()
			except ConnectionError:
				line = b""
			if not line:
				return "\n".join(lines)
			lines.append(line.decode().rstrip("\r\n"))
			if line[3:4] != b"-":
				return "\n".join(lines)

	def say(self, line):
		"""Sends a line, returns the reply."""
		self.send(line + "\r\n" if isinstance(line, str) else line + b"\r\n")
		return self.reply()

	def expect(self, code, line):
		reply = self.say(line)
		assert reply.startswith(code), f"{line!r}: {reply!r}, not {code}\n{self.server.words()}"
		return reply

	def rest(self):
		"""Every reply until the server closes."""
		replies = []
		while reply := self.reply():
			replies.append(reply)
		return replies

	def start_tls(self, context=None):
		self.socket = (context or trusting_context()).wrap_socket(self.socket, server_hostname="mail.test")
		self.file = self.socket.makefile("rb")
		return self

	def begin(self, sender="bob@elsewhere.example", recipient="alice@example.org"):
		"""EHLO to DATA: the body is to follow."""
		self.expect("250", "EHLO client.test")
		self.expect("250", f"MAIL FROM:<{sender}>")
		self.expect("250", f"RCPT TO:<{recipient}>")
		self.expect("354", "DATA")


def trusting_context():
	context = ssl.create_default_context()
	context.check_hostname = False
	context.verify_mode = ssl.CERT_NONE
	return context
