"""Clients that send without end while servers die, and the ledger of what was promised to them."""

import contextlib
import random
import re
import smtplib
import threading
import time

from harness import wait_for


class Load:
	"""`threads` clients that send to one recipient until stopped; `promised` holds what was answered with 250."""

	def __init__(self, server, recipient, threads=4, seed=0, large=True):
		self.server, self.recipient, self.large = server, recipient, large
		self.promised, self.lock, self.stopping = {}, threading.Lock(), threading.Event()
		self.seed = seed
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

	def run(self, number):
		chance = random.Random(self.seed * 100 + number)
		count = 0
		while not self.stopping.is_set():
			with contextlib.suppress(OSError, smtplib.SMTPException):
				with self.server.smtp(timeout=20) as client:
					while not self.stopping.is_set():
						count += 1
						self.send(client, f"load-{self.seed}-{number}-{count}", chance)
			time.sleep(0.02)

	def send(self, client, name, chance):
		size = chance.choice([0, 100, 4000, 30000])
		if self.large and chance.random() < 0.03:
			size = chance.choice([270_000, 700_000])
		filler = (b"%032x\r\n" % chance.getrandbits(128)) * (size // 34)
		body = f"Subject: {name}\r\nX-End: yes\r\n\r\n".encode() + filler
		client.ehlo_or_helo_if_needed()
		if client.mail("load@far.example")[0] != 250 or client.rcpt(self.recipient)[0] != 250:
			client.rset()
			return
		code, _ = client.data(body)
		if code == 250:
			with self.lock:
				self.promised[name] = body.replace(b"\r\n", b"\n")

	def wait_promised(self, count):
		wait_for(lambda: len(self.promised) >= count, f"{count} promises, {len(self.promised)} given")


class Mailbox:
	"""The mailbox, read once: name of each message to the bytes of its copies and when they came."""

	def __init__(self, server, recipient):
		self.folder = server.mailbox(recipient) / "new"
		self.read, self.copies = set(), {}

	def look(self):
		for path in self.folder.iterdir() if self.folder.is_dir() else []:
			if path.name in self.read:
				continue
			self.read.add(path.name)
			mail = path.read_bytes()
			match = re.search(rb"^Subject: (load-\S+)\n", mail, re.M)
			if match:
				self.copies.setdefault(match.group(1).decode(), []).append((mail, path.stat().st_mtime))

	def wait_for_all(self, promised, patience_s=60):
		def all_there():
			self.look()
			return set(promised) <= set(self.copies)

		try:
			wait_for(all_there, "every promised message", patience_s)
		except AssertionError as error:
			missing = sorted(set(promised) - set(self.copies))
			raise AssertionError(f"{error}: {len(missing)} of {len(promised)} lost: {missing[:10]}") from None
		for name, body in promised.items():
			for mail, _ in self.copies[name]:
				assert mail.endswith(body), f"{name} has other bytes"

	def duplicates(self):
		"""The times of the copies of each message that came more than once, the earliest first."""
		return {name: sorted(when for _, when in copies) for name, copies in self.copies.items() if len(copies) > 1}
