"""kill -9 of a random process at a random moment, round after round, while clients send; and the proof that nothing is lost.

	with Crashes(seed=1) as crashes:
		crashes.run(100)

One server lives through all of it. Its mail goes to two mailboxes, to a sink, to a sink that asks to come later, and
to one that refuses for ever, so that the sender must be told; some letters go to all of them. Every `SETTLE_ROUNDS`
rounds the clients stop for a moment: all that was answered with 250 must have arrived with its bytes, and the queue
must be empty.
"""

import contextlib
import os
import pathlib
import random
import signal
import time

from harness import PATIENCE_S, Server, wait_for
from load import REFUSED, Ledger, Load
from names import Names
from sink import Sink

USERS = ALICE, BOB = "alice@example.org", "bob@example.org"
CHILDREN = ["receive", "deliver", "keeper", "facts"]
VICTIMS = [*CHILDREN, "supervisor", "all"]
REPEATERS = {"deliver", "supervisor", "all"}  # whose deaths may repeat a delivery
WINDOW_S = 2  # of deliveries that a death may repeat: the journal's 100 ms, on a machine that is slow and busy
SETTLE_ROUNDS = 50
DEATHS_IN_A_ROW = 3  # of one child; then the supervisor's pause before its next start is too long for us
AGE_S = 2 * 24 * 3600  # after it, a body file that no message names is removed at the start
RELAYED = [f"{user}@elsewhere.example" for user in ("ann", "ben", "later")]
BOUNCED = f"nobody@{REFUSED}"
GROUPS = [(ALICE,), (ALICE, BOB), (RELAYED[0],), tuple(RELAYED), (BOUNCED,), (ALICE, RELAYED[1], BOUNCED)]


# ---- ending processes

def kill(pid):
	with contextlib.suppress(ProcessLookupError):
		os.kill(pid, signal.SIGKILL)


def is_gone(pid):
	"""A zombie counts once its other threads are gone too: until then they hold its descriptors."""
	try:
		state = pathlib.Path(f"/proc/{pid}/status").read_text()
		return "\nState:\tZ" in state and len(os.listdir(f"/proc/{pid}/task")) == 1
	except (FileNotFoundError, ProcessLookupError):
		return True


def living(server):
	"""The processes by name, as the kernel knows them: also while the server cannot be asked."""
	pids = {"supervisor": server.process.pid}
	for pid in filter(str.isdigit, os.listdir("/proc")):
		with contextlib.suppress(OSError, IndexError, ValueError):
			parent = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
			words = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
			if parent == server.process.pid and words[1] == "--process":
				pids[words[2]] = int(pid)
	return pids


def crash(server, victim):
	"""Kills, and starts anew what nobody else does. Returns who died, and when."""
	if victim in CHILDREN:
		pid = wait_for(lambda: living(server).get(victim), f"a {victim} to kill")
		when = time.time()
		kill(pid)
		wait_for(lambda: is_gone(pid), f"the end of {victim}")
		return victim, when
	pids = living(server)
	when = time.time()
	for pid in pids.values() if victim == "all" else [pids["supervisor"]]:
		kill(pid)
	server.process.wait()
	for name, pid in pids.items():
		wait_for(lambda: is_gone(pid), f"the end of {name}")
	server.launch()
	return victim, when


# ---- where the mail goes

def answer(session, word, line):
	"""The sink's script."""
	if word == "RCPT" and REFUSED in line:
		return "550 5.1.1 Nobody of that name"
	if word == "RCPT" and "later" in line and random.random() < 0.5:
		return "451 4.2.0 Come later"
	return None


def point_names(names, address):
	for domain in ("elsewhere.example", REFUSED):
		names.records.pop(f"mx.{domain}", None)
		names.records.pop(domain, None)
		names.mx(domain, f"mx.{domain}", address)


class Surroundings:
	"""The sink, the names that lead to it, and a server with users, not running yet."""

	def __init__(self, address="127.0.0.2"):
		self.stack = contextlib.ExitStack()
		with self.stack:
			self.names = self.stack.enter_context(Names())
			self.sink = self.stack.enter_context(Sink(address, script=answer))
			point_names(self.names, address)
			self.server = self.stack.enter_context(Server(start=False, dns=self.names.config(),
				relay={"networks": ["127.0.0.0/8", "10.0.0.0/8"]}, limits={"connections_per_address": 1000},
				queue={"segment_size": "4MiB", "disk_reserve": "8MiB", "retry_first": "1s", "retry_longest": "2s"},
				outbound={"allow_private_addresses": True, "port": self.sink.port,
					"site": {"failures": 1000, "backoff_first": "1s", "backoff": "1s"}},
				log={"to": "/dev/null", "level": "error"}))
			self.server.start()
			for user in USERS:
				self.server.add_user(user)
			self.server.stop()
			self.stack = self.stack.pop_all()

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.stack.close()


