"""250 means durable: kill -9 of each process and of all under load, orderly stop, and the system calls that prove it.
Attack item A55. Full and failing disks: test_disk.py.

Each round is a seed; PACKETBOAT_TEST_SEED repeats one.
"""

import pathlib
import re
import signal
import subprocess
import threading
import types

import pytest

from conftest import need
from crashes import VICTIMS, Crashes, crash, is_gone, kill
from harness import LONG, PATIENCE_S, SEED, Server, Wire, wait_for
from inject import Held, why_not
from load import Ledger, Letter, Load, digest

ALICE = "alice@example.org"


def ready(server):
	return server.command("status", check=False).returncode == 0


@pytest.fixture
def server():
	with Server(limits={"connections_per_address": 1000}) as server:
		server.add_user(ALICE)
		yield server


def test_a55_kill_9_under_load():
	"""Of each process, in any order, on one server. `./dev crash` does thousands of rounds."""
	with Crashes(SEED) as crashes:
		crashes.run(500 if LONG else 2 * len(VICTIMS))
		assert {who for who, _ in crashes.deaths} == set(VICTIMS)
		crashes.finish()


@pytest.mark.parametrize("filed, complaint", [([], "1 of 1 lost"), ([b"x\n"], None), ([b"y\n"], "other bytes"),
	([b"x\n", b"x\n"], "repeated")], ids=["lost", "kept", "changed", "repeated"])
def test_the_ledger_can_fail(tmp_path, filed, complaint):
	front = b"Received: from somewhere\n"
	body = b"Subject: load-1\n\n"
	(tmp_path / "new").mkdir()
	for number, end in enumerate(filed):
		(tmp_path / "new" / str(number)).write_bytes(front + body + end)
	ledger = Ledger(types.SimpleNamespace(mailbox=lambda user: tmp_path), ALICE)
	ledger.sent["load-1"] = Letter((ALICE,), len(body) + 2, digest(body + b"x\n"))
	ledger.promise("load-1")
	if complaint in (None, "repeated"):
		ledger.wait_for_all(0)
		assert len(ledger.repeated()) == (complaint is not None)
	else:
		with pytest.raises(AssertionError, match=complaint):
			ledger.wait_for_all(0)


def test_a_stop_in_order_loses_nothing_and_repeats_nothing(server):
	ledger = Ledger(server, ALICE)
	with Load(server, ledger, (ALICE,), seed=SEED):
		for count in (30, 90):
			ledger.wait_promised(count)
			assert server.stop() == 0
			server.start()
	ledger.wait_for_all()
	assert ledger.repeated() == {}


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
	server.wait_ready()
	assert sorted(entry["id"] for entry in server.json_command("queue", "list")) == ids
	server.command("queue", "remove", ids[0])
	assert server.stop() == 0
	server.start()
	assert sorted(entry["id"] for entry in server.json_command("queue", "list")) == ids[1:]


def unread(server, wire):
	"""Bytes that this connection's process has not read yet, as the kernel counts them."""
	ends = f":{server.ports[wire.listener]:04X} ", f":{wire.socket.getsockname()[1]:04X} "
	for line in pathlib.Path("/proc/net/tcp").read_text().splitlines():
		fields = line.split()
		if f"{fields[1]} ".endswith(ends[0]) and f"{fields[2]} ".endswith(ends[1]):
			return int(fields[4].split(":")[1], 16)
	return None


def test_a_child_in_the_middle_of_a_commit_leaves_with_its_supervisor(server):
	"""The committer is held, and the reply waits for it: nothing is promised, nobody stays, and the next life is whole."""
	reason = why_not()
	if reason:
		pytest.skip(reason)
	pids = server.pids()
	with Wire(server) as wire:
		wire.begin(recipient=ALICE)
		with Held(pids["receive"]) as held:
			assert held.threads
			wire.send("Subject: never promised\r\n\r\nx\r\n.\r\n")
			wait_for(lambda: unread(server, wire) == 0, "the end of the message to be read")
			kill(pids["supervisor"])
			server.process.wait()
			assert wire.reply() == ""
		wait_for(lambda: all(is_gone(pid) for pid in pids.values()), "the end of them all")
	server.start()
	with server.smtp() as client:
		client.sendmail("x@far.example", [ALICE], b"Subject: promised\r\n\r\nx\r\n")
	wait_for(lambda: any(b"Subject: promised" in mail for mail in server.mails(ALICE)), "the mail after it")


# ---- what the kernel saw

CALL = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\((\d+)(?:<([^>]*)>)?)(.*)$")


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
	write = '7 pwrite64(5</spool/receive/log/01-0000>, "marker-1-", 9, 0) = 9\n'
	sync = ["7 fdatasync(5</spool/receive/log/01-0000> <unfinished ...>\n", "7 <... fdatasync resumed>) = 0\n"]
	reply = '8 sendto(9<socket:[1]>, "250 2.0.0 Queued as A1\\r\\n", 24, 0, NULL, 0) = 24\n'
	lists = {name: [list(durable) for _, durable in follow(text)] for name, text in {
		"good": write + sync[0] + sync[1] + reply, "during": write + sync[0] + reply + sync[1], "before": write + reply,
		"failed": write + sync[0] + sync[1].replace("= 0", "= -1 EIO") + reply, "sync-began-first": sync[0] + write + sync[1] + reply,
	}.items()}
	assert len(lists.pop("good")[0]) == 1
	assert lists == {name: [[]] for name in lists}


def test_a_second_server_on_the_same_folder_is_refused(server):
	command = [server.program, "serve", "--config", str(server.config_path)]
	result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
	assert result.returncode != 0
	assert "another server" in result.stderr
	assert ready(server)


def test_a_spool_of_before_it_had_two_parts_is_refused_in_words():
	"""There may be mail in it: to begin beside it would be to lose that."""
	with Server(start=False) as server:
		(server.folder / "data" / "spool" / "log").mkdir(parents=True)
		command = [server.program, "serve", "--config", str(server.config_path)]
		server.write_config()
		result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
		assert result.returncode != 0
		assert f"{server.folder}/data/spool is of an earlier version" in result.stderr
		assert [path.name for path in (server.folder / "data" / "spool").iterdir()] == ["log"]
