"""Clients that send without end while servers die, and the ledger of what was promised to them.

A letter has a name, which is in its Subject. `Load` sends letters and knows what was answered with 250; a `Ledger`
reads what arrived: filed in a mailbox, taken by a sink, or told about in a report to the sender.
"""

import contextlib
import hashlib
import random
import re
import smtplib
import threading
import time
import typing

from harness import wait_for

REFUSED = "refused.example"  # a recipient there is to be reported to the sender


class Letter(typing.NamedTuple):
	"""One that was sent: its recipients, and what its body must be at the end."""

	recipients: tuple
	length: int
	digest: bytes


def digest(body):
	return hashlib.blake2b(body, digest_size=16).digest()


class Load:
	"""`threads` clients that send until stopped, each letter to one of the groups of recipients.

	The ledger knows each letter before it leaves. `users` log in on the submission port, one a thread; the other
	threads send to the relay port.
	"""

	def __init__(self, server, ledger, *groups, threads=4, seed=0, large=True, sender="load@far.example", users=()):
		self.server, self.ledger, self.groups, self.large = server, ledger, groups, large
		self.sender, self.users, self.seed = sender, users, seed
		self.stopping = threading.Event()
		self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(threads)]

	def __enter__(self):
		for thread in self.threads:
			thread.start()
		return self

	def __exit__(self, *_):
		self.stopping.set()
		for thread in self.threads:
			thread.join(60)
			assert not thread.is_alive(), "a client hangs"

	def connect(self, number):
		if number < len(self.users):
			return self.server.smtp("submission", user=self.users[number], timeout=20)
		return self.server.smtp(timeout=20)

	def run(self, number):
		chance = random.Random(f"{self.seed} {number}")
		count = 0
		while not self.stopping.is_set():
			with contextlib.suppress(OSError, smtplib.SMTPException):
				with self.connect(number) as client:
					while not self.stopping.is_set():
						count += 1
						self.send(client, f"load-{self.seed}-{number}-{count}", chance)
			time.sleep(0.02)

	def send(self, client, name, chance):
		size = chance.choice([0, 100, 4000, 30000])
		if self.large and chance.random() < 0.03:
			size = chance.choice([270_000, 700_000])
		filler = (b"%032x\r\n" % chance.getrandbits(128)) * (size // 34)
		body = f"Subject: {name}\r\nFrom: {self.sender}\r\nX-End: yes\r\n\r\n".encode() + filler
		filed = body.replace(b"\r\n", b"\n")
		letter = Letter(chance.choice(self.groups), len(filed), digest(filed))
		client.ehlo_or_helo_if_needed()
		if client.mail(self.sender)[0] != 250 or any(client.rcpt(to)[0] != 250 for to in letter.recipients):
			client.rset()
			return
		self.ledger.sent[name] = letter
		if client.data(body)[0] == 250:
			self.ledger.promise(name)


class Copy(typing.NamedTuple):
	when: float
	digest: bytes  # of its end, as long as the letter that was sent; None: a report


class Ledger:
	"""`sent` holds each letter from before it leaves, `promised` how many were answered with 250, `copies` what arrived:
	(name of the letter, recipient) to its copies. Clients promise while one thread looks.
	"""

	def __init__(self, server, *users, sink=None):
		self.folders = {user: server.mailbox(user) / "new" for user in users}
		self.sink, self.lock = sink, threading.Lock()
		self.sent, self.promised, self.open, self.read, self.copies = {}, 0, {}, set(), {}

	def promise(self, name):
		with self.lock:
			self.promised += 1
			self.open[name] = self.sent[name]

	def wait_promised(self, count, patience_s=60):
		wait_for(lambda: self.promised >= count, f"{count} promises, {self.promised} given", patience_s)

	def add(self, name, recipient, when, mail):
		assert name in self.sent, f"{name} came to {recipient}, and nobody sent it"
		end = mail[-self.sent[name].length:]
		self.copies.setdefault((name, recipient), []).append(Copy(when, digest(end)))

	def read_mail(self, user, path):
		mail, when = path.read_bytes(), path.stat().st_mtime
		subject = re.search(rb"^Subject: (load-\S+)$", mail, re.M)
		if b"multipart/report" in mail.split(b"\n\n", 1)[0]:
			for recipient in re.findall(rb"^Final-Recipient: rfc822; ?(\S+)$", mail, re.M):
				self.copies.setdefault((subject.group(1).decode(), recipient.decode()), []).append(Copy(when, None))
		elif subject:
			self.add(subject.group(1).decode(), user, when, mail)

	def read_sink(self):
		while self.sink.messages:
			message = self.sink.messages.pop(0)
			subject = re.search(rb"^Subject: (load-\S+)\r$", message.data, re.M)
			for recipient in message.recipients:
				self.add(subject.group(1).decode(), recipient, message.when, message.data.replace(b"\r\n", b"\n"))
		self.sink.commands.clear()

	def look(self):
		"""Reads what is new; letters that came to all their recipients are not open any more."""
		for user, folder in self.folders.items():
			for path in folder.iterdir() if folder.is_dir() else []:
				if path.name not in self.read:
					self.read_mail(user, path)
					self.read.add(path.name)
		if self.sink:
			self.read_sink()
		with self.lock:
			for name, letter in list(self.open.items()):
				if all((name, to) in self.copies for to in letter.recipients):
					self.check_bytes(name, letter)
					del self.open[name]

	def check_bytes(self, name, letter):
		for to in letter.recipients:
			told = None if to.endswith(REFUSED) else letter.digest
			assert all(copy.digest == told for copy in self.copies[name, to]), f"{name} came to {to} with other bytes"

	def wait_for_all(self, patience_s=60):
		"""All that was promised is there, with its bytes. Later copies of it are checked by repeated()."""
		def all_there():
			self.look()
			return not self.open

		try:
			wait_for(all_there, "every promised message", patience_s)
		except AssertionError as error:
			raise AssertionError(f"{error}: {len(self.open)} of {self.promised} lost: {list(self.open.items())[:10]}") from None

	def repeated(self):
		"""The times of the copies of each letter that came to a recipient more than once, the earliest first."""
		many = {pair: copies for pair, copies in self.copies.items() if len(copies) > 1}
		for (name, to), copies in many.items():
			assert len({copy.digest for copy in copies}) == 1, f"the copies of {name} for {to} differ"
		return {pair: sorted(copy.when for copy in copies) for pair, copies in many.items()}

	def forget(self):
		"""Of mail that was read and checked nothing stays on the disk; what comes again is a copy all the same."""
		for folder in self.folders.values():
			for name in self.read:
				(folder / name).unlink(missing_ok=True)
		self.read.clear()
