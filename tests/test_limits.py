"""Limits that a client can hit, and noise on every door. Attack items A10, A14 and A27."""

import random
import socket
import stat

import pytest

from harness import CONFORMANCE, PATIENCE_S, SEED, Server, Wire, wait_for

ALICE = "alice@example.org"


@pytest.fixture(scope="module")
def server():
	with Server(limits={"recipients": 100, "message_size": "1MiB", "connections_per_address": 1000, "errors": 1000}) as server:
		server.add_user(ALICE)
		yield server


@pytest.fixture
def same_processes(server):
	"""After the test the server runs with the very same processes, and takes mail."""
	before = server.pids()
	yield
	assert server.pids() == before, server.words()
	mails = len(server.mails(ALICE))
	with server.smtp() as client:
		client.sendmail("x@far.example", [ALICE], b"Subject: still here\r\n\r\nx\r\n")
	wait_for(lambda: len(server.mails(ALICE)) > mails, "mail after the noise")


def test_declared_sizes(server):
	with Wire(server) as wire:
		assert "SIZE 1048576" in wire.expect("250", "EHLO client.test")
		wire.expect("552 5.3.4", "MAIL FROM:<x@far.example> SIZE=1048577")
		wire.expect("552 5.3.4", "MAIL FROM:<x@far.example> SIZE=18446744073709551615")
		wire.expect("501", "MAIL FROM:<x@far.example> SIZE=999999999999999999999")
		wire.expect("501", "MAIL FROM:<x@far.example> SIZE=-1")
		wire.expect("501", "MAIL FROM:<x@far.example> SIZE=0x10")
		wire.expect("555", "MAIL FROM:<x@far.example> NONSENSE=1")
		wire.expect("501", "MAIL FROM:<x@far.example> SIZE=1 SIZE=1")
		wire.expect("250", "MAIL FROM:<x@far.example> SIZE=1048576")


def test_a27_a_size_that_is_a_lie(server, same_processes):
	"""The limit counts what comes, not what was said; the session goes on after it."""
	with Wire(server) as wire:
		wire.expect("250", "EHLO client.test")
		for _ in range(3):
			wire.expect("250", "MAIL FROM:<x@far.example> SIZE=1")
			wire.expect("250", f"RCPT TO:<{ALICE}>")
			wire.expect("354", "DATA")
			wire.send((b"x" * 1022 + b"\r\n") * 3000 + b".\r\n")
			assert wire.reply().startswith("552 5.3.4")
		wire.expect("503", "DATA")
	assert not list((server.folder / "data" / "spool" / "receive" / "body").iterdir())


def test_a27_aborted_messages_leave_nothing(server, same_processes):
	for _ in range(20):
		with Wire(server) as wire:
			wire.begin()
			wire.send((b"x" * 1022 + b"\r\n") * 900)
	wait_for(lambda: server.status()["receive"]["sessions"] == 0, "the end of the sessions")
	wait_for(lambda: not list((server.folder / "data" / "spool" / "receive" / "body").iterdir()), "the end of their bodies")


def test_recipients_are_limited(server):
	with Wire(server) as wire:
		wire.expect("250", "EHLO client.test")
		wire.expect("250", "MAIL FROM:<x@far.example>")
		for i in range(100):
			wire.expect("250", f"RCPT TO:<alice+{i}@example.org>")
		wire.expect("452 4.5.3", f"RCPT TO:<{ALICE}>")
		wire.expect("354", "DATA")
		wire.send("Subject: for the hundred\r\n\r\nx\r\n.\r\n")
		assert wire.reply().startswith("250")


def test_a_pipelined_group_is_answered_in_order(server):
	with Wire(server) as wire:
		wire.expect("250", "EHLO client.test")
		wire.send("".join(["MAIL FROM:<x@far.example>\r\n", *(f"RCPT TO:<{name}@example.org>\r\n" for name in
			("alice", "nobody", "alice+1", "nowhere")), "RSET\r\n", "NOOP\r\n", "DATA\r\n"]))
		assert [wire.reply()[:3] for _ in range(8)] == ["250", "250", "550", "250", "550", "250", "250", "503"]


def guess(server, times):
	"""The replies to so many names that do not exist, a few to a connection."""
	replies = []
	for _ in range(times):
		with Wire(server) as wire:
			wire.expect("250", "EHLO client.test")
			wire.expect("250", "MAIL FROM:<x@far.example>")
			wire.send("RCPT TO:<nobody@example.org>\r\n")
			replies.append(wire.reply()[:9])
	return replies


