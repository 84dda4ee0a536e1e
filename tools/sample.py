#!/usr/bin/python3
"""sample [--once]: the server with a sample domain and user on loopback, and one message through each port.

Starts build/packetboat on ports 25, 465, 587 and 2525 of 127.0.0.1, or on 10025, 10465, 10587 and 12525 where those
cannot be bound, sends one message through each, shows each one arriving, and keeps running until Ctrl-C. With --once
it stops there; exit status 0 only if all four arrived.
"""

import argparse
import email
import json
import os
import pathlib
import pwd
import secrets
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build" / "packetboat"
DOMAIN, USER = "example.org", "alice@example.org"
USERS = ["packetboat", "packetboat-net", "packetboat-out", "packetboat-dns", "packetboat-keep"]
# name, well-known port, port for everybody, what it is for
PORTS = [
	("relay", 25, 10025, "from other servers"),
	("submissions", 465, 10465, "from mail programs, TLS at once"),
	("submission", 587, 10587, "from mail programs, STARTTLS"),
	("alternate", 2525, 12525, "the same where 587 is blocked"),
]
ARRIVAL_S = 30


def say(text, mark=" "):
	print(f"{mark} {text}", file=sys.stderr, flush=True)


def can_bind(port):
	with socket.socket() as probe:
		probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		try:
			probe.bind(("127.0.0.1", port))
			return True
		except OSError:
			return False


def make_users():
	for name in USERS:
		try:
			pwd.getpwnam(name)
		except KeyError:
			say(f"making the system user {name}")
			subprocess.run(["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
				"--shell", "/usr/sbin/nologin", name], check=True)


class Sample:
	def __init__(self):
		self.folder = pathlib.Path(tempfile.mkdtemp(prefix="packetboat-sample-", dir="/var/tmp"))
		self.folder.chmod(0o755)
		self.config = self.folder / "packetboat.yaml"
		self.password = secrets.token_urlsafe(12)
		self.ports = {name: usual if can_bind(usual) else other for name, usual, other, _ in PORTS}
		self.process = None

	def command(self, *arguments, **options):
		return subprocess.run([PROGRAM, *arguments, "--config", self.config], text=True, capture_output=True, **options)

	def start(self):
		listeners = [{"port": self.ports["relay"], "role": "relay", "address": "127.0.0.1"}]
		for name, tls in (("submissions", "implicit"), ("submission", "starttls"), ("alternate", "starttls")):
			listeners.append({"port": self.ports[name], "role": "submission", "tls": tls, "address": "127.0.0.1"})
		self.config.write_text(json.dumps({
			"hostname": "localhost.localdomain",
			"data_dir": str(self.folder / "data"),
			"listeners": listeners,
			"domains": {DOMAIN: {"deliver": "maildir"}},
			"log": {"to": str(self.folder / "log")},
		}, indent=1))
		self.process = subprocess.Popen([PROGRAM, "serve", "--config", self.config], stdin=subprocess.DEVNULL)
		deadline = time.monotonic() + ARRIVAL_S
		while self.command("status").returncode != 0:
			if self.process.poll() is not None or time.monotonic() > deadline:
				raise SystemExit(f"the server did not start; its log: {self.log()}")
			time.sleep(0.05)
		added = self.command("user", "add", USER, input=self.password + "\n")
		if added.returncode != 0:
			raise SystemExit(f"user add: {added.stderr}")

	def log(self):
		path = self.folder / "log"
		return path.read_text(errors="replace")[-4000:] if path.exists() else "(empty)"

	def send(self, name):
		port = self.ports[name]
		context = ssl._create_unverified_context()  # the sample's certificate is its own
		if name == "submissions":
			client = smtplib.SMTP_SSL("127.0.0.1", port, timeout=ARRIVAL_S, context=context)
		else:
			client = smtplib.SMTP("127.0.0.1", port, timeout=ARRIVAL_S)
		with client:
			sender = "bob@elsewhere.example"
			if name != "relay":
				if name != "submissions":
					client.starttls(context=context)
				client.login(USER, self.password)
				sender = USER
			client.sendmail(sender, [USER], f"From: <{sender}>\r\nTo: <{USER}>\r\nSubject: through {name}\r\n\r\nAhoy!\r\n")

	def arrived(self, name):
		folder = self.folder / "data" / "mail" / DOMAIN / "alice" / "Maildir" / "new"
		deadline = time.monotonic() + ARRIVAL_S
		while time.monotonic() < deadline:
			for path in sorted(folder.iterdir()) if folder.is_dir() else []:
				message = email.message_from_bytes(path.read_bytes())
				if message["Subject"] == f"through {name}":
					return path
			time.sleep(0.02)
		return None

	def stop(self):
		if self.process and self.process.poll() is None:
			self.process.terminate()
			self.process.wait(60)
		shutil.rmtree(self.folder, ignore_errors=True)


def show(sample):
	missing = 0
	for name, _, _, purpose in PORTS:
		port = sample.ports[name]
		try:
			sample.send(name)
			path = sample.arrived(name)
		except (OSError, smtplib.SMTPException) as error:
			path, reason = None, error
		else:
			reason = "it did not arrive"
		if path:
			say(f"port {port:5} {purpose:32} sent, arrived as {path.name}", "✓")
		else:
			say(f"port {port:5} {purpose:32} failed: {reason}", "✗")
			missing += 1
	return missing


def main():
	parser = argparse.ArgumentParser(prog="./dev run", description=__doc__.splitlines()[0])
	parser.add_argument("--once", action="store_true", help="stop after the four messages")
	once = parser.parse_args().once
	if os.geteuid() == 0:
		make_users()
	sample = Sample()
	try:
		sample.start()
		missing = show(sample)
		if missing:
			say(f"{missing} of {len(PORTS)} did not arrive; the log:\n{sample.log()}", "✗")
		if not once:
			say("")
			say(f"running: domain {DOMAIN}, login {USER}, password {sample.password}")
			say(f"configuration and log: {sample.folder}")
			say(f"try:   {PROGRAM.relative_to(ROOT)} status --config {sample.config}")
			say("Ctrl-C stops it and removes the folder")
			sample.process.wait()
		return 1 if missing else 0
	except KeyboardInterrupt:
		return 0
	finally:
		sample.stop()


if __name__ == "__main__":
	sys.exit(main())
