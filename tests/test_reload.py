"""The running server: reload, restarts, status, stop, and a life without root."""

import contextlib
import json
import os
import pathlib
import pwd
import re
import signal
import smtplib
import socket
import subprocess
import threading
import time

import pytest

from conftest import need_namespace
from harness import PATIENCE_S, Server, Wire, free_port, wait_for
from load import Ledger, Load

ALICE = "alice@example.org"


@pytest.fixture(scope="module")
def server():
	with Server(limits={"connections_per_address": 1000}) as server:
		server.add_user(ALICE)
		yield server


def reload_with(server, **config):
	server.config.update(config)
	server.write_config()
	return server.command("reload")


def deliver(server, recipient, connection=None):
	deliver.number += 1
	body = f"Subject: reload {deliver.number}\r\n\r\nx\r\n".encode()
	client = connection or server.smtp()
	client.sendmail("x@far.example", [recipient], body)
	if not connection:
		client.quit()
	return body.replace(b"\r\n", b"\n")


deliver.number = 0


def wait_mail(server, user, body):
	wait_for(lambda: any(mail.endswith(body) for mail in server.mails(user)), f"mail for {user}")


# ---- reload

def test_no_connection_is_dropped_and_a_session_keeps_its_configuration(server):
	with Wire(server) as wire, Wire(server) as in_body:
		wire.expect("250", "EHLO client.test")
		wire.expect("250", "MAIL FROM:<x@far.example>")
		in_body.begin()
		in_body.send("Subject: over a reload\r\n\r\nfirst half\r\n")
		for size in ("1MiB", "2MiB"):
			reload_with(server, limits={"connections_per_address": 1000, "message_size": size})
		wire.expect("250", f"RCPT TO:<{ALICE}>")
		wire.expect("354", "DATA")
		wire.send("Subject: old session\r\n\r\nx\r\n.\r\n")
		assert wire.reply().startswith("250")
		in_body.send("second half\r\n.\r\n")
		assert in_body.reply().startswith("250")
		assert "SIZE 52428800" in wire.expect("250", "EHLO client.test")
		with Wire(server) as new:
			assert "SIZE 2097152" in new.expect("250", "EHLO client.test")
	wait_mail(server, ALICE, b"first half\nsecond half\n")
	reload_with(server, limits={"connections_per_address": 1000})


def test_a_reload_under_load_refuses_nobody(server):
	ledger = Ledger(server, ALICE)
	with Load(server, ledger, (ALICE,), threads=3, seed=77, large=False):
		for i in range(5):
			ledger.wait_promised(10 * (i + 1))
			reload_with(server, aliases={f"a{i}@example.org": [ALICE]})
	ledger.wait_for_all()
	assert ledger.repeated() == {}
	assert all(process["restarts"] == 0 for process in server.status()["processes"])


def test_a_bad_file_is_refused_and_said(server):
	good = json.dumps(server.config)
	server.write_config(good.replace('"listeners"', '"listners"'))
	result = server.command("reload", check=False)
	assert result.returncode == 78 or result.returncode != 0
	assert "packetboat.yaml:1:" in result.stderr and "did you mean 'listeners'?" in result.stderr
	assert server.log(event="reload_refused")
	check = server.command("check", check=False)
	assert check.returncode == 1 and "did you mean 'listeners'?" in check.stdout + check.stderr
	wait_mail(server, ALICE, deliver(server, ALICE))
	server.write_config(good)
	server.command("reload")


def test_aliases_domains_and_users_take_effect(server):
	with pytest.raises(smtplib.SMTPRecipientsRefused):
		deliver(server, "new@example.org")
	reload_with(server, aliases={"new@example.org": [ALICE]}, domains={"example.org": {"deliver": "maildir"},
		"fresh.example": {"deliver": "maildir"}})
	wait_mail(server, ALICE, deliver(server, "new@example.org"))
	with pytest.raises(smtplib.SMTPRecipientsRefused):
		deliver(server, "carol@fresh.example")
	connection = server.smtp()  # the directory is no session's own: a new user counts at once
	connection.ehlo_or_helo_if_needed()
	server.add_user("carol@fresh.example")
	wait_for(lambda: connection.docmd("RSET")[0] == 250 and connection.mail("x@far.example")[0] == 250
		and connection.rcpt("carol@fresh.example")[0] == 250, "the new user")
	connection.quit()
	wait_mail(server, "carol@fresh.example", deliver(server, "carol@fresh.example"))
	assert "carol@fresh.example" in server.command("user", "list").stdout
	server.command("user", "remove", "carol@fresh.example")
	wait_for(lambda: refused(server, "carol@fresh.example"), "the end of the user")


