"""Attack items over the wire, each test named after its item. Smuggling first: nothing of it may arrive."""

import os
import pathlib
import re
import socket
import stat
import subprocess
import time

import pytest

from harness import PATIENCE_S, Server, Wire, trusting_context, wait_for

ALICE = "alice@example.org"


@pytest.fixture(scope="module")
def server():
	with Server(limits={"connections_per_address": 1000, "errors": 100}) as server:
		server.add_user(ALICE, "a secret password")
		yield server


def mark(server):
	"""A later message that must arrive: what was sent before it has arrived too, or never will."""
	mark.number += 1
	with server.smtp() as client:
		client.sendmail("mark@far.example", [ALICE], f"Subject: mark {mark.number}\r\n\r\nx\r\n".encode())
	wanted = f"Subject: mark {mark.number}\n".encode()
	wait_for(lambda: any(wanted in mail for mail in server.mails(ALICE)), "the mark")


mark.number = 0


# ---- smuggling

SMUGGLED = b"MAIL FROM:<admin@example.org>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n"
ENDS = {
	"LF.LF": b"\n.\n", "LF.CRLF": b"\n.\r\n", "CRLF.LF": b"\r\n.\n", "CR.CR": b"\r.\r", "CRLF.CR": b"\r\n.\r",
	"LF.CR_LF": b"\n.\r \n", "CR.LF": b"\r.\n", "CR.CRLF": b"\r.\r\n", "LF.CR": b"\n.\r", "CRCRLF.CRLF": b"\r\r\n.\r\n",
	"CRLF.CRCRLF": b"\r\n.\r\r\n", "CRLF.NUL.CRLF": b"\r\n\0.\r\n", "CRLF.NUL": b"\r\n.\0\r\n", "NUL.LF": b"\r\n\0.\0\n",
	"LFLF.": b"\n\n.\n\n", "x85": b"\x85.\x85", "u2028": "\u2028.\u2028".encode(), "VT": b"\v.\v", "FF": b"\f.\f",
	"CRLF_space": b"\r\n.\r\n"[:-2] + b" \r\n", "CRLF.LFCR": b"\r\n.\n\r", "bare-CR": b"a\rb", "bare-LF": b"a\nb",
}
HARMLESS = {"CRLF.NUL.CRLF", "CRLF.NUL", "x85", "u2028", "VT", "FF", "CRLF_space"}  # no line end of anybody's


@pytest.mark.parametrize("whole", [True, False], ids=["one-write", "byte-by-byte"])
@pytest.mark.parametrize("name", ENDS)
def test_a1_only_crlf_dot_crlf_ends_data(server, name, whole):
	with Wire(server) as wire:
		wire.begin("attacker@far.example")
		data = b"Subject: outer\r\n\r\nouter" + ENDS[name] + SMUGGLED
		if whole:
			wire.send(data)
		else:
			wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
			for byte in data:
				try:
					wire.send(bytes([byte]))
				except ConnectionError:
					break  # closed already
		reply = wire.reply()
		if name in HARMLESS:
			assert reply.startswith("250"), reply
			wire.expect("221", "QUIT")
		else:
			assert reply.startswith("550 5.5.2 Bare") or reply == "" and not whole, reply
			assert wire.rest() == []
			events = server.wait_for_log(event="closed", helo="client.test")
			assert "bare" in events[-1]["reason"]


def test_a1_nothing_smuggled_arrived(server):
	mark(server)
	for mail in server.mails(ALICE):
		assert b"\nSubject: smuggled\n" not in mail.split(b"\n\n")[0]
		assert not mail.startswith(b"Return-Path: <admin@example.org>")


def test_a1_a_bare_end_in_a_refused_body_ends_nothing(server):
	"""While a body too big is thrown away, the same rules hold."""
	with Wire(server) as wire:
		wire.begin()
		try:
			for _ in range(52):
				wire.send((b"x" * 1022 + b"\r\n") * 1024)
			wire.send(b"y\n.\n" + SMUGGLED)
		except ConnectionError:
			pass
		assert wire.reply()[:3] in ("550", "552", "")
	mark(server)


