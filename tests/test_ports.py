"""Mail from clients that we did not write, through all four ports, over IPv4 and IPv6, byte for byte."""

import base64
import email.utils
import json
import os
import pathlib
import shutil
import smtplib
import subprocess

import pytest

from conftest import need
from harness import LONG, Server, Wire, has_ipv6, split_added, wait_for

USER, PASSWORD = "alice@example.org", "correct horse"
STRANGER = "bob@elsewhere.example"
PORTS = ["relay", "submissions", "submission", "alternate"]
ADDRESSES = ["127.0.0.1", "::1"]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "/var/tmp")) / "packetboat-test-cache"


@pytest.fixture(scope="module")
def server():
	with Server(address=ADDRESSES if has_ipv6() else ADDRESSES[:1],
			limits={"connections_per_address": 1000}) as server:
		server.add_user(USER, PASSWORD)
		server.taken = set()
		yield server


@pytest.fixture(params=ADDRESSES, ids=["v4", "v6"])
def address(request):
	if ":" in request.param and not has_ipv6():
		pytest.skip("this machine has no IPv6")
	return request.param


@pytest.fixture(params=PORTS)
def port(request):
	return request.param


def sender_of(port):
	return STRANGER if port == "relay" else USER


def arrived(server, sent, user=USER):
	"""The one new mail that ends as sent, checked byte for byte; each mail counts once."""
	folder = server.mailbox(user) / "new"

	def find():
		for path in sorted(folder.iterdir()) if folder.is_dir() else []:
			if path.name not in server.taken:
				return path
		return None

	path = wait_for(find, f"mail for {user}")
	server.taken.add(path.name)
	return split_added(path.read_bytes(), sent)


def message(port, text="Ahoy.\r\n..two dots\r\n.one\r\n"):
	unique = email.utils.make_msgid()
	return (f"From: <{sender_of(port)}>\r\nTo: <{USER}>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
		f"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: {unique}\r\n\r\n{text}").encode()


def run(*command, input=None, **options):
	result = subprocess.run(list(map(str, command)), input=input, capture_output=True, timeout=60, **options)
	assert result.returncode == 0, f"{result.stdout.decode()}{result.stderr.decode()}"


def test_smtplib(server, port, address):
	sent = message(port)
	with server.smtp(port, None if port == "relay" else USER, PASSWORD, address=address) as client:
		client.sendmail(sender_of(port), [USER], sent)
	assert arrived(server, sent)[0] == b"return-path"


def test_swaks(server, port, address, tmp_path):
	need("swaks")
	sent = message(port)
	(tmp_path / "mail").write_bytes(sent)
	command = ["swaks", "--server", address, "--port", server.ports[port], "--from", sender_of(port), "--to", USER,
		"--data", f"@{tmp_path / 'mail'}", "--helo", "client.test"]
	if ":" in address:
		command.append("-6")
	if port != "relay":
		command += ["--tls-on-connect" if port == "submissions" else "--tls", "--auth", "PLAIN", "--auth-user", USER,
			"--auth-password", PASSWORD]
	run(*command)
	arrived(server, sent + b"\r\n")  # swaks ends the data with an empty line of its own


def test_msmtp(server, port, address):
	need("msmtp")
	sent = message(port)
	command = ["msmtp", "--file=/dev/null", f"--host={address}", f"--port={server.ports[port]}",
		f"--from={sender_of(port)}", "--domain=client.test", "--timeout=30"]
	if port == "relay":
		command.append("--tls=off")
	else:
		command += ["--tls=on", "--tls-certcheck=off", f"--tls-starttls={'off' if port == 'submissions' else 'on'}",
			"--auth=login", f"--user={USER}", f"--passwordeval=echo '{PASSWORD}'"]
	run(*command, "--", USER, input=sent.replace(b"\r\n", b"\n"))
	arrived(server, sent)


def test_curl(server, port, address, tmp_path):
	need("curl")
	sent = message(port)
	(tmp_path / "mail").write_bytes(sent)
	host = f"[{address}]" if ":" in address else address
	scheme = "smtps" if port == "submissions" else "smtp"
	command = ["curl", "--silent", "--show-error", f"{scheme}://{host}:{server.ports[port]}/client.test", "--mail-from",
		sender_of(port), "--mail-rcpt", USER, "--upload-file", tmp_path / "mail", "--max-time", "60"]
	if port != "relay":
		command += ["--ssl-reqd", "--insecure", "--user", f"{USER}:{PASSWORD}"]
	run(*command)
	arrived(server, sent)