# ---- rounds

class Crashes(Surroundings):
	window_s = WINDOW_S

	def __init__(self, seed=0, threads=6, say=lambda text: None):
		super().__init__()
		self.chance, self.seed, self.threads, self.say = random.Random(f"crashes {seed}"), seed, threads, say
		self.deaths, self.held, self.rounds, self.in_a_row = [], 0, 0, dict.fromkeys(CHILDREN, 0)
		self.next_victims = []
		self.ledger = Ledger(self.server, *USERS, sink=self.sink)
		self.prepare()
		self.server.launch()

	def prepare(self):
		"""Before the server starts."""

	def trouble(self):
		"""What else than deaths goes wrong, in each round."""

	def calm(self):
		"""Ends it."""

	def run(self, rounds, victims=VICTIMS):
		"""Each victim once before any comes again, in any order."""
		last = self.rounds + rounds
		while self.rounds < last:
			with Load(self.server, self.ledger, *GROUPS, threads=self.threads, seed=f"{self.seed}-{self.rounds}", sender=ALICE,
					users=[ALICE]):
				for _ in range(min(SETTLE_ROUNDS, last - self.rounds)):
					self.round(victims)
			self.settle()

	def round(self, victims):
		"""One death. Most come while mail flows; every fifth comes before the last one was got over."""
		if self.chance.random() < 0.8:
			self.wait_flowing(self.ledger.promised + self.chance.choice([1, 5, 30]))
		self.trouble()
		time.sleep(self.chance.random() * 0.3)
		self.next_victims = self.next_victims or self.chance.sample(victims, len(victims))
		victim = self.next_victims.pop()
		if self.in_a_row.get(victim, 0) >= DEATHS_IN_A_ROW:
			victim = "supervisor"
		if victim in CHILDREN:
			self.in_a_row[victim] += 1
		else:
			self.in_a_row = dict.fromkeys(CHILDREN, 0)
		self.deaths.append(crash(self.server, victim))
		self.rounds += 1

	def wait_flowing(self, count):
		def flows():
			assert self.server.process.poll() is None, f"serve ended with {self.server.process.returncode}: {self.server.words()}"
			return self.ledger.promised >= count

		wait_for(flows, f"mail to flow after {self.deaths[-3:]}", 2 * PATIENCE_S)

	def settle(self):
		self.calm()
		self.server.wait_ready()
		wait_for(self.release_held, "an empty queue", 2 * PATIENCE_S)
		self.ledger.wait_for_all()
		self.check_repeated()
		self.ledger.forget()
		self.say(f"{self.rounds} rounds, {self.figures()}")

	def release_held(self):
		"""A message that was in hand at two deaths is held and named, as it should be. True: the queue is empty."""
		queue = self.server.json_command("queue", "list")
		held = [entry["id"] for entry in queue if entry["held"]]
		if held:
			self.held += len(held)
			self.server.command("queue", "release", *held)
		return not queue

	def check_repeated(self):
		"""Each further copy comes after a death that the one before it may have been too fresh for."""
		deaths = [when for victim, when in self.deaths if victim in REPEATERS]
		for (name, to), times in self.ledger.repeated().items():
			for before, _ in zip(times, times[1:]):
				assert any(-0.5 <= death - before <= self.window_s for death in deaths), f"{name} came to {to} again too late: {times}"

	def figures(self):
		repeated = sum(len(times) - 1 for times in self.ledger.repeated().values())
		return f"{self.ledger.promised} messages accepted, {repeated} repeated, {len(self.ledger.open)} lost"

	def finish(self):
		"""After an orderly end nothing is left: no half a mail, and of body files none that outlives its day."""
		assert self.server.stop() == 0
		left = [path for user in self.ledger.folders.values() for path in (user.parent / "tmp").iterdir()]
		assert left == [], "half a mail"
		spool = self.server.folder / "data" / "spool"
		for path in (spool / "receive" / "body").iterdir():
			os.utime(path, (time.time() - AGE_S, time.time() - AGE_S))
		self.server.start()
		assert self.server.stop() == 0
		names = sorted(path.name for path in (spool / "deliver").iterdir())
		assert list((spool / "receive" / "body").iterdir()) == [] and "checkpoint" in names and "checkpoint.new" not in names, names