def test_a1_commands_with_bare_ends_are_refused(server):
	for data in (b"NOOP\nNOOP\r\n", b"NOOP\rNOOP\r\n", b"EHLO x\n", b"MAIL FROM:<a@far.example>\nRCPT TO:<alice@example.org>\r\n"):
		with Wire(server) as wire:
			wire.expect("250", "EHLO client.test")
			wire.send(data)
			assert [reply[:9] for reply in wire.rest()] == ["500 5.5.2"]


def test_a3_a_trusted_network_gets_the_same_parser():
	with Server(relay={"networks": ["127.0.0.0/8"]}) as server:
		server.add_user(ALICE)
		for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r"):
			with Wire(server) as wire:
				wire.begin()
				wire.send(b"Subject: outer\r\n\r\nouter" + end + SMUGGLED)
				assert wire.reply().startswith("550")
				assert wire.rest() == []
		with server.smtp("submissions", ALICE) as client:
			client.ehlo_or_helo_if_needed()
			client.mail(ALICE)
			client.rcpt(ALICE)
			client.docmd("DATA")
			client.send(f"From: {ALICE}\r\n\r\nouter\n.\n".encode())
			assert client.getreply()[0] == 550
		mark(server)
		assert len(server.mails(ALICE)) == 1


def test_a5_nothing_is_left_of_a_refused_message(server):
	loop = b"Received: by x\r\n" * 101 + b"\r\nx\r\n.\r\n"
	with Wire(server) as wire:
		wire.begin()
		wire.send(loop)
		assert wire.reply().startswith("554 5.4.6")
		wire.expect("503", "DATA")
		wire.expect("503", f"RCPT TO:<{ALICE}>")
		wire.expect("250", "MAIL FROM:<second@far.example>")
		wire.expect("503", "DATA")
		wire.expect("252", "VRFY größe")
		wire.expect("503", "MAIL FROM:<third@far.example>")
		wire.expect("250", f"RCPT TO:<{ALICE}>")
		wire.expect("250", "EHLO again.test")
		wire.expect("503", "DATA")
		wire.expect("503", f"RCPT TO:<{ALICE}>")


def test_a5_any_order_of_commands_is_survived(server):
	"""Every pair and triple of commands, pipelined one by one; the server answers each and lives on."""
	commands = ["EHLO c.test", "MAIL FROM:<a@far.example>", f"RCPT TO:<{ALICE}>", "RCPT TO:<no@example.org>", "DATA", "RSET",
		"VRFY x", "NOOP", "HELO c", "AUTH PLAIN", "MAIL FROM:<a b@far.example>", "BDAT 5 LAST"]
	for first in commands:
		for second in commands:
			with Wire(server) as wire:
				for command in ("EHLO c.test", first, second, "RSET"):
					reply = wire.say(command)
					if reply.startswith("354"):
						reply = wire.say("x\r\n.")
					assert reply[:1] in "245" and reply[:3].isdigit(), (first, second, command, reply)
				wire.expect("221", "QUIT")
	mark(server)


# ---- speaking out of turn, foreign protocols

@pytest.mark.parametrize("request_line", ["GET / HTTP/1.1", "POST /x HTTP/1.1", "HEAD / HTTP/1.0", "CONNECT a:25 HTTP/1.1",
	"OPTIONS * HTTP/1.1", "PUT / HTTP/1.1", "SSH-2.0-OpenSSH_9", "PRI * HTTP/2.0", "get / http/1.0"])
def test_a7_other_protocols_are_shown_the_door(server, request_line):
	with Wire(server) as wire:
		wire.send(f"{request_line}\r\nHost: mail\r\n\r\nEHLO x\r\nMAIL FROM:<a@far.example>\r\nRCPT TO:<{ALICE}>\r\n")
		assert [reply[:3] for reply in wire.rest()] == ["554"]


