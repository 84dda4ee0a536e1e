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
PATIENCE_S = 30
USERS = ["packetboat", "packetboat-net", "packetboat-out", "packetboat-dns", "packetboat-keep"]


def free_port(address="127.0.0.1"):
	family = socket.AF_INET6 if ":" in address else socket.AF_INET
	with socket.socket(family) as probe:
		probe.bind((address, 0))
		return probe.getsockname()[1]


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
	"""One running server. `config` entries replace the defaults below, key by key."""

	def __init__(self, hostname="mail.test", start=True, address="127.0.0.1", program=PROGRAM, **config):
		if os.geteuid() == 0:
			make_users()
		self.program = str(program)
		self.folder = pathlib.Path(tempfile.mkdtemp(prefix="packetboat-test-", dir="/var/tmp"))
		self.folder.chmod(0o755)
		self.hostname = hostname
		self.address = address
		self.ports = {name: free_port(address) for name in ("relay", "submissions", "submission", "alternate")}
		self.log_path = self.folder / "log"
		self.config_path = self.folder / "packetboat.yaml"
		self.config = {
			"hostname": hostname,
			"data_dir": str(self.folder / "data"),
			"listeners": [
				{"port": self.ports["relay"], "role": "relay", "address": address},
				{"port": self.ports["submissions"], "role": "submission", "tls": "implicit", "address": address},
				{"port": self.ports["submission"], "role": "submission", "tls": "starttls", "address": address},
				{"port": self.ports["alternate"], "role": "submission", "tls": "starttls", "address": address},
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
		self.write_config()
		self.errors = open(self.folder / "stderr", "ab")
		command = [self.program, "serve", "--config", str(self.config_path)]
		self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors)

		def answers():
			if self.process.poll() is not None:
				raise AssertionError(f"serve ended with {self.process.returncode}: {self.words()}")
			return self.command("status", check=False).returncode == 0

		wait_for(answers, "the server to answer `status`", 60)

	def words(self):
		"""What the server said: standard error and the log, for messages of failed tests."""
		said = (self.folder / "stderr").read_text(errors="replace")
		if self.log_path.exists():
			said += self.log_path.read_text(errors="replace")
		return said[-6000:]

	def command(self, *arguments, input=None, check=True, timeout=PATIENCE_S):
		command = [self.program, *arguments, "--config", str(self.config_path)]
		result = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout)
		if check and result.returncode != 0:
			raise AssertionError(f"{arguments}: {result.returncode}: {result.stderr}{result.stdout}\n{self.words()}")
		return result

	def json_command(self, *arguments):
		return json.loads(self.command(*arguments, "--json").stdout)

	def add_user(self, address, password="secret", *arguments):
		self.command("user", "add", address, *arguments, input=password + "\n")

	def smtp(self, listener="relay", user=None, password="secret", timeout=PATIENCE_S, **options):
		"""A connected smtplib client; on submission listeners TLS is started, and user logged in."""
		context = ssl.create_default_context()
		context.check_hostname = False
		context.verify_mode = ssl.CERT_NONE
		port = self.ports[listener]
		if listener == "submissions":
			client = smtplib.SMTP_SSL(self.address, port, timeout=timeout, context=context, **options)
		else:
			client = smtplib.SMTP(self.address, port, timeout=timeout, **options)
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
			for line in self.log_path.read_text().splitlines():
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
		return status

	def close(self):
		try:
			self.stop()
		finally:
			shutil.rmtree(self.folder, ignore_errors=True)
