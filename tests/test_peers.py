"""To other mail servers and back: Postfix and Exim, started by the test, take a message and send it home."""

import pytest

from harness import Server, split_added, wait_for
from mtas import ADDRESS, Exim, Postfix

ALICE = "alice@example.org"
BODIES = {
	"plain": b"Ahoy.\r\n",
	"dots": b".\r\n..\r\n.x\r\n...\r\n\r\n.\r\n",
	"long-lines": b"x" * 990 + b"\r\n" + b"y" * 998 + b"\r\n",
	"large": (b"0123456789" * 7 + b"\r\n") * 20000,
	"eight-bit": "Grüße, \u2693\r\n".encode(),
}


@pytest.fixture(scope="module", params=[Postfix, Exim], ids=["postfix", "exim"])
def pair(request):
	"""A server, and the peer that its mail for the peer's domain goes to."""
	server = Server(start=False)
	with server:
		mta = request.param(server, ALICE)
		server.config["routes"] = [{"to": mta.domain, "via": {"host": ADDRESS, "ports": [mta.port]}}]
		server.start()
		server.add_user(ALICE)
		with mta:
			yield server, mta


@pytest.mark.parametrize("name", BODIES)
def test_out_and_back(pair, name):
	"""From a login through the peer to its mailbox: the bytes are the ones sent, behind both servers' fields."""
	server, mta = pair
	sent = (f"From: <{ALICE}>\r\nTo: <round@{mta.domain}>\r\nSubject: {name} via {mta.name}\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
		f"Message-ID: <{name}@client.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Transfer-Encoding: 8bit\r\n\r\n").encode() + BODIES[name]
	with server.smtp("submissions", ALICE) as client:
		client.sendmail(ALICE, [f"round@{mta.domain}"], sent, ["BODY=8BITMIME"])
	wanted = sent.replace(b"\r\n", b"\n")

	def find():
		return [mail for mail in server.mails(ALICE) if mail.endswith(wanted)]

	try:
		mail = wait_for(find, "the message that went round")[0]
	except AssertionError as error:
		raise AssertionError(f"{error}\n{server.words()}\n{mta.words()}") from None
	assert split_added(mail, sent).count(b"received") >= 3
	assert f"by mx.{mta.domain}".encode() in mail


def test_the_peers_refusal_comes_home(pair):
	server, mta = pair
	with server.smtp("submissions", ALICE) as client:
		client.sendmail(ALICE, [f"nobody@{mta.domain}"], f"From: {ALICE}\r\n\r\nx\r\n".encode())
	wait_for(lambda: [mail for mail in server.mails(ALICE) if b"multipart/report" in mail and b"nobody@" in mail], "the report")