def test_a7_a_tls_hello_on_a_plain_port_is_closed(server):
	with Wire(server) as wire:
		wire.send(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03")
		assert [reply[:3] for reply in wire.rest()] == ["554"]


def test_a7_early_talkers_on_the_tls_port(server):
	"""What is sent with the handshake's last flight is there before the banner."""
	with socket.create_connection((server.address, server.ports["submissions"]), PATIENCE_S) as plain:
		tls = trusting_context().wrap_socket(plain, server_hostname="mail.test", do_handshake_on_connect=False)
		tls.do_handshake()
		with tls:
			assert tls.recv(1000).startswith(b"220")


@pytest.mark.parametrize("group", ["EHLO c.test\r\nMAIL FROM:<a@far.example>\r\n", "HELO c.test\r\nNOOP\r\n"])
def test_a7_commands_behind_ehlo_are_out_of_step(server, group):
	with Wire(server) as wire:
		wire.send(group)
		assert [reply[:3] for reply in wire.rest()][-1:] == ["554"]


def test_a7_data_must_be_waited_for(server):
	with Wire(server) as wire:
		wire.expect("250", "EHLO c.test")
		wire.send(f"MAIL FROM:<a@far.example>\r\nRCPT TO:<{ALICE}>\r\nDATA\r\nSubject: early\r\n\r\nx\r\n.\r\n")
		assert [reply[:3] for reply in wire.rest()] == ["250", "250", "554"]
	mark(server)
	assert not any(b"Subject: early" in mail for mail in server.mails(ALICE))


def test_a7_errors_are_counted():
	with Server(limits={"errors": 3}) as server, Wire(server) as wire:
		wire.send("NONSENSE\r\n" * 50)
		assert [reply[:3] for reply in wire.rest()] == ["500", "500", "500", "500", "421"]


def test_a7_commands_are_counted():
	with Server(limits={"commands": 20}) as server, Wire(server) as wire:
		wire.send("NOOP\r\n" * 50)
		assert [reply[:3] for reply in wire.rest()] == ["250"] * 20 + ["250", "421"]


# ---- long lines

def memory_kib(pid):
	return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))


def test_a10_a_line_without_end_is_capped(server):
	pid = server.pids()["receive"]
	before = memory_kib(pid)
	with Wire(server) as wire:
		sent = 0
		try:
			while sent < 64 * 1024 * 1024:
				wire.send(b"x" * 65536)
				sent += 65536
		except (ConnectionError, socket.timeout):
			pass
		assert sent < 16 * 1024 * 1024
	with Wire(server) as wire:
		wire.send(b"x" * 100000)
		assert [reply[:3] for reply in wire.rest()] == ["500", "421"]
	assert memory_kib(pid) - before < 32 * 1024


def test_a10_a_long_line_is_refused_and_the_session_goes_on(server):
	with Wire(server) as wire:
		wire.expect("250", "EHLO client.test")
		wire.expect("500 5.5.6", "NOOP " + "x" * 3000)
		wire.expect("250", "NOOP " + "x" * 500)
		wire.expect("500 5.5.6", "MAIL FROM:<" + "x" * 3000 + "@far.example>")
		wire.expect("250", "MAIL FROM:<a@far.example>")


def test_a10_long_header_lines_and_blocks(server):
	with Wire(server) as wire:
		wire.begin()
		wire.send(b"Subject: " + b"x" * 900 + b"\r\n\r\nx\r\n.\r\n")
		assert wire.reply().startswith("250")
		wire.begin()
		wire.send(b"".join(b"X-%d: y\r\n" % i for i in range(20000)) + b"\r\nx\r\n.\r\n")
		assert wire.reply().startswith("554 5.6.0")
		wire.begin()
		wire.send(b"X-Long: " + b"y" * 3_000_000 + b"\r\n\r\nx\r\n.\r\n")
		assert wire.reply().startswith("554 5.6.0")


# ---- the log