def refused(server, recipient):
	with server.smtp() as client:
		client.ehlo_or_helo_if_needed()
		client.mail("x@far.example")
		return client.rcpt(recipient)[0] == 550


def test_a_new_password_counts_at_once(server):
	server.add_user("dora@example.org", "old password")
	server.smtp("submissions", "dora@example.org", "old password").quit()
	server.command("user", "passwd", "dora@example.org", input="new password\n")
	with pytest.raises(smtplib.SMTPAuthenticationError):
		server.smtp("submissions", "dora@example.org", "old password")
	server.smtp("submissions", "dora@example.org", "new password").quit()
	result = server.command("user", "add", "dora@example.org", input="x\n", check=False)
	assert result.returncode != 0


def test_listeners_come_and_go(server):
	extra = free_port()
	listeners = list(server.config["listeners"])
	server.ports["extra"] = extra
	reload_with(server, listeners=[*listeners, {"port": extra, "role": "relay", "address": "127.0.0.1"}])
	with Wire(server, "extra") as wire:
		assert wire.greeting.startswith("220")
		reload_with(server, listeners=listeners)
		wire.expect("250", "EHLO client.test")
	with pytest.raises(ConnectionError):
		Wire(server, "extra").expect("250", "EHLO client.test")
	wait_mail(server, ALICE, deliver(server, ALICE))


def test_sighup_reloads_and_the_log_file_is_opened_again(server):
	moved = server.log_path.with_suffix(".1")
	server.log_path.rename(moved)
	server.process.send_signal(signal.SIGHUP)
	server.wait_for_log(event="reloaded")
	wait_mail(server, ALICE, deliver(server, ALICE))
	server.wait_for_log(event="received")


def test_a_port_that_is_taken_is_said(server):

	with socket.socket() as taken:
		taken.bind(("127.0.0.1", 0))
		taken.listen()
		listeners = [*server.config["listeners"], {"port": taken.getsockname()[1], "role": "relay", "address": "127.0.0.1"}]
		good = server.config["listeners"]
		server.config["listeners"] = listeners
		server.write_config()
		result = server.command("reload", check=False)
		assert result.returncode != 0
		assert "is another mail server running?" in result.stderr
		server.config["listeners"] = good
		server.write_config()
		server.command("reload")


