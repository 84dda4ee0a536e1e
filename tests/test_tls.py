"""TLS on the ports: versions, names, renewed files, tickets. Attack items A6, A8 and A9."""

import socket
import ssl
import subprocess
import time
import warnings

import pytest

from certificates import self_signed
from conftest import need
from harness import PATIENCE_S, Server, Wire, trusting_context, wait_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
	folder = tmp_path_factory.mktemp("tls")
	folder.chmod(0o755)
	return folder


@pytest.fixture(scope="module")
def pairs(folder):
	return [self_signed(folder, "mail.test", "first"), self_signed(folder, "*.second.test", "second")]


@pytest.fixture(scope="module")
def server(pairs):
	with Server(tls={"certificates": [pair.config() for pair in pairs]},
			limits={"connections_per_address": 1000, "tls_time": "2s"}) as server:
		server.add_user("alice@example.org")
		yield server


def connect(server, listener, context=None, name="mail.test", session=None):
	"""A TLS socket to a listener, through STARTTLS where it needs one."""
	context = context or trusting_context()
	if listener == "submissions":
		plain = socket.create_connection((server.address, server.ports[listener]), PATIENCE_S)
	else:
		wire = Wire(server, listener)
		wire.expect("250", "EHLO client.test")
		wire.expect("220", "STARTTLS")
		plain = wire.socket
	return context.wrap_socket(plain, server_hostname=name, session=session)


def certificate(server, listener="submissions", name="mail.test"):
	with connect(server, listener, name=name) as tls:
		return ssl.DER_cert_to_PEM_cert(tls.getpeercert(True))


@pytest.mark.parametrize("listener", ["relay", "submissions", "submission"])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_versions_that_are_spoken(server, listener, version):
	context = trusting_context()
	context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
	with connect(server, listener, context) as tls:
		assert tls.version() == version.replace("_", ".")
		assert tls.compression() is None


@pytest.mark.parametrize("listener", ["relay", "submissions", "submission"])
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_versions_that_are_refused(server, listener, version):
	context = trusting_context()
	with warnings.catch_warnings():
		warnings.simplefilter("ignore", DeprecationWarning)
		context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
	context.set_ciphers("ALL:@SECLEVEL=0")
	with pytest.raises((ssl.SSLError, ConnectionError)):
		connect(server, listener, context)


@pytest.mark.parametrize("name, pair", [("mail.test", 0), ("MAIL.test", 0), ("mx.second.test", 1), (None, 0), ("other.test", 0),
	("second.test", 0), ("a.b.second.test", 0)])
@pytest.mark.parametrize("listener", ["relay", "submissions"])
def test_certificate_by_name(server, pairs, listener, name, pair):
	assert certificate(server, listener, name) == pairs[pair].certificate.read_text()


def test_certificate_is_read_again_when_its_file_changes(server, folder, pairs):
	"""At a reload at once; a session that is open keeps what it began with."""
	old = pairs[1].certificate.read_text()
	with connect(server, "submissions", name="mx.second.test") as before:
		self_signed(folder, "*.second.test", "second")
		server.command("reload")
		new = pairs[1].certificate.read_text()
		wait_for(lambda: certificate(server, name="mx.second.test") == new, "the new certificate")
		assert ssl.DER_cert_to_PEM_cert(before.getpeercert(True)) == old
		before.sendall(b"EHLO client.test\r\n")
		assert before.recv(1000).startswith(b"220")


def test_certificate_that_does_not_fit_is_refused_at_reload(server, folder, pairs):
	before = certificate(server)
	good = pairs[0].key.read_bytes()
	pairs[0].key.write_bytes(pairs[1].key.read_bytes())
	try:
		result = server.command("reload", check=False)
		assert result.returncode != 0
		assert "does not belong to the certificate" in result.stderr
		assert certificate(server) == before
	finally:
		pairs[0].key.write_bytes(good)
	server.command("reload")


def test_self_signed_pair_is_made_once_and_kept():
	with Server() as server:
		first = certificate(server)
		key = server.folder / "data" / "tls" / "key.pem"
		assert key.stat().st_mode & 0o777 == 0o600
		assert server.stop() == 0
		server.start()
		assert certificate(server) == first
		text = subprocess.run(["openssl", "x509", "-noout", "-text"], input=first, capture_output=True, text=True).stdout
		assert "DNS:mail.test" in text and "prime256v1" in text


# ---- tickets

def session_of(server, listener, version=ssl.TLSVersion.TLSv1_3, session=None):
	"""The TLS session of a connection that has exchanged some data, and whether it was resumed."""
	context = session_of.context
	context.maximum_version = version
	with connect(server, listener, context, session=session) as tls:
		if listener != "submissions":
			tls.sendall(b"NOOP\r\n")
		tls.recv(1000)  # the ticket comes with the first data
		return tls.session, tls.session_reused


session_of.context = trusting_context()


def test_a8_tickets_are_bound_to_the_role(server):
	for first in ("relay", "submission", "submissions"):
		session, _ = session_of(server, first)
		assert session.has_ticket
		assert session_of(server, first, session=session)[1]
		for second in ("relay", "submission", "submissions"):
			same_role = (first == "relay") == (second == "relay")
			session, _ = session_of(server, first)
			assert session_of(server, second, session=session)[1] == same_role, (first, second)