def test_a24_the_log_keeps_its_lines(server):
	nasty = ["\x1b]0;owned\x07", "\x1b[2J", "evil\u202egnp", "\"},{\"event\":\"forged\"", "a\\nevent=forged", "%s%n%x", "\u0085x"]
	for text in nasty:
		with Wire(server) as wire:
			wire.say(f"EHLO {text}")
			wire.say("EHLO client.test")
			wire.say(f"MAIL FROM:<\"{text}\"@far.example> SMTPUTF8")
			wire.say(f"RCPT TO:<\"{text}\"@elsewhere.example>")
			wire.say(f"RCPT TO:<x@{text}.example>")
			wire.say("RSET")
			wire.say(b"NOOP \x1b[31m\xff\xfe")
			wire.say("QUIT")
	mark(server)
	raw = server.log_path.read_bytes()
	assert re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", raw) is None
	raw.decode("ascii" if raw.isascii() else "utf-8")
	for bad in ("\u202e", "\u0085"):
		assert bad.encode() not in raw
	assert server.log(event="forged") == []
	assert max(map(len, raw.splitlines())) < 8192


def test_a24_the_text_log_keeps_its_lines(tmp_path):
	with Server(log={"to": str(tmp_path / "log"), "format": "text"}, start=False) as server:
		tmp_path.chmod(0o777)
		server.log_path = tmp_path / "log"
		server.start()
		with Wire(server) as wire:
			wire.expect("250", "EHLO client.test")
			wire.expect("250", "MAIL FROM:<\"x y=z event=forged\"@far.example>")
			wire.say("RCPT TO:<\"x\\\" to=<forged>\"@elsewhere.example>")
			wire.expect("221", "QUIT")
		lines = wait_for(lambda: [line for line in server.log_path.read_text().splitlines() if "refused" in line], "the line")
		assert re.search(r"(^| )event=forged", re.sub(r'"(\\.|[^"\\])*"', '""', lines[0])) is None
		assert re.search(r" to=<forged>", re.sub(r'"(\\.|[^"\\])*"', '""', lines[0])) is None


# ---- slow and greedy clients

@pytest.fixture(scope="module")
def strict():
	with Server(limits={"idle_time": "1s", "command_time": "2s", "tls_time": "1s", "data_grace": "1s", "data_rate": "100KiB",
			"data_stall": "2s", "connections_per_address": 8, "connections": 20, "unread_output": "4KiB",
			"commands": 1000000, "errors": 10000}) as server:
		server.add_user(ALICE)
		yield server


def test_a25_silence_is_ended(strict):
	with Wire(strict) as wire:
		assert [reply[:9] for reply in wire.rest()] == ["421 4.4.2"]
	with Wire(strict) as wire:
		wire.begin()
		assert [reply[:9] for reply in wire.rest()] == ["421 4.4.2"]


def drip(wire, chunk, pause_s=0.1):
	"""Sends a little at a time until the server has had enough; what it said at the end."""
	wire.socket.settimeout(pause_s)
	deadline = time.monotonic() + PATIENCE_S
	said = b""
	while time.monotonic() < deadline:
		try:
			wire.socket.sendall(chunk)
			data = wire.socket.recv(1000)
			if not data:
				return said
			said += data
		except socket.timeout:
			continue
		except ConnectionError:
			return said
	pytest.fail("a slow client was never sent away")


def test_a25_a_slow_command_is_ended(strict):
	with Wire(strict) as wire:
		assert drip(wire, b"N").startswith(b"421")


def test_a25_a_slow_body_is_ended(strict):
	with Wire(strict) as wire:
		wire.begin()
		assert drip(wire, b"slow\r\n").startswith(b"421")


def test_a25_unread_replies_are_not_kept(strict):
	pid = strict.pids()["receive"]
	before = memory_kib(pid)
	with socket.socket() as plain:
		plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
		plain.settimeout(5)
		plain.connect((strict.address, strict.ports["relay"]))
		sent = 0
		try:
			while sent < 64 * 1024 * 1024:
				sent += plain.send(b"HELP\r\n" * 1000)
		except (socket.timeout, ConnectionError):
			pass
		assert sent < 64 * 1024 * 1024
		assert memory_kib(pid) - before < 48 * 1024  # a sanitizer keeps what was freed for a while
	wait_for(lambda: strict.log(event="closed", reason="replies unread") or strict.log(event="closed"), "the end of it")


def test_a25_slow_peers_harm_nobody_else(strict):
	slow = [Wire(strict) for _ in range(5)]
	try:
		begun = time.monotonic()
		mark(strict)
		assert time.monotonic() - begun < 10
	finally:
		for wire in slow:
			wire.close()