HOLDER = """
import ctypes, socket, sys
ctypes.CDLL(None).prctl(15, sys.argv[2].encode(), 0, 0, 0)  # PR_SET_NAME
held = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holding(port, name):
	"""A process of this name that listens on the port, until its input is closed."""
	command = ["/usr/bin/python3", "-c", HOLDER, str(port), name]
	with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
		assert holder.stdout.readline() == "held\n"
		yield holder


def test_a_start_says_who_holds_its_port():
	server = Server(start=False)
	with server, holding(server.ports["submissions"], "otherd") as holder:
		server.write_config()
		result = subprocess.run([server.program, "serve", "--config", str(server.config_path)], capture_output=True, text=True,
			timeout=PATIENCE_S)
		assert result.returncode == 71
		assert f"port {server.ports['submissions']}" in result.stderr
		assert f"process {holder.pid} (otherd) holds it" in result.stderr and "another port" in result.stderr


def test_a_start_waits_for_what_a_killed_server_still_holds():
	"""The children of a server that was killed leave at once, but not in no time. Its ports are bound one after the other, so
	that the first says when the second is being tried."""
	server = Server(start=False)
	with server, holding(server.ports["submissions"], "packetboat: old") as holder:

		def let_go_when_tried():
			wait_for(lambda: is_open(server.ports["relay"]), "the first port")
			time.sleep(0.2)
			holder.stdin.close()

		thread = threading.Thread(target=let_go_when_tried)
		thread.start()
		server.start()
		thread.join()


def is_open(port):
	with socket.socket() as probe:
		return probe.connect_ex(("127.0.0.1", port)) == 0


# ---- processes

@pytest.mark.parametrize("name", ["receive", "deliver", "keeper", "facts"])
def test_a_dead_process_is_started_again(server, name):
	before = {process["name"]: process for process in server.status()["processes"]}
	os.kill(before[name]["pid"], signal.SIGKILL)

	def again():
		result = server.command("status", "--json", check=False)
		if result.returncode != 0:
			return False
		now = {process["name"]: process for process in json.loads(result.stdout)["processes"]}
		return now[name]["pid"] not in (0, before[name]["pid"]) and now[name]["restarts"] == before[name]["restarts"] + 1

	wait_for(again, f"{name} again")
	others = {process["name"]: process["pid"] for process in server.status()["processes"]}
	assert all(others[other] == before[other]["pid"] for other in others if other != name)
	wait_mail(server, ALICE, deliver(server, ALICE))
	server.smtp("submissions", ALICE).quit()
	assert server.log(event="died", child=name)


def processes(server):
	"""By name, or nothing where status is not to be had."""
	result = server.command("status", "--json", check=False, timeout=60)
	return {process["name"]: process for process in json.loads(result.stdout)["processes"]} if result.stdout else {}


def test_a_process_that_hangs_is_ended_and_started_again():
	with Server(limits={"process_silence": "6s"}) as server:
		server.add_user(ALICE)
		before = server.pids()
		os.kill(before["deliver"], signal.SIGSTOP)
		server.wait_for_log(event="hangs", child="deliver", pid=before["deliver"])
		server.wait_for_log(event="died", child="deliver", pid=before["deliver"])
		wait_for(lambda: processes(server).get("deliver", {}).get("state") == "ready", "deliver again")
		now = server.pids()
		assert {name for name in now if now[name] != before[name]} == {"deliver"}
		for name in ("receive", "deliver", "keeper", "facts"):
			os.kill(now[name], signal.SIGSTOP)
		for name in ("receive", "deliver", "keeper", "facts"):
			server.wait_for_log(event="hangs", child=name, pid=now[name])
			server.wait_for_log(event="died", child=name, pid=now[name])
		wait_for(lambda: server.command("status", check=False).returncode == 0, "all of them again")
		assert {name: process["hangs"] for name, process in processes(server).items()} == {
			"receive": 1, "deliver": 2, "keeper": 1, "facts": 1}
		wait_mail(server, ALICE, deliver(server, ALICE))


def test_reloads_do_not_pile_up_before_a_slow_process():
	"""deliver takes nothing while 200 configurations come: the first is in hand, the last one is due, the rest are gone."""
	with Server(limits={"process_silence": "1h"}) as server:
		server.add_user(ALICE)
		pids = server.pids()

		def descriptors():
			return len(os.listdir(f"/proc/{pids['supervisor']}/fd"))

		def reload_once(number):
			server.process.send_signal(signal.SIGHUP)
			wait_for(lambda: len(server.log(event="reloaded")) > number, "a reload")

		reload_once(0)
		before = descriptors()
		os.kill(pids["deliver"], signal.SIGSTOP)
		for number in range(1, 200):
			reload_once(number)
		server.config["queue"] = {"hold": True}
		server.write_config()
		reload_once(200)
		assert descriptors() <= before + 8
		os.kill(pids["deliver"], signal.SIGCONT)
		server.command("reload")  # answers once everybody uses it
		deliver(server, ALICE)
		wait_for(lambda: len(server.json_command("queue", "list")) == 1, "the mail in the queue")
		assert server.mails(ALICE) == []
		assert server.pids() == pids and not server.log(event="handover_failed")


def test_restarts_back_off():
	with Server() as server:
		pauses = []
		for _ in range(5):
			pid = server.pids()["facts"]
			begun = time.monotonic()
			os.kill(pid, signal.SIGKILL)

			def again():
				result = server.command("status", "--json", check=False)
				if not result.stdout:
					return False
				facts = [p for p in json.loads(result.stdout)["processes"] if p["name"] == "facts"][0]
				return facts["pid"] not in (0, pid) and facts["state"] == "ready"

			wait_for(again, "facts again")
			pauses.append(time.monotonic() - begun)
		assert pauses[4] > 1.5  # 100 ms doubled four times
		assert pauses[0] < pauses[4]


def test_status_is_a_health_check(server):
	text = server.command("status").stdout
	for word in ("receive", "deliver", "facts", "keeper"):
		assert word in text
	status = server.status()
	assert status["state"] == "ready"
	assert status["hostname"] == "mail.test"
	assert {port["port"] for port in status["ports"]} >= set(server.ports.values()) - {server.ports.get("extra")}
	assert status["separate_users"] == (os.geteuid() == 0)
	for process in status["processes"]:
		assert process["state"] == "ready" and isinstance(process["warnings"], list), process


def test_status_of_a_stopped_server_fails():
	with Server() as server:
		assert server.command("stop").returncode == 0
		server.process.wait(PATIENCE_S)
		assert server.process.returncode == 0
		result = server.command("status", check=False)
		assert result.returncode != 0
		assert result.stderr
		# Accounts can be changed all the same, and count after the start.
		server.command("user", "add", ALICE, input="secret\n")
		server.start()
		server.smtp("submissions", ALICE).quit()


def test_a_stop_lets_a_message_finish():
	with Server() as server:
		server.add_user(ALICE)
		with Wire(server) as wire, Wire(server) as idle:
			wire.begin()
			wire.send("Subject: at the last moment\r\n\r\n")
			server.process.send_signal(signal.SIGTERM)
			assert idle.rest()[-1].startswith("421 4.3.2")
			wire.send("x\r\n.\r\n")
			assert wire.reply().startswith("250")
			assert wire.reply()[:3] in ("421", "")
		server.process.wait(60)
		assert server.process.returncode == 0
		server.start()
		server.wait_for_mail(ALICE)


def test_children_leave_with_their_supervisor():
	with Server() as server:
		pids = server.pids()
		server.process.kill()
		server.process.wait()
		for name, pid in pids.items():
			wait_for(lambda: not pathlib.Path(f"/proc/{pid}/exe").exists(), f"the end of {name}")


# ---- in a container

def test_it_is_the_first_process_of_a_container():
	"""As PID 1, on a read-only root but for its data, on unprivileged ports."""
	need_namespace("a process tree and a file system of its own")
	server = Server(start=False)
	with server:
		data = server.folder / "data"
		data.mkdir(mode=0o755)
		server.log_path.touch()
		server.inside = f"""mount --make-rprivate /
			mount --bind {data} {data}
			mount -t proc none /proc
			mount --bind {server.log_path} {server.log_path}
			mount -o remount,ro,bind /"""
		server.namespaces = ["-m", "--pid", "--fork", "--kill-child"]
		server.start()
		first = pathlib.Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()[0]
		status = pathlib.Path(f"/proc/{first}/status").read_text()
		assert re.search(r"^NSpid:\t\d+\t1$", status, re.M), status
		server.add_user(ALICE)
		server.smtp("submissions", ALICE).quit()
		wait_mail(server, ALICE, deliver(server, ALICE))
		# What lost its parent in there becomes a child of the first process, which must reap it.
		enter = ["nsenter", "-t", first, "-p", "-m"]
		orphan = subprocess.run([*enter, "sh", "-c", "sh -c 'echo $$; exec >/dev/null; kill -STOP $$' & exit 0"],
			stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S)
		number = orphan.stdout.strip()
		subprocess.run([*enter, "sh", "-c", f"kill -KILL {number}"], check=True)
		wait_for(lambda: subprocess.run([*enter, "test", "-e", f"/proc/{number}"]).returncode != 0, "the end of the orphan")
		assert server.command("stop").returncode == 0
		assert server.process.wait(PATIENCE_S) == 0


# ---- without root

def test_a_life_without_root():
	if os.geteuid() != 0:
		pytest.skip("the other tests run without root already")
	nobody = pwd.getpwnam("nobody")
	server = Server(start=False)
	with server:
		server.run_as(nobody)
		server.start()
		status = server.status()
		assert status["separate_users"] is False
		said = server.command("status").stdout + str(status["warnings"])
		assert re.search(r"root|one (uid|user)", said), said
		for pid in server.pids().values():
			uid = re.search(r"Uid:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)
			assert int(uid) == nobody.pw_uid
			assert "Seccomp:\t2" in pathlib.Path(f"/proc/{pid}/status").read_text()
		server.add_user(ALICE)
		wait_mail(server, ALICE, deliver(server, ALICE))
		server.smtp("submissions", ALICE).quit()
