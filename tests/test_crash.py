"""250 means durable: kill -9 of each process and of all under load, orderly stop, full disk, and the system calls
that prove it. Attack item A55.

Each round is a seed; PACKETBOAT_TEST_SEED repeats one.
"""

import contextlib
import os
import pathlib
import random
import re
import signal
import smtplib
import subprocess
import threading
import time

import pytest

from conftest import need, need_namespace
from harness import LONG, PATIENCE_S, Server, wait_for
from load import Load, Mailbox

ALICE = "alice@example.org"
CHILDREN = ["receive", "deliver", "keeper", "facts"]
SEED = int(os.environ.get("PACKETBOAT_TEST_SEED", "0"))
WINDOW_S = 2  # the journal's 100 ms, on a machine that is slow and busy


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


def wait_gone(pids):
	for pid in pids:
		wait_for(lambda: is_gone(pid), f"the end of {pid}")


def ready(server):
	return server.command("status", check=False).returncode == 0


def crash(server, victim):
	"""Kills, and starts what must be started by hand. Returns the time of death."""
	pids = server.pids()
	when = time.time()
	if victim in CHILDREN:
		kill(pids[victim])
		wait_for(lambda: server.log(event="died", pid=pids[victim]), f"the end of {victim}")
		wait_for(lambda: ready(server), "all processes", 60)
		return when
	if victim == "all":
		for pid in pids.values():
			kill(pid)
	else:
		kill(pids["supervisor"])
	server.process.wait()
	wait_gone([pid for name, pid in pids.items() if name != "supervisor"])
	server.start()
	return when


def check_round(server, mailbox, load, victims, deaths):
	mailbox.wait_for_all(load.promised)
	for name, times in mailbox.duplicates().items():
		assert {"deliver", "supervisor", "all"} & set(victims), f"{name} came twice, but deliver lived"
		assert any(-0.5 <= death - times[0] <= WINDOW_S for death in deaths), f"{name} came again too late: {times} {deaths}"


@pytest.fixture
def server():
	with Server(limits={"connections_per_address": 1000}) as server:
		server.add_user(ALICE)
		yield server


@pytest.mark.parametrize("victim", [*CHILDREN, "supervisor", "all"])
def test_a55_kill_9_under_load(server, victim):
	chance = random.Random(f"{SEED} {victim}")
	mailbox, deaths = Mailbox(server, ALICE), []
	with Load(server, ALICE, seed=SEED) as load:
		for count in (20, 60):
			load.wait_promised(count)
			time.sleep(chance.random() * 0.3)
			deaths.append(crash(server, victim))
			load.wait_promised(len(load.promised) + 10)
	check_round(server, mailbox, load, [victim], deaths)


@pytest.mark.long
@pytest.mark.parametrize("number", range(100 if LONG else 1))
def test_a55_many_rounds(server, number):
	chance = random.Random(f"{SEED} {number}")
	mailbox, deaths, victims = Mailbox(server, ALICE), [], []
	with Load(server, ALICE, threads=chance.choice([1, 4, 16]), seed=SEED * 1000 + number) as load:
		for _ in range(4):
			load.wait_promised(len(load.promised) + chance.randrange(1, 100))
			time.sleep(chance.random() * 0.5)
			victims.append(chance.choice([*CHILDREN, "supervisor", "all"]))
			deaths.append(crash(server, victims[-1]))
	check_round(server, mailbox, load, victims, deaths)


def test_a_stop_in_order_loses_nothing_and_repeats_nothing(server):
	mailbox = Mailbox(server, ALICE)
	with Load(server, ALICE, seed=SEED) as load:
		for count in (30, 90):
			load.wait_promised(count)
			assert server.stop() == 0
			server.start()
	mailbox.wait_for_all(load.promised)
	assert mailbox.duplicates() == {}


def test_what_waits_in_the_queue_survives_a_crash(server):
	"""Mail for nowhere waits over kill -9 and over a stop; its attempts go on being counted."""
	server.config["relay"] = {"networks": ["127.0.0.0/8"]}
	server.write_config()
	server.command("reload")
	with server.smtp() as client:
		for i in range(20):
			client.sendmail(ALICE, [f"x{i}@elsewhere.example"], b"Subject: waits\r\n\r\nx\r\n")
	wait_for(lambda: len(server.json_command("queue", "list")) == 20, "all of it in the queue")
	ids = sorted(entry["id"] for entry in server.json_command("queue", "list"))
	crash(server, "all")
	assert sorted(entry["id"] for entry in server.json_command("queue", "list")) == ids
	server.command("queue", "remove", ids[0])
	assert server.stop() == 0
	server.start()
	assert sorted(entry["id"] for entry in server.json_command("queue", "list")) == ids[1:]


# ---- what the kernel saw

CALL = re.compile(r"^(\d+) (?:<\.\.\. (\w+) resumed>|(\w+)\((\d+)(?:<([^>]*)>)?)(.*)$")


def calls(trace):
	"""(thread, name, path, text, begins, ends, result) in the order in which they happened."""
	open_calls = {}
	for line in trace.splitlines():
		match = CALL.match(line)
		if not match:
			continue
		thread, resumed, name, _, path, text = match.groups()
		result = re.search(r"\) += (-?\d+)", text)
		if resumed:
			if thread in open_calls:
				path, begun = open_calls.pop(thread)
				yield resumed, path, begun, False, True, int(result.group(1)) if result else None
		elif "<unfinished ...>" in text:
			open_calls[thread] = (path, text)
			yield name, path, text, True, False, None
		else:
			yield name, path, text, True, True, int(result.group(1)) if result else None