def test_a26_connections_are_counted_by_address(strict):
	wait_for(lambda: strict.status()["receive"]["sessions"] == 0, "quiet")
	wires = [Wire(strict) for _ in range(8)]
	try:
		assert all(wire.greeting.startswith("220") for wire in wires)
		with Wire(strict) as ninth:
			assert ninth.greeting.startswith("421 4.7.0")
			assert ninth.rest() == []
		other = socket.create_connection((strict.address, strict.ports["relay"]), PATIENCE_S, ("127.0.0.7", 0))
		with other:
			assert other.recv(100).startswith(b"220")
		wires.pop().close()

		def admitted():
			with Wire(strict) as wire:
				return wire.greeting.startswith("220")

		wait_for(admitted, "a freed place")
	finally:
		for wire in wires:
			wire.close()


def test_a26_connections_are_counted_in_all(strict):
	wait_for(lambda: strict.status()["receive"]["sessions"] == 0, "quiet")
	sockets, greetings = [], []
	try:
		for i in range(24):
			source = (f"127.0.1.{1 + i // 4}", 0)
			sockets.append(socket.create_connection((strict.address, strict.ports["relay"]), PATIENCE_S, source))
			greetings.append(sockets[-1].recv(100)[:3])
		assert greetings == [b"220"] * 20 + [b"421"] * 4
	finally:
		for connection in sockets:
			connection.close()
	wait_for(lambda: strict.status()["receive"]["sessions"] == 0, "quiet")
	mark(strict)


# ---- loops

def test_a28_too_many_hops(server):
	for count, code in ((99, "250"), (100, "250"), (101, "554 5.4.6")):
		with Wire(server) as wire:
			wire.begin()
			wire.send(b"Received: from a by b; x\r\n" * count + b"\r\nx\r\n.\r\n")
			assert wire.reply().startswith(code), count


def test_a28_too_many_hops_in_a_large_body(server):
	with Wire(server) as wire:
		wire.begin()
		wire.send(b"Received: from a by b; x\r\n" * 101 + b"\r\n" + b"y" * 70 + b"\r\n")
		wire.send((b"z" * 76 + b"\r\n") * 10000 + b".\r\n")
		assert wire.reply().startswith("554 5.4.6")


def test_a28_an_alias_circle_is_refused_by_check():
	with Server(start=False, aliases={"a@example.org": ["b@example.org"], "b@example.org": ["a@example.org"]}) as server:
		server.write_config()
		result = server.command("check", check=False)
		assert result.returncode == 1
		assert "leads back to itself" in result.stderr + result.stdout


def test_a28_our_own_mx_is_no_way():
	"""A domain whose MX is this server, by name or by address, but which is not ours: 5.4.6, no connection."""
	from names import Names
	with Names() as names:
		names.mx("byname.example", "mail.test", "127.0.0.9")
		names.mx("byaddress.example", "mx.byaddress.example", "127.0.0.1")
		names.mx("zero.example", "mx.zero.example", "0.0.0.0")
		with Server(dns=names.config(), relay={"networks": ["127.0.0.0/8"]}, outbound={"allow_private_addresses": True,
				"port": 25}) as server:
			server.config["outbound"]["port"] = server.ports["relay"]
			server.write_config()
			server.command("reload")
			server.add_user(ALICE)
			with server.smtp() as client:
				for domain in ("byname.example", "byaddress.example", "zero.example"):
					client.sendmail(ALICE, [f"x@{domain}"], b"Subject: loop\r\n\r\nx\r\n")
			bounces = server.wait_for_mail(ALICE, 2)
			text = "".join(bounce.as_string() for bounce in bounces)
			assert "5.4.6" in text and "byname.example" in text


# ---- secrets

def test_a36_and_a33_the_password_is_asked_by_no_plain_port(server):
	for listener in ("relay", "submission", "alternate"):
		with Wire(server, listener) as wire:
			assert "AUTH" not in wire.expect("250", "EHLO client.test").upper().replace("AUTHENT", "")