@pytest.fixture(scope="module")
def nodemailer():
	"""A folder with nodemailer in node_modules, kept between runs outside the tree."""
	need("node")
	need("npm")
	folder = CACHE / "nodemailer"
	if not (folder / "node_modules" / "nodemailer").is_dir():
		folder.mkdir(parents=True, exist_ok=True)
		result = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder),
			"nodemailer@6"], capture_output=True, text=True, timeout=120)
		if result.returncode != 0:
			shutil.rmtree(folder, ignore_errors=True)
			pytest.skip(f"npm cannot install nodemailer: {result.stderr[-300:]}")
	return folder


SCRIPT = """
const nodemailer = require("nodemailer");
const [options, envelope, raw] = JSON.parse(require("fs").readFileSync(0, "utf8"));
nodemailer.createTransport(options).sendMail({ envelope, raw }).then(
	(info) => console.log(info.response), (error) => { console.error(error); process.exit(1); });
"""


def test_nodemailer(server, port, address, nodemailer):
	sent = message(port)
	options = {"host": address, "port": server.ports[port], "name": "client.test", "secure": port == "submissions",
		"requireTLS": port in ("submission", "alternate"), "tls": {"rejectUnauthorized": False}}
	if port != "relay":
		options["auth"] = {"user": USER, "pass": PASSWORD}
	envelope = {"from": sender_of(port), "to": [USER]}
	run("node", "-e", SCRIPT, input=json.dumps([options, envelope, sent.decode()]).encode(), cwd=nodemailer)
	arrived(server, sent)


# ---- bodies