def follow(trace):
	"""Each queue id that was answered with 250, and the text of all that was durable at that moment."""
	written, durable, syncing = {}, [], {}
	for name, path, text, begins, ends, result in calls(trace):
		in_log = path and "/log/" in path
		if name in ("pwrite64", "pwritev", "write") and in_log and ends and result and result > 0:
			written.setdefault(path, []).append(text)
		elif name in ("fdatasync", "fsync") and in_log:
			if begins:
				syncing[path] = len(written.get(path, []))
			if ends and result == 0:
				count = syncing.pop(path)
				durable += written[path][:count] if path in written else []
				written[path] = written.get(path, [])[count:]
		elif begins and not (path and "/trace/" in path) and (match := re.findall(r"250 2\.0\.0 Queued as (\w+)", text)):
			for queue_id in match:
				yield queue_id, durable


def test_each_250_follows_a_finished_sync_that_covers_it(server, tmp_path):
	need("strace")
	trace_path = tmp_path / "trace"
	command = ["strace", "-f", "-y", "-s", "200000", "-o", str(trace_path), "-e",
		"trace=pwrite64,pwritev,write,fdatasync,fsync,sendto,sendmsg,writev", "-p", str(server.pids()["receive"])]
	tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
	markers = {}
	try:
		line = tracer.stderr.readline()
		if "attached" not in line:
			pytest.skip(f"strace cannot attach here: {line.strip()}")


		def client(number):
			with server.smtp(timeout=60) as connection:
				for i in range(15):
					marker = f"marker-{number}-{i}-"
					connection.ehlo_or_helo_if_needed()
					connection.mail("x@far.example")
					connection.rcpt(ALICE)
					code, text = connection.data(f"Subject: {marker}\r\n\r\n{'y' * 500}\r\n".encode())
					assert code == 250, text
					markers[text.decode().split()[-1]] = marker

		threads = [threading.Thread(target=client, args=(number,)) for number in range(6)]
		for thread in threads:
			thread.start()
		for thread in threads:
			thread.join()
	finally:
		tracer.send_signal(signal.SIGINT)
		tracer.communicate(timeout=PATIENCE_S)
	assert len(markers) == 90
	seen = 0
	for queue_id, durable in follow(trace_path.read_text(errors="replace")):
		assert any(markers[queue_id] in text for text in durable), f"250 for {queue_id} before its sync"
		seen += 1
	assert seen == len(markers)


def test_the_proof_can_fail():
	"""The reader of traces sees a 250 that leaves during its sync, or before it."""
	write = '7 pwrite64(5</spool/log/01-0000>, "marker-1-", 9, 0) = 9\n'
	sync = ["7 fdatasync(5</spool/log/01-0000> <unfinished ...>\n", "7 <... fdatasync resumed>) = 0\n"]
	reply = '8 sendto(9<socket:[1]>, "250 2.0.0 Queued as A1\\r\\n", 24, 0, NULL, 0) = 24\n'
	lists = {name: [list(durable) for _, durable in follow(text)] for name, text in {
		"good": write + sync[0] + sync[1] + reply, "during": write + sync[0] + reply + sync[1], "before": write + reply,
		"failed": write + sync[0] + sync[1].replace("= 0", "= -1 EIO") + reply, "sync-began-first": sync[0] + write + sync[1] + reply,
	}.items()}
	assert len(lists.pop("good")[0]) == 1
	assert lists == {name: [[]] for name in lists}


# ---- a full disk

def test_a_full_disk_is_said_and_survived():
	need_namespace("the spool is on a small file system of its own")
	server = Server(start=False, queue={"segment_size": "4MiB", "disk_reserve": "8MiB"})
	spool = server.folder / "spool"
	spool.mkdir(mode=0o755)
	server.config["spool_dir"] = str(spool)
	server.inside = f"mount --make-rprivate /; mount -t tmpfs -o size=64m,mode=755 none {spool}"
	with server:
		server.start()
		server.add_user(ALICE)
		filler = pathlib.Path(f"/proc/{server.process.pid}/root{spool}/filler")
		promised = []

		def try_one():
			body = f"Subject: full {len(promised)}\r\n\r\n".encode() + (b"y" * 70 + b"\r\n") * 1400
			try:
				with server.smtp() as client:
					client.sendmail("x@far.example", [ALICE], body)
			except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as refusal:
				assert refusal.smtp_code == 452, refusal
				return refusal.smtp_error
			promised.append(body.replace(b"\r\n", b"\n"))
			return None

		assert try_one() is None
		with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
			while True:
				file.write(b"f" * 65536)
		for _ in range(500):
			refusal = try_one()
			if refusal:
				break
		assert refusal and refusal.startswith(b"4.3.1")
		assert ready(server)
		filler.unlink()
		wait_for(lambda: try_one() is None, "room again")
		wait_for(lambda: len(server.mails(ALICE)) == len(promised), "all that was promised")
		mails = server.mails(ALICE)
		assert all(any(mail.endswith(body) for mail in mails) for body in promised)


def test_a_second_server_on_the_same_folder_is_refused(server):
	command = [server.program, "serve", "--config", str(server.config_path)]
	result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
	assert result.returncode != 0
	assert "another server" in result.stderr
	assert ready(server)