def test_a54_files_and_logs(server):
	"""Queue, keys and accounts are for the server alone; no password in any log."""
	password = "a secret password"
	with server.smtp("submissions", ALICE, password) as client:
		client.sendmail(ALICE, [ALICE], f"From: {ALICE}\r\n\r\nvery private words\r\n")
	with server.smtp("submissions") as client:
		client.ehlo("client.test")
		client.docmd("AUTH", "PLAIN AGFsaWNlQGV4YW1wbGUub3JnAGEgd3JvbmcgcGFzc3dvcmQ=")
	mark(server)
	data = server.folder / "data"
	for root, folders, files in os.walk(data):
		for name in folders + files:
			path = pathlib.Path(root, name)
			mode = stat.S_IMODE(path.lstat().st_mode)
			public = mode & 0o007
			if path in (data / "run", data / "tls") or path.parent == data and public == 1:
				assert public & 0o6 == 0, f"{path} {mode:o}"
			elif path.name == "certificate.pem":
				assert public == 0o4
			elif stat.S_ISSOCK(path.lstat().st_mode):
				assert public == 0, f"{path} {mode:o}"
			else:
				assert public == 0, f"{path} {mode:o}"
	assert (data / "keeper").stat().st_mode & 0o777 == 0o700
	assert (data / "tls" / "key.pem").stat().st_mode & 0o777 == 0o600
	said = server.log_path.read_text() + (server.folder / "stderr").read_text()
	for secret in (password, "a wrong password", "AGFsaWNl", "very private words"):
		assert secret not in said
	stored = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file() and "keeper" in str(path))
	assert password.encode() not in stored
	assert b"$y$" in stored


def test_a27_no_room_is_told_to_the_client_the_log_and_the_postmaster():
	with Server(queue={"disk_reserve": "1TiB"}) as server:
		with server.smtp() as client:
			client.ehlo("client.test")
			assert client.mail("a@far.example")[0] == 452
		assert server.wait_for_log(event="refused", command="MAIL", code=452, reason="storage")
		assert server.json_command("status")["receive"]["spool"] == "no space left"


def test_what_the_machine_refuses_is_logged_and_counted():
	with Server() as server:
		with server.smtp() as client:
			client.ehlo("client.test")
			assert client.mail("a@far.example", ["SIZE=99999999999"])[0] == 552
			assert client.docmd("c2VjcmV0")[0] == 500
		assert server.wait_for_log(event="refused", command="MAIL", code=552, reason="command", text="Message too big")
		assert server.wait_for_log(event="refused", command="", code=500, reason="command")
		assert "c2VjcmV0" not in server.log_path.read_text()
		assert server.json_command("status")["receive"]["commands_5xx"] == 2


def test_a54_files_of_somebody_else_are_not_used_and_the_log_says_whose_they_must_be():
	if os.geteuid() != 0:
		pytest.skip("needs root to start with separate users")
	with Server() as server:
		server.stop()
		os.chown(server.folder / "data" / "keeper" / "users.db", 65534, 65534)
		server.process = subprocess.Popen([server.program, "serve", "--config", str(server.config_path)])
		event = server.wait_for_log(event="failed", child="keeper")[0]
		assert "the accounts in " in event["reason"]
		assert "must belong to the user packetboat-keep" in event["reason"]


def test_a54_processes_are_separate_and_closed(server):
	if os.geteuid() != 0:
		pytest.skip("needs root to start with separate users")
	pids = server.pids()
	uids = {name: pathlib.Path(f"/proc/{pid}/environ").stat().st_uid for name, pid in pids.items()}
	status = {name: pathlib.Path(f"/proc/{pid}/status").read_text() for name, pid in pids.items()}
	real = {name: int(re.search(r"Uid:\s+(\d+)", text).group(1)) for name, text in status.items()}
	assert len(set(real.values())) == len(real), real
	for name, text in status.items():
		assert "NoNewPrivs:\t1" in text, name
		assert "Seccomp:\t2" in text, name
		if name != "supervisor":
			assert real[name] != 0
			assert "CapEff:\t0000000000000000" in text, name
			assert uids[name] == 0, f"{name} can be dumped"  # what is in /proc/PID is root's