HEAD = f"From: <{USER}>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <x@client.test>\r\n".encode()
EVERY_BYTE = bytes(byte for byte in range(256) if byte not in b"\r\n")
BODIES = {
	"empty": b"",
	"one-line-end": b"\r\n",
	"only-dots": b"\r\n.\r\n..\r\n...\r\n.x\r\n. \r\n",
	"header-only": HEAD,
	"header-and-line": HEAD + b"\r\n",
	"no-header": b"just a text without a header\r\nand a second line\r\n",
	"long-line": HEAD + b"\r\n" + b"x" * 998 + b"\r\n" + b"y" * 5000 + b"\r\n" + b"." + b"z" * 200000 + b"\r\n",
	"eight-bit": HEAD + b"Subject: \xc3\xa4\r\n\r\n" + EVERY_BYTE * 50 + b"\r\n",
	"nul": HEAD + b"\r\n\0\0a\0\r\n.\0\r\n\0.\r\n",
	"many-dots": HEAD + b"\r\n" + b".\r\n" * 20000,
	"inline-limit": HEAD + b"\r\n" + (b"0123456789abcde\r\n" * 15421)[:262144 - len(HEAD) - 4] + b"\r\n",
	"just-a-file": HEAD + b"\r\n" + b"0123456789abcde\r\n" * 15500,
	"5MiB": HEAD + b"\r\n" + (b"q" * 76 + b"\r\n") * (5 * 1024 * 1024 // 78),
}


def stuffed(body):
	text = b"." + body if body.startswith(b".") else body
	return text.replace(b"\r\n.", b"\r\n..")


def send_exactly(server, body, mail_parameters=""):
	with Wire(server) as wire:
		wire.expect("250", "EHLO client.test")
		wire.expect("250", f"MAIL FROM:<{STRANGER}>{mail_parameters}")
		wire.expect("250", f"RCPT TO:<{USER}>")
		wire.expect("354", "DATA")
		wire.send(stuffed(body) + b".\r\n")
		reply = wire.reply()
		assert reply.startswith("250 2.0.0"), reply
		wire.expect("221", "QUIT")


@pytest.mark.parametrize("name", BODIES)
def test_body_arrives_byte_for_byte(server, name):
	send_exactly(server, BODIES[name], " BODY=8BITMIME")
	assert set(arrived(server, BODIES[name])) <= {b"return-path", b"delivered-to", b"received"}


@pytest.mark.parametrize("name", ["empty", "only-dots", "nul", "long-line"])
def test_submission_adds_date_and_message_id_and_changes_nothing(server, name):
	body = f"From: {USER}\r\n".encode() + BODIES[name].removeprefix(HEAD)
	if name == "empty":
		body += b"\r\n"
	with server.smtp("submissions", USER, PASSWORD) as client:
		client.ehlo_or_helo_if_needed()
		client.mail(USER)
		client.rcpt(USER)
		client.docmd("DATA")
		client.send(stuffed(body) + b".\r\n")
		assert client.getreply()[0] == 250
	names = arrived(server, body)
	assert b"date" in names and b"message-id" in names


def test_last_line_without_end_is_ended(server):
	"""smtplib adds the line end that the client left out, as RFC 5321 demands; nothing else is changed."""
	sent = message("relay", "no line end")
	with server.smtp() as client:
		client.sendmail(STRANGER, [USER], sent)
	arrived(server, sent + b"\r\n")


@pytest.mark.parametrize("size_mib", [50 if LONG else 20])
def test_largest_message_that_is_allowed(server, size_mib):
	size = size_mib * 1024 * 1024
	body = HEAD + b"\r\n" + (b"0123456789" * 7 + b"\r\n") * ((size - len(HEAD) - 2) // 72)
	send_exactly(server, body, f" SIZE={len(body)}")
	arrived(server, body)


def test_byte_by_byte(server):
	body = HEAD + b"\r\n.a\r\n..\r\n"
	with Wire(server) as wire:
		for byte in b"EHLO c.test\r\n":
			wire.send(bytes([byte]))
		assert wire.reply().startswith("250")
		for line in (f"MAIL FROM:<{STRANGER}>", f"RCPT TO:<{USER}>"):
			for byte in f"{line}\r\n".encode():
				wire.send(bytes([byte]))
			assert wire.reply().startswith("250")
		wire.expect("354", "DATA")
		for byte in stuffed(body) + b".\r\n":
			wire.send(bytes([byte]))
		assert wire.reply().startswith("250")
	arrived(server, body)


def test_utf8_addresses(server):
	"""SMTPUTF8: a user and a sender that are not ASCII, and a header in UTF-8."""
	user = "Grüße@example.org"
	server.add_user(user, PASSWORD)
	sent = f"From: <jürgen@bücher.example>\r\nTo: <{user}>\r\nSubject: größer\r\n\r\nπ\r\n".encode()
	with Wire(server) as wire:
		assert "SMTPUTF8" in wire.say("EHLO client.test")
		wire.expect("250", "MAIL FROM:<jürgen@bücher.example> SMTPUTF8 BODY=8BITMIME")
		wire.expect("250", f"RCPT TO:<{user}>")
		wire.expect("354", "DATA")
		wire.send(sent + b".\r\n")
		assert wire.reply().startswith("250")
	arrived(server, sent, "grüsse@example.org")  # the folder has the folded name, which all spellings share


def test_utf8_login(server):
	"""A login that is not ASCII sends as itself."""
	user = "søren@example.org"
	server.add_user(user, "påssword")
	sent = f"From: <{user}>\r\nTo: <{USER}>\r\n\r\nx\r\n".encode()
	with server.smtp("submissions") as client:
		client.ehlo("client.test")
		plain = base64.b64encode(f"\0{user}\0påssword".encode()).decode()
		assert client.docmd("AUTH", f"PLAIN {plain}")[0] == 235
		client.send(f"MAIL FROM:<{user}> SMTPUTF8\r\n".encode())
		assert client.getreply()[0] == 250
		assert client.rcpt(USER)[0] == 250
		assert client.data(sent)[0] == 250
	arrived(server, sent)


def test_two_recipients_get_one_copy_each(server):
	server.add_user("carol@example.org")
	sent = message("relay")
	with server.smtp() as client:
		client.sendmail(STRANGER, [USER, "carol@example.org", USER], sent)
	arrived(server, sent)
	arrived(server, sent, "carol@example.org")
	server.command("status")
	assert len(server.mails("carol@example.org")) == 1


def test_helo_only_client(server):
	sent = message("relay")
	with Wire(server) as wire:
		wire.expect("250", "helo client")
		wire.expect("250", f"MAIL FROM: <{STRANGER}>")
		wire.expect("250", f"rcpt to: <{USER}>")
		wire.expect("354", "data")
		wire.send(stuffed(sent) + b".\r\n")
		assert wire.reply().startswith("250")
	arrived(server, sent)


def test_submission_refuses_without_login(server):
	for port in PORTS[1:]:
		with server.smtp(port) as client, pytest.raises(smtplib.SMTPSenderRefused) as refusal:
			client.sendmail(USER, [USER], b"x\r\n")
		assert refusal.value.smtp_code == 530
