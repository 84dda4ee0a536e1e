"""receive with several threads: all of them serve, limits hold for all of them together, and nothing is lost or comes twice
while configurations change and the process falls. `./dev races` runs the same under ThreadSanitizer.
"""

import contextlib
import os
import signal
import socket
import subprocess

import pytest

from harness import PATIENCE_S, Server, Wire, free_port, wait_for
from load import Ledger, Load

ALICE, BOB = "alice@example.org", "bob@example.org"
THREADS = 4


@pytest.fixture(scope="module")
def server():
	with Server(threads=THREADS, limits={"connections_per_address": 1000}) as server:
		for user in (ALICE, BOB):
			server.add_user(user)
		yield server


def counters(server):
	return server.status()["receive"]


def quiet(server):
	wait_for(lambda: counters(server)["sessions"] == 0, "quiet")


def test_every_thread_serves(server):
	"""A thread is chosen by the kernel: of 60 connections every one of four gets some, but once in ten million runs."""
	before = counters(server)
	assert before["threads"] == THREADS and len(before["connections_by_thread"]) == THREADS
	with contextlib.ExitStack() as open_wires:
		for _ in range(60):
			open_wires.enter_context(Wire(server)).expect("250", "EHLO client.test")
		during = counters(server)
	assert during["sessions"] >= 60
	served = [b - a for a, b in zip(before["connections_by_thread"], during["connections_by_thread"])]
	assert sum(served) == 60 and min(served) > 0
	assert during["connections"] == sum(during["connections_by_thread"])
	quiet(server)


def test_one_port_is_one_line_of_status(server):
	ports = server.status()["ports"]
	assert sorted(port["port"] for port in ports) == sorted(server.ports.values())


def test_mail_with_tls_and_logins_goes_on_over_reloads_and_the_fall_of_receive(server):
	ledger = Ledger(server, ALICE, BOB)
	restarts = {process["name"]: process["restarts"] for process in server.status()["processes"]}
	with Load(server, ledger, (ALICE,), (ALICE, BOB), threads=8, seed=4, sender=ALICE, users=(ALICE, BOB, ALICE, BOB)):
		for i in range(4):
			ledger.wait_promised(ledger.promised + 25)
			server.config["aliases"] = {f"a{i}@example.org": [ALICE]}
			server.write_config()
			server.command("reload")
			server.command("user", "passwd", BOB, input="secret\n")  # a new directory
		ledger.wait_promised(ledger.promised + 25)
		os.kill(server.pids()["receive"], signal.SIGKILL)
		ledger.wait_promised(ledger.promised + 50)
	ledger.wait_for_all()
	assert ledger.repeated() == {}
	wait_for(lambda: server.command("status", check=False).returncode == 0, "all of them again")
	now = {process["name"]: process["restarts"] for process in server.status()["processes"]}
	assert {name for name in now if now[name] != restarts[name]} == {"receive"}
	assert sum(count > 0 for count in counters(server)["connections_by_thread"]) > 1
	assert counters(server)["logins"] > 0 and not server.log(event="keeper_lost")


def test_a26_connections_are_counted_over_all_threads():
	with Server(threads=THREADS, limits={"connections_per_address": 8, "connections": 20}) as server:
		wires = [Wire(server) for _ in range(8)]
		for _ in range(3 * THREADS):
			with Wire(server) as more:
				assert more.greeting.startswith("421 4.7.0")
		sockets, greetings = [], []
		for i in range(16):
			sockets.append(socket.create_connection((server.address, server.ports["relay"]), PATIENCE_S, (f"127.0.1.{1 + i // 4}", 0)))
			greetings.append(sockets[-1].recv(100)[:3])
		assert greetings == [b"220"] * 12 + [b"421"] * 4
		for connection in wires + sockets:
			connection.close()
		quiet(server)
		with Wire(server) as wire:
			assert wire.greeting.startswith("220")


def test_what_clients_do_wrong_is_counted_over_all_threads():
	with Server(threads=THREADS, limits={"unknown_recipients_per_address": 10}) as server:
		codes = []
		for i in range(16):
			with Wire(server) as wire:
				wire.expect("250", "EHLO client.test")
				wire.expect("250", "MAIL FROM:<x@far.example>")
				codes.append(wire.say(f"RCPT TO:<nobody{i}@example.org>")[:3])
		assert codes == ["550"] * 10 + ["450"] * 6
		assert sum(count > 0 for count in counters(server)["connections_by_thread"]) > 1


def test_another_server_on_the_port_is_said_even_one_of_ours(server):
	"""Of one user all may share a port; the second server must not take half of the first one's clients."""
	with Server(start=False, threads=THREADS) as second:
		for index, name in enumerate(("relay", "submissions", "submission", "alternate")):
			second.config["listeners"][index]["port"] = server.ports[name]
		second.write_config()
		result = subprocess.run([second.program, "serve", "--config", str(second.config_path)], capture_output=True, text=True,
			timeout=PATIENCE_S)
		assert result.returncode == 71
		assert f"port {server.ports['relay']}" in result.stderr and "is another mail server running?" in result.stderr


def test_a_port_that_somebody_would_share_is_not_taken():
	server = Server(start=False, threads=THREADS)
	with server, socket.socket() as holder:
		holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
		holder.bind(("127.0.0.1", server.ports["submission"]))
		holder.listen()
		server.write_config()
		result = subprocess.run([server.program, "serve", "--config", str(server.config_path)], capture_output=True, text=True,
			timeout=PATIENCE_S)
		assert result.returncode == 71
		assert f"port {server.ports['submission']}" in result.stderr and "holds it" in result.stderr


def test_the_number_of_threads_takes_a_restart():
	with Server(threads=2) as server:
		server.config["threads"] = 3
		server.ports["extra"] = free_port()
		server.config["listeners"].append({"port": server.ports["extra"], "role": "relay", "address": "127.0.0.1"})
		server.write_config()
		assert "threads has changed: that takes a restart" in server.command("reload").stderr
		assert counters(server)["threads"] == 2
		os.kill(server.pids()["receive"], signal.SIGKILL)
		server.wait_for_log(event="died", child="receive")
		wait_for(lambda: server.command("status", check=False).returncode == 0, "receive again")
		assert counters(server)["threads"] == 2
		for name in ("relay", "extra"):
			with Wire(server, name) as wire:
				wire.expect("250", "EHLO client.test")
		assert server.stop() == 0
		server.start()
		assert counters(server)["threads"] == 3


def test_a_stop_lets_every_thread_finish():
	with Server(threads=THREADS) as server:
		server.add_user(ALICE)
		with contextlib.ExitStack() as open_wires:
			wires = [open_wires.enter_context(Wire(server)) for _ in range(24)]
			for wire in wires:
				wire.begin()
			server.process.terminate()
			for wire in wires:
				wire.send("Subject: at the last moment\r\n\r\nx\r\n.\r\n")
			assert all(wire.reply().startswith("250") for wire in wires)
		assert server.process.wait(PATIENCE_S) == 0
		server.start()
		server.wait_for_mail(ALICE, 24)
		assert len(server.mails(ALICE)) == 24