def test_a34_guesses_and_relaying_are_counted_and_told():
	with Server(limits={"unknown_recipients_per_address": 5, "relay_attempts_per_address": 2}) as server:
		assert guess(server, 7) == ["550 5.1.1"] * 5 + ["450 4.7.1"] * 2
		with Wire(server) as wire:
			wire.expect("250", "EHLO client.test")
			wire.expect("250", "MAIL FROM:<x@far.example>")
			wire.expect("550 5.7.1", "RCPT TO:<x@other.example>")
			wire.expect("550 5.7.1", "RCPT TO:<x@other.example>")
			wire.expect("421 4.7.0", "RCPT TO:<x@other.example>")
		status = server.status()["receive"]
		assert status["recipients_unknown"] == 5
		assert status["relay_attempts"] == 2
		assert status["recipients_limited"] == 3
		log = server.log_path.read_text()
		assert '"reason":"unknown_recipients"' in log and '"reason":"relay_attempts"' in log


def test_trusted_networks_are_not_counted():
	with Server(limits={"unknown_recipients_per_address": 2}, relay={"networks": ["127.0.0.0/8"]}) as server:
		assert guess(server, 5) == ["550 5.1.1"] * 5
		assert server.status()["receive"]["recipients_unknown"] == 0


# ---- noise

def noise(chance):
	"""Something between a session and nonsense."""
	words = [b"EHLO x\r\n", b"HELO x\r\n", b"MAIL FROM:<a@far.example>\r\n", b"RCPT TO:<alice@example.org>\r\n", b"DATA\r\n",
		b".\r\n", b"\r\n", b"RSET\r\n", b"QUIT\r\n", b"STARTTLS\r\n", b"AUTH PLAIN ", b"\0", b"\r", b"\n", b"\xff\xfe", b"Subject: x\r\n",
		b"BDAT 10\r\n", b"x" * 600, b"<" * 300, b"MAIL FROM:<" + b"a@" * 50 + b"\r\n", b"EXPN \x1b\r\n", b"\x16\x03\x01\x02\x00"]
	return b"".join(chance.choice(words) if chance.random() < 0.9 else chance.randbytes(20) for _ in range(chance.randrange(1, 60)))


def play(server, listener, data, chance):
	with socket.create_connection((server.address, server.ports[listener]), PATIENCE_S) as connection:
		try:
			if listener != "submissions" and chance.randrange(3):
				connection.recv(100)
			for start in range(0, len(data), 500):
				connection.sendall(data[start:start + 500])
			connection.shutdown(socket.SHUT_WR)
			while connection.recv(65536):
				pass
		except OSError:
			pass


@pytest.mark.parametrize("listener", ["relay", "submission", "submissions"])
def test_noise_on_a_port(server, same_processes, listener):
	chance = random.Random(f"{SEED} {listener}")
	for _ in range(150):
		play(server, listener, noise(chance), chance)


def test_noise_inside_tls(server, same_processes):
	chance = random.Random(f"{SEED} tls")
	for _ in range(60):
		with Wire(server, "submissions", greet=False) as wire:
			wire.start_tls()
			try:
				wire.reply()
				wire.send(noise(chance))
				wire.send("\r\n.\r\nQUIT\r\n")
				wire.rest()
			except OSError:
				pass


def test_other_peoples_seeds(server, same_processes):
	"""The fuzz seeds of the conformance folder, whole and damaged."""
	folder = CONFORMANCE / "fuzz-seeds"
	if not folder.is_dir():
		pytest.skip(f"no {folder}")
	chance = random.Random(SEED)
	seeds = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
	assert seeds
	for seed in seeds:
		for _ in range(5):
			play(server, "relay", seed, chance)
			damaged = bytearray(seed)
			for _ in range(chance.randrange(1, 20)):
				damaged[chance.randrange(len(damaged))] = chance.randrange(256)
			seed = bytes(damaged)


def test_a14_noise_on_the_control_socket(server, same_processes):
	path = server.folder / "data" / "run" / "control"
	assert stat.S_ISSOCK(path.stat().st_mode)
	chance = random.Random(f"{SEED} control")
	kind = None
	for candidate in (socket.SOCK_SEQPACKET, socket.SOCK_STREAM):
		with socket.socket(socket.AF_UNIX, candidate) as probe:
			try:
				probe.connect(str(path))
				kind = candidate
			except OSError:
				continue
	assert kind is not None
	for _ in range(100):
		with socket.socket(socket.AF_UNIX, kind) as connection:
			connection.connect(str(path))  # waits where the queue is full
			try:
				for _ in range(chance.randrange(1, 5)):
					connection.send(chance.randbytes(chance.choice([1, 8, 12, 40, 400, 4000])))
			except OSError:
				pass


def test_a14_a_descriptor_nobody_asked_for(server, same_processes):
	path = server.folder / "data" / "run" / "control"
	with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection, open("/dev/null", "rb") as file:
		connection.connect(str(path))
		try:
			for size in (1, 8, 12, 16, 100):
				socket.send_fds(connection, [b"\1" * size], [file.fileno()] * 3)
		except OSError:
			pass
