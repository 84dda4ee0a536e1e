"""A disk that is full, has no inodes left, or fails: refused in words, survived, nothing lost. Attack item A55."""

import contextlib
import mmap
import pathlib
import re
import smtplib
import struct
import subprocess

import pytest

from conftest import need, need_namespace
from crashes import ALICE, Crashes, crash
from harness import LONG, ROOT, SEED, Server, wait_for

SMALL = (b"y" * 70 + b"\r\n") * 1400
LARGE = (b"y" * 70 + b"\r\n") * 5000  # gets a file of its own
MESSAGES_MAX = 1000  # more than the disk holds


class SmallDisk:
	"""A server whose spool is on a small file system of its own, in a mount namespace of its own: it ends with it."""

	def __init__(self, kind, inodes=0, **queue):
		need_namespace("the spool is on a small file system of its own")
		self.server = Server(start=False, queue={"segment_size": "4MiB", "disk_reserve": "8MiB", **queue})
		self.spool = self.server.folder / "spool"
		self.spool.mkdir(mode=0o755)
		self.server.config["spool_dir"] = str(self.spool)
		mount = f"mount -t tmpfs -o size=64m,mode=755 none {self.spool}"
		if kind == "ext4":
			need("mkfs.ext4")
			self.image = self.server.folder / "image"
			options = ["-N", str(inodes)] if inodes else []
			subprocess.run(["mkfs.ext4", "-q", "-m", "0", *options, self.image, "64M"], check=True, capture_output=True)
			mount = f"mount -o loop {self.image} {self.spool}"
		self.server.inside = f"mount --make-rprivate /; {mount}"
		self.sent = []

	def __enter__(self):
		with contextlib.ExitStack() as stack:
			stack.enter_context(self.server)
			self.server.start()
			self.server.add_user(ALICE)
			stack.pop_all()
		return self

	def __exit__(self, *_):
		self.server.close()

	def path(self, name):
		"""A file on the disk, as seen from outside."""
		return pathlib.Path(f"/proc/{self.server.process.pid}/root{self.spool}/{name}")

	def try_one(self, filler=SMALL):
		"""Sends one message; the words of the refusal, or None."""
		body = f"Subject: full {len(self.sent)}\r\n\r\n".encode() + filler
		try:
			with self.server.smtp() as client:
				client.sendmail("x@far.example", [ALICE], body)
		except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as refusal:
			assert refusal.smtp_code == 452, refusal
			return refusal.smtp_error
		self.sent.append(body.replace(b"\r\n", b"\n"))
		return None

	def send_until_refused(self, filler=SMALL):
		for _ in range(MESSAGES_MAX):
			refusal = self.try_one(filler)
			if refusal:
				assert re.match(rb"4\.3\.1 \w+ .*\w", refusal), refusal
				return
		raise AssertionError(f"{MESSAGES_MAX} messages on a full disk")

	def fill(self):
		with self.path("filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
			while True:
				file.write(b"f" * 65536)

	def wait_all_filed(self):
		wait_for(lambda: len(self.server.mails(ALICE)) >= len(self.sent), "all that was promised")
		mails = self.server.mails(ALICE)
		assert len(mails) == len(self.sent), "some came twice"
		assert all(any(mail.endswith(body) for mail in mails) for body in self.sent)


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a55_a_disk_filled_by_others_is_said_and_survived(kind):
	with SmallDisk(kind) as disk:
		assert disk.try_one() is None
		disk.fill()
		disk.send_until_refused()
		assert disk.server.command("status").returncode == 0
		disk.path("filler").unlink()
		wait_for(lambda: disk.try_one() is None, "room again")
		disk.wait_all_filed()


def test_a55_a_disk_filled_by_mail_is_said_and_outcomes_are_still_written():
	"""Not one byte is left when the mail is let go: it is delivered, that is remembered over kill -9, and room is made."""
	with SmallDisk("ext4", hold=True) as disk:
		disk.send_until_refused()
		disk.send_until_refused(LARGE)
		assert len(disk.server.json_command("queue", "list")) == len(disk.sent)
		disk.fill()
		disk.server.config["queue"]["hold"] = False
		disk.server.write_config()
		disk.server.command("reload")
		disk.wait_all_filed()
		wait_for(lambda: not disk.server.json_command("queue", "list"), "an empty queue")
		crash(disk.server, "all")
		disk.server.wait_ready()
		assert disk.server.json_command("queue", "list") == []
		disk.path("filler").unlink()
		wait_for(lambda: disk.try_one() is None, "room again")
		disk.wait_all_filed()


def test_a55_a_disk_without_inodes_is_said_and_survived():
	with SmallDisk("ext4", inodes=2000) as disk:
		assert disk.try_one(LARGE) is None
		folder = disk.path("many")
		folder.mkdir()
		with contextlib.suppress(OSError):
			for number in range(2000):
				(folder / str(number)).touch()
		disk.send_until_refused(LARGE)
		for path in folder.iterdir():
			path.unlink()
		wait_for(lambda: disk.try_one(LARGE) is None, "room again")
		disk.wait_all_filed()


# ---- a disk that fails

PROCESSES, CALLS = ("receive", "deliver"), ("fdatasync", "fsync", "pwrite", "pwritev")
FOR_EVER = 0xFFFFFFFF
FAILURES = 4  # after three in a row a writer rests for ten seconds


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
	need("cc")
	path = tmp_path_factory.mktemp("shim") / "bad_disk.so"
	source = ROOT / "tests" / "bad_disk.c"
	subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", "-o", path, source], check=True)
	path.parent.chmod(0o755)
	return path


class BadDisk:
	"""The page of bad_disk.c: how many next calls of a kind fail in a process."""

	def __init__(self, server, shim):
		path = server.folder / "bad-disk"
		path.write_bytes(bytes(mmap.PAGESIZE))
		with path.open("r+b") as file:
			self.page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
		server.environment = {"LD_PRELOAD": str(shim), "BAD_DISK_PAGE": str(path),
			"ASAN_OPTIONS": "verify_asan_link_order=0"}

	def place(self, process, call):
		return 4 * (PROCESSES.index(process) * len(CALLS) + CALLS.index(call))

	def fail(self, process, call, count):
		struct.pack_into("I", self.page, self.place(process, call), count)

	def fail_nothing(self):
		self.page[:] = bytes(len(self.page))

	def left(self, process, call):
		return struct.unpack_from("I", self.page, self.place(process, call))[0]


@pytest.fixture
def failing(shim):
	with Server(start=False, queue={"retry_first": "1s", "retry_longest": "1s"}) as server:
		disk = BadDisk(server, shim)
		server.start()
		server.add_user(ALICE)
		yield server, disk


def send(server, subject, body=b"x\r\n"):
	with server.smtp() as client:
		client.sendmail("x@far.example", [ALICE], f"Subject: {subject}\r\n\r\n".encode() + body)


def subjects(server):
	return sorted(re.search(rb"^Subject: (\S+)$", mail, re.M).group(1).decode() for mail in server.mails(ALICE))


def send_until_one_fails(server, disk, call, body=b"x\r\n"):
	"""A message that is refused since one call failed; before it, those that the failure did not hit: it was a new segment's.

	Returns the subjects of these others.
	"""
	accepted = []
	for number in range(MESSAGES_MAX):
		disk.fail("receive", call, 1)
		try:
			send(server, f"try-{number}", body)
		except smtplib.SMTPDataError as refusal:
			assert (refusal.smtp_code, disk.left("receive", call)) == (452, 0)
			return accepted
		accepted.append(f"try-{number}")
	raise AssertionError(f"{call} fails, and nobody minds")


@pytest.mark.parametrize("call", ["fdatasync", "pwrite"])
def test_a55_a_failed_sync_or_write_is_4xx_and_never_filed(failing, call):
	"""The next message goes into another segment, whose header tells recovery what to pass over."""
	server, disk = failing
	accepted = send_until_one_fails(server, disk, call)
	send(server, "after")
	crash(server, "all")
	server.wait_ready()
	send(server, "last")
	wait_for(lambda: len(subjects(server)) >= len(accepted) + 2, "all that was promised")
	assert subjects(server) == sorted([*accepted, "after", "last"])


def test_a55_a_body_file_that_cannot_be_synced_is_4xx(failing):
	server, disk = failing
	accepted = send_until_one_fails(server, disk, "fsync", LARGE)
	wait_for(lambda: subjects(server) == accepted, "all that was promised")
	wait_for(lambda: not list((server.folder / "data" / "spool" / "receive" / "body").iterdir()), "no body file")


def test_a55_a_dead_disk_is_refused_and_said_and_its_return_is_noticed(failing):
	server, disk = failing
	disk.fail("receive", "fdatasync", FOR_EVER)
	for _ in range(5):
		with pytest.raises((smtplib.SMTPSenderRefused, smtplib.SMTPDataError)) as refusal:
			send(server, "failed")
		assert refusal.value.smtp_code == 452
	disk.fail("receive", "fdatasync", 0)

	def accepted():
		with contextlib.suppress(smtplib.SMTPSenderRefused, smtplib.SMTPDataError):
			send(server, "again")
			return True
		return False

	wait_for(accepted, "mail to be taken again")
	wait_for(lambda: subjects(server) == ["again"], "the one that was promised")


def test_a55_a_journal_that_fails_is_written_again_elsewhere(failing):
	"""Each outcome is repeated until it is durable: after the next start nothing is filed again."""
	server, disk = failing
	for number in range(FAILURES):
		disk.fail("deliver", "fdatasync", 1)
		send(server, f"number-{number}")
		wait_for(lambda: disk.left("deliver", "fdatasync") == 0, "the failure")
	wait_for(lambda: len(subjects(server)) == FAILURES and not server.json_command("queue", "list"), "all of them")
	wait_for(lambda: disk.left("deliver", "fdatasync") == 0, "the failure")
	server.stop()
	server.start()
	assert subjects(server) == sorted(f"number-{number}" for number in range(FAILURES))


class FailingCrashes(Crashes):
	"""Syncs and writes fail now and then in receive and deliver, while they are killed.

	A journal that failed three times is left alone for ten seconds: what was delivered meanwhile comes again after a death.
	"""

	window_s = 15

	def __init__(self, seed, shim):
		self.shim = shim
		super().__init__(seed)

	def prepare(self):
		self.disk = BadDisk(self.server, self.shim)

	def trouble(self):
		self.disk.fail(self.chance.choice(PROCESSES), self.chance.choice(CALLS), self.chance.choice([1, 2, 4]))

	def calm(self):
		self.disk.fail_nothing()


def test_a55_kill_9_on_a_failing_disk(shim):
	with FailingCrashes(SEED, shim) as crashes:
		crashes.run(200 if LONG else 6, ["receive", "deliver", "all"])
		crashes.finish()
