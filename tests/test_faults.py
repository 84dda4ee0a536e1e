"""Fail the Nth: each kind of system call and each allocation of each process fails in turn, while mail goes through
a running server. No process crashes, what is not accepted is told 4xx or the connection ends, and what was
answered 250 arrives. Attack item A55.

For each process, kind and error the Nth call from the start of a round fails, N = 1, 2 ... until a round needs fewer;
the normal run takes a few processes and kinds and some of these N, --long all.
"""

import contextlib
import errno
import re
import smtplib
import time

import pytest

from faulty import FaultyServer
from harness import LONG, wait_for
from sink import Sink

ALICE = "alice@example.org"
SETTLE_S = 0.15  # after a 250, for deliver to meet its fault; what it leaves is tried again after a second
HARM = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error|bug:|assert", re.I)
FILES = {"open": [errno.EMFILE, errno.EIO], "read": [errno.EIO], "write": [errno.ENOSPC, errno.EIO, errno.EINTR],
	"sync": [errno.EIO], "name": [errno.EIO, errno.ENOSPC], "info": [errno.EIO]}
MESSAGES = {"message_send": [errno.EAGAIN, errno.EINTR, errno.ENOBUFS], "message_receive": [errno.EAGAIN, errno.EINTR, errno.EIO]}
MEMORY = {"alloc": [errno.ENOMEM], "library_alloc": [errno.ENOMEM]}
STREAMS = {"send": [errno.EAGAIN, errno.EINTR, errno.ECONNRESET], "receive": [errno.EAGAIN, errno.EINTR, errno.ECONNRESET]}
POINTS = {
	"receive": {**FILES, **MESSAGES, **MEMORY, **STREAMS, "accept": [errno.EMFILE, errno.ECONNABORTED, errno.EINTR]},
	"deliver": {**FILES, **MESSAGES, **MEMORY, **STREAMS, "socket": [errno.EMFILE, errno.ENOBUFS], "connect": [errno.ETIMEDOUT,
		errno.ENETUNREACH]},
	"keeper": {"alloc": [errno.ENOMEM], "library_alloc": [errno.ENOMEM], **MESSAGES},
	"facts": {"alloc": [errno.ENOMEM], **MESSAGES},
	"supervisor": {"alloc": [errno.ENOMEM], **MESSAGES},
}
SAMPLE = [("receive", "sync"), ("receive", "alloc"), ("deliver", "write"), ("deliver", "sync")]  # of the normal run
CASES = [pytest.param(process, kind, marks=[] if (process, kind) in SAMPLE else pytest.mark.long)
	for process, kinds in POINTS.items() for kind in kinds]


class Rounds:
	"""Mail through a server, message by message, and what was promised."""

	def __init__(self, server, sink):
		self.server, self.sink = server, sink
		self.promised, self.refused, self.count, self.struck = {}, 0, 0, 0

	def step(self, reply, what):
		code = reply[0] if isinstance(reply, tuple) else reply
		assert code < 500, f"{what} was told {reply}, and nothing is wrong with it"
		if code >= 400:
			raise smtplib.SMTPException(what)
		return code

	def send(self):
		"""Logs in, and sends to a mailbox here and to an address elsewhere."""
		self.count += 1
		name = f"round-{self.count}"
		size = 280_000 if self.count % 7 == 0 else 900
		body = f"Subject: {name}\r\nFrom: <{ALICE}>\r\n\r\n".encode() + b"0123456789abcdef0123456789abcdef\r\n" * (size // 34)
		try:
			with contextlib.closing(self.server.smtp("submission", timeout=20)) as client:
				client.ehlo()
				self.step(client.login(ALICE, "secret"), "the login")
				self.step(client.mail(ALICE), "MAIL")
				self.step(client.rcpt(ALICE), "RCPT")
				self.step(client.rcpt("bob@far.example"), "RCPT")
				if self.step(client.data(body), "the message") == 250:
					self.promised[name] = body
		except smtplib.SMTPResponseException as error:
			self.step(error.smtp_code, error.smtp_error)
			self.refused += 1
		except (OSError, smtplib.SMTPException):
			self.refused += 1
		return name

	def at_home(self):
		new = self.server.mailbox(ALICE) / "new"
		return {match.group(1).decode() for path in (new.iterdir() if new.is_dir() else [])
			if (match := re.search(rb"^Subject: (round-\d+)\n", path.read_bytes(), re.M))}

	def abroad(self):
		return {match.group(1).decode() for message in list(self.sink.messages)
			if (match := re.search(rb"^Subject: (round-\d+)\r\n", message.data, re.M))}

	def settle(self, name):
		"""Until the message is where it belongs, or has met its fault."""
		until = time.monotonic() + 3
		while name in self.promised and self.server.counts()[1] == 0 and time.monotonic() < until:
			if name in self.abroad() and name in self.at_home():
				break
			time.sleep(0.01)
		time.sleep(SETTLE_S if name in self.promised else 0)

	def fail(self, process, kind, nth, error, lasting):
		"""One round. Whether the fault struck."""
		self.server.arm(process, kind, nth, error, lasting)
		self.settle(self.send())
		struck = self.server.disarm()
		self.struck += struck
		wait_for(lambda: self.server.command("status", check=False).returncode == 0, "all processes", 60)
		return struck

	def check(self):
		wait_for(lambda: set(self.promised) <= self.at_home() & self.abroad(), "every message that was answered 250", 60)
		for path in (self.server.mailbox(ALICE) / "new").iterdir():
			mail = path.read_bytes()
			name = re.search(rb"^Subject: (round-\d+)\n", mail, re.M).group(1).decode()
			if name in self.promised:
				assert mail.endswith(self.promised[name].replace(b"\r\n", b"\n")), f"{name} has other bytes"
		for event in self.server.log(event="died"):
			assert event["signal"] == 0, f"a crash: {event}\n{self.server.words()}"
		said = (self.server.folder / "stderr").read_text(errors="replace")
		assert not HARM.search(said), said[-6000:]


def numbers():
	"""The N to try: all, or fewer the further."""
	n = 1
	while True:
		yield n
		n = n + 1 if LONG else n + max(1, n // 2)


@pytest.mark.parametrize("process, kind", CASES)
def test_a55_fail_the_nth(process, kind):
	with Sink("127.0.0.2") as sink:
		routes = [{"to": "far.example", "via": {"host": "127.0.0.2", "ports": [sink.port]}}]
		with FaultyServer(routes=routes, queue={"retry_first": "1s"}) as server:
			server.add_user(ALICE)
			rounds = Rounds(server, sink)
			rounds.settle(rounds.send())
			assert rounds.promised, server.words()
			for error in POINTS[process][kind]:
				for lasting in [False, True] if LONG else [False]:
					for n in numbers():
						if not rounds.fail(process, kind, n, error, lasting):
							break
			wait_for(lambda: rounds.send() in rounds.promised, "a message that is accepted again")
			rounds.check()
			assert rounds.struck > 0
			print(f"figures: {process} {kind}: {rounds.struck} faults in {rounds.count} rounds, {len(rounds.promised)} accepted and "
				f"arrived, {rounds.refused} told 4xx or cut off")