def test_a9_no_ticket_before_tls_1_3(server):
	session, _ = session_of(server, "submissions", ssl.TLSVersion.TLSv1_2)
	assert not session.has_ticket


# ---- renegotiation, early data, slow and foreign handshakes

def test_a9_no_renegotiation(server):
	need("openssl")
	command = ["openssl", "s_client", "-connect", f"{server.address}:{server.ports['submissions']}", "-tls1_2",
		"-legacy_renegotiation", "-crlf"]
	process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
	try:
		seen = b""
		while b"220 mail.test" not in seen:
			seen += process.stdout.read(1) or pytest.fail(f"no greeting: {seen}")
		process.stdin.write(b"R\n")  # s_client's command for it
		rest = process.communicate(timeout=PATIENCE_S)[0]
		assert b"RENEGOTIATING" in rest
		assert b"no renegotiation" in rest or b"handshake failure" in rest or b"error" in rest.lower()
		assert b"250" not in rest
	finally:
		process.kill()
		process.wait()


def test_a9_no_early_data(server):
	need("openssl")
	command = ["openssl", "s_client", "-connect", f"{server.address}:{server.ports['submissions']}", "-tls1_3"]
	said = subprocess.run(command, input=b"QUIT\r\n", capture_output=True, timeout=PATIENCE_S).stdout
	assert b"Max Early Data: 0" in said or b"Max Early Data" not in said


def test_a9_a_client_hello_in_many_pieces(server):
	"""Byte by byte through a socket pair: the handshake stands all the same."""
	incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
	tls = trusting_context().wrap_bio(incoming, outgoing, server_hostname="mail.test")
	with socket.create_connection((server.address, server.ports["submissions"]), PATIENCE_S) as plain:
		plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		while True:
			try:
				tls.do_handshake()
				break
			except ssl.SSLWantReadError:
				pass
			data = outgoing.read()
			for i in range(0, len(data), 40):
				plain.sendall(data[i:i + 40])
			incoming.write(plain.recv(65536))
		plain.sendall(outgoing.read())
		while True:
			try:
				assert tls.read(1000).startswith(b"220 mail.test")
				return
			except ssl.SSLWantReadError:
				incoming.write(plain.recv(65536))


def test_a9_a_handshake_has_a_deadline(server):
	for listener in ("submissions", "submission"):
		begun = time.monotonic()
		wire = Wire(server, listener, greet=listener != "submissions")
		with wire:
			if listener != "submissions":
				wire.expect("250", "EHLO client.test")
				wire.expect("220", "STARTTLS")
			wire.send(b"\x16\x03\x01\x02\x00\x01")
			assert wire.file.read() == b""
			assert time.monotonic() - begun < PATIENCE_S


def test_plain_text_on_a_tls_port_is_not_answered_in_smtp(server):
	with Wire(server, "submissions", greet=False) as wire:
		wire.send("EHLO client.test\r\n")
		assert b"250" not in wire.file.read()


# ---- injection

@pytest.mark.parametrize("behind", ["NOOP\r\n", "MAIL FROM:<x@far.example>\r\n", "x", "\r\n", "EHLO evil\r\nMAIL FROM:<>\r\n"])
@pytest.mark.parametrize("listener", ["relay", "submission"])
def test_a6_bytes_behind_starttls_close_the_session(server, listener, behind):
	with Wire(server, listener) as wire:
		wire.expect("250", "EHLO client.test")
		wire.send("STARTTLS\r\n" + behind)
		assert [reply[:3] for reply in wire.rest()] == ["554"]


def test_a6_bytes_between_220_and_the_handshake_are_not_smtp(server):
	with Wire(server) as wire:
		wire.expect("250", "EHLO client.test")
		wire.expect("220", "STARTTLS")
		wire.send("MAIL FROM:<x@far.example>\r\n")
		assert b"250" not in wire.file.read()


def test_a6_everything_is_forgotten(server):
	with Wire(server) as wire:
		wire.expect("250", "EHLO before.test")
		wire.expect("250", "MAIL FROM:<x@far.example>")
		wire.expect("503", "STARTTLS")  # not within a transaction
		wire.expect("250", "RSET")
		wire.expect("220", "STARTTLS")
		wire.start_tls()
		wire.expect("503", "MAIL FROM:<x@far.example>")
		wire.expect("250", "EHLO after.test")
		wire.expect("503", "STARTTLS")
		wire.expect("503", "RCPT TO:<alice@example.org>")


def test_received_names_the_cipher(server):
	with server.smtp() as client:
		client.starttls(context=trusting_context())
		client.sendmail("x@far.example", ["alice@example.org"], b"Subject: over tls\r\n\r\nx\r\n")
	mail = [m for m in server.wait_for_mail("alice@example.org") if m["Subject"] == "over tls"][0]
	assert "with ESMTPS" in mail["Received"]
	assert "TLSv1.3" in mail["Received"]
