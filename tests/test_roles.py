"""Roles: who may send what to whom on which port. Attack items A33, A35 and A37 over the wire."""

import base64

import pytest

from harness import Server, Wire, split_added, wait_for
from sink import Sink

ALICE, BOB = "alice@example.org", "bob@example.org"
ELSEWHERE = "victim@elsewhere.example"


@pytest.fixture(scope="module")
def sink():
	with Sink("127.0.0.2") as sink:
		yield sink


@pytest.fixture(scope="module")
def server(sink, tmp_path_factory):
	aliases_file = tmp_path_factory.mktemp("aliases") / "aliases"
	aliases_file.parent.chmod(0o755)
	aliases_file.write_text("# the classic format\nroot: alice@example.org\nsales: alice@example.org,\n  bob@example.org\n")
	with Server(
		domains={
			"example.org": {"deliver": "maildir"},
			"open.example": {"deliver": "maildir", "catch_all": BOB},
			"münchen.example": {"deliver": "maildir"},
		},
		aliases={
			"info@example.org": [ALICE],
			"team@example.org": [ALICE, BOB],
			"away@example.org": ["someone@backup.example"],
			"both@example.org": [ALICE, "someone@backup.example"],
		},
		aliases_file=str(aliases_file),
		relay={
			"networks": [{"network": "127.0.0.3/32"}, {"network": "127.0.0.4/32", "senders": ["*@example.org"]}],
			"domains": ["backup.example"],
		},
		routes=[{"to": "*", "via": {"host": "127.0.0.2", "ports": [sink.port]}}],
		limits={"connections_per_address": 1000, "errors": 200, "login_failures_per_address": 100000,
			"login_failures_per_account": 100000, "relay_attempts_per_address": 100000,
			"unknown_recipients_per_address": 100000},
	) as server:
		server.add_user(ALICE)
		server.add_user(BOB, "secret", "--sender", "*@shop.example")
		server.add_user("user@münchen.example")
		yield server


def rcpt(server, recipient, sender="someone@far.example", source=None):
	options = {"source_address": (source, 0)} if source else {}
	with server.smtp(**options) as client:
		client.ehlo("client.test")
		code, text = client.mail(sender)
		if code != 250:
			return code, text.decode()
		client.send(f"RCPT TO:{recipient}\r\n".encode())
		code, text = client.getreply()
		return code, text.decode()


def logged_in(server, user=ALICE, listener="submissions"):
	return server.smtp(listener, user)


def sent_as(server, user, reverse_path, header):
	"""The reply to a message of this user: to MAIL where that is refused, else to the data."""
	with logged_in(server, user) as client:
		client.ehlo_or_helo_if_needed()
		code, text = client.mail(reverse_path)
		if code != 250:
			return code, text.decode()
		assert client.rcpt(ALICE)[0] == 250
		code, text = client.data(header.replace("\n", "\r\n").encode() + b"\r\n\r\nx\r\n")
		return code, text.decode()


# ---- the relay port

@pytest.mark.parametrize("recipient", [ALICE, "ALICE@EXAMPLE.ORG", "alice+news@example.org", "info@example.org",
	"\"alice\"@example.org", "postmaster@example.org", "Postmaster@open.example", "postmaster", "POSTMASTER",
	"anybody@open.example", "sales@example.org", "root@example.org", "user@xn--mnchen-3ya.example", "x@backup.example",
	"@a.example,@b.example:alice@example.org"])
def test_relay_takes_what_is_ours(server, recipient):
	assert rcpt(server, f"<{recipient}>")[0] == 250


@pytest.mark.parametrize("recipient", ["nobody@example.org", "nobody+x@example.org", "alic@example.org",
	"alice@sub.example.org", "nobody@xn--mnchen-3ya.example"])
def test_unknown_recipient_is_refused_at_rcpt(server, recipient):
	code, text = rcpt(server, f"<{recipient}>")
	assert code == 550
	assert text.startswith("5.1.1" if "sub" not in recipient else "5.7.1")


# What parsers have been tricked with, from isemail's and PortSwigger's kinds of cases.
TRICKS = [
	ELSEWHERE, "victim@ELSEWHERE.EXAMPLE", "victim%elsewhere.example@example.org", "elsewhere.example!victim@example.org",
	"\"victim@elsewhere.example\"@example.org", "\"victim%elsewhere.example\"@example.org",
	"@example.org:victim@elsewhere.example", "@example.org,@mail.test:victim@elsewhere.example",
	"\"alice@example.org\"@elsewhere.example", "alice@example.org@elsewhere.example", "alice@example.org%elsewhere.example",
	"victim@[127.0.0.1]", "victim@[192.0.2.1]", "alice@[IPv6:::1]", "alice@[IPv6:2001:db8::1]", "alice@[x-tag:y]",
	"alice@127.0.0.1", "victim@elsewhere.example.", "alice@example.org.elsewhere.example", "alice@example.org\\@elsewhere.example",
	"=?utf-8?q?victim=40elsewhere.example=3e?=@example.org", "=?x?q?victim=40elsewhere.example=3e=00?=alice@example.org",
	"=?utf-7?q?victim&AEA-elsewhere.example?=@example.org", "victim@elsewhere.example(@example.org)",
	"(alice@example.org)victim@elsewhere.example", "victim@elsewhere.example (example.org)", "\"\\\"victim@elsewhere.example>\"@example.org",
	"alice@ехample.org", "alice@example。org", "alice@exаmple.org", "victim%40elsewhere.example@example.org",
	"victim+elsewhere.example@elsewhere.example", "SRS0=x=y=elsewhere.example=victim@example.org",
	"alice@example.org,victim@elsewhere.example", "alice@example.org;victim@elsewhere.example",
	"alice@example.org> <victim@elsewhere.example", "alice@example.org>,<victim@elsewhere.example",
	"<victim@elsewhere.example>alice@example.org", "victim@elsewhere.example\0@example.org", "victim@elsewhere.example\t@example.org",
	"victim\u0000@elsewhere.example", "alice@\u0001elsewhere.example", "@", "@example.org", "alice@", "victim", "", "<>",
	"victim:elsewhere.example@example.org", "mailto:victim@elsewhere.example", "victim@xn--lsewhere-e1a.example",
	"victim@elsewhere.example..", "victim@.elsewhere.example", ".victim@elsewhere.example", "victim.@elsewhere.example",
	"\"victim\" <victim@elsewhere.example>", "victim@elsewhere.example ORCPT=rfc822;alice@example.org",
	"oracle\u0170@elsewhere.example", "alice@example.org\u2028victim@elsewhere.example", "\"\"@elsewhere.example",
]


@pytest.mark.parametrize("number", range(len(TRICKS)))
def test_a37_no_spelling_opens_the_relay(server, sink, number):
	code, text = rcpt(server, f"<{TRICKS[number]}>")
	assert 500 <= code < 600, (TRICKS[number], text)


@pytest.mark.parametrize("argument", [ELSEWHERE, f" {ELSEWHERE}", f"<{ELSEWHERE}", f"{ELSEWHERE}>", f"<<{ELSEWHERE}>>",
	f"< {ELSEWHERE} >", f"<{ALICE}><{ELSEWHERE}>", f"<{ALICE}> {ELSEWHERE}", f"<{ALICE}>,<{ELSEWHERE}>"])
def test_a37_no_framing_opens_the_relay(server, argument):
	assert 500 <= rcpt(server, argument)[0] < 600


@pytest.mark.parametrize("sender", [ALICE, "", "postmaster@example.org", "alice@mail.test"])
def test_a37_no_sender_opens_the_relay(server, sender):
	code, text = rcpt(server, f"<{ELSEWHERE}>", sender)
	assert (code, text[:5]) == (550, "5.7.1")


def test_relay_networks_and_their_senders(server):
	assert rcpt(server, f"<{ELSEWHERE}>", source="127.0.0.3")[0] == 250
	assert rcpt(server, f"<{ELSEWHERE}>", "shop@example.org", source="127.0.0.4")[0] == 250
	assert rcpt(server, f"<{ELSEWHERE}>", "shop@far.example", source="127.0.0.4")[0] == 550
	assert rcpt(server, f"<{ELSEWHERE}>", "", source="127.0.0.4")[0] == 550
	assert rcpt(server, f"<{ELSEWHERE}>", source="127.0.0.5")[0] == 550
	# A trusted network follows no routing inside an address either.
	assert rcpt(server, "<victim%elsewhere.example@far.example>", source="127.0.0.3")[0] == 550


def test_relay_domain_is_passed_on(server, sink):
	sent = b"Subject: to the backup\r\n\r\nx\r\n"
	with server.smtp() as client:
		client.sendmail("someone@far.example", ["x@backup.example"], sent)
	message = [m for m in sink.wait(1, server) if m.recipients == ["x@backup.example"]][0]
	assert message.data.endswith(sent)
	assert message.reverse_path == "someone@far.example"


def deliver(server, recipient):
	"""Sends a message of its own and returns it."""
	deliver.number += 1
	sent = f"Subject: number {deliver.number}\r\n\r\nx\r\n".encode()
	with server.smtp() as client:
		client.sendmail("someone@far.example", [recipient], sent)
	return sent


deliver.number = 0


@pytest.mark.parametrize("recipient, users", [
	("info@example.org", [ALICE]),
	("team@example.org", [ALICE, BOB]),
	("sales@example.org", [ALICE, BOB]),
	("root@example.org", [ALICE]),
	("alice+anything+else@example.org", [ALICE]),
	("info+detail@example.org", [ALICE]),
	("who.ever@open.example", [BOB]),
	("ALICE@Example.Org", [ALICE]),
])
def test_where_mail_lands(server, recipient, users):
	sent = deliver(server, recipient).replace(b"\r\n", b"\n")
	for user in users:
		wait_for(lambda: any(mail.endswith(sent) for mail in server.mails(user)), f"{recipient} at {user}")
	for other in {ALICE, BOB} - set(users):
		assert not any(mail.endswith(sent) for mail in server.mails(other))


def test_alias_to_elsewhere_goes_there(server, sink):
	sent = deliver(server, "both@example.org")
	wait_for(lambda: any(m.data.endswith(sent) and m.recipients == ["someone@backup.example"] for m in sink.messages),
		"the copy that goes elsewhere")
	wait_for(lambda: any(mail.endswith(sent.replace(b"\r\n", b"\n")) for mail in server.mails(ALICE)), "the local copy")


def test_postmaster_without_a_mailbox_has_one(server):
	"""Always accepted, for every domain; the default is postmaster at the hostname."""
	for recipient in ("postmaster", "postmaster@example.org", "postmaster@open.example", "postmaster@mail.test"):
		assert rcpt(server, f"<{recipient}>", "")[0] == 250, recipient


# ---- logins

def test_a33_relay_port_never_has_logins(server):
	with server.smtp() as client:
		client.ehlo("client.test")
		assert not client.has_extn("auth")
		assert client.docmd("AUTH", "PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==")[0] == 502
		client.starttls()
		client.ehlo("client.test")
		assert not client.has_extn("auth")
		assert client.docmd("AUTH", "PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==")[0] == 502


@pytest.mark.parametrize("listener", ["submission", "alternate"])
def test_a33_no_login_in_clear(server, listener):
	with Wire(server, listener) as wire:
		assert "AUTH" not in wire.expect("250", "EHLO client.test")
		wire.expect("538 5.7.11", "AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==")
		wire.expect("538", "AUTH LOGIN")
		wire.expect("530 5.7.0", f"MAIL FROM:<{ALICE}>")
		wire.expect("530", f"RCPT TO:<{ALICE}>")
		wire.expect("530", "DATA")
		wire.expect("530", f"VRFY {ALICE}")


def plain(identity, user, password):
	return base64.b64encode(f"{identity}\0{user}\0{password}".encode()).decode()


@pytest.mark.parametrize("response, code", [
	(plain("", ALICE, "secret"), "235"),
	(plain(ALICE, ALICE, "secret"), "235"),
	(plain("", "ALICE@example.ORG", "secret"), "235"),
	(plain(BOB, ALICE, "secret"), "535"),
	(plain("", ALICE, "Secret"), "535"),
	(plain("", ALICE, ""), "501"),
	(plain("", "", "secret"), "501"),
	(plain("", "nobody@example.org", "secret"), "535"),
	(plain("", "alice", "secret"), "535"),
	(plain("", "alice@elsewhere.example", "secret"), "535"),
	(plain("", "alice+x@example.org", "secret"), "535"),
	(plain("", "info@example.org", "secret"), "535"),
	(plain("", "*", "secret"), "535"),
	(plain("", "alice@example.org' OR '1'='1", "secret"), "535"),
	(plain("", ALICE, "secret\0x"), "501"),
	("=", "501"), ("!", "501"), ("AGFsaWNl", "501"), ("AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA", "501"),
	("AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA== x", "501"), ("A" * 13000, "500"),
	(base64.b64encode(b"\0" + b"a" * 9000 + b"\0secret").decode(), "535"),
])
def test_a33_plain_responses(server, response, code):
	with server.smtp("submissions") as client:
		client.ehlo("client.test")
		assert str(client.docmd("AUTH", f"PLAIN {response}")[0]) == code
		expected = 250 if code == "235" else 530
		assert client.docmd("MAIL", f"FROM:<{ALICE}>")[0] == expected


def test_a33_login_spellings_of_old_clients(server):
	user, password = (base64.b64encode(text.encode()).decode() for text in (ALICE, "secret"))
	for first in ("LOGIN", "login", f"LOGIN {user}"):
		with server.smtp("submissions") as client:
			client.ehlo("client.test")
			code, text = client.docmd("AUTH", first)
			if " " not in first:
				assert (code, base64.b64decode(text)) == (334, b"Username:")
				code, text = client.docmd(user)
			assert (code, base64.b64decode(text)) == (334, b"Password:")
			assert client.docmd(password)[0] == 235
	with server.smtp("submissions") as client:
		client.ehlo("client.test")
		client.docmd("AUTH", "LOGIN")
		assert client.docmd("*")[0] == 501
		client.docmd("AUTH", "PLAIN")
		assert client.docmd(plain("", ALICE, "secret"))[0] == 235
		assert client.docmd("AUTH", "PLAIN")[0] == 503


@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "NTLM", "GSSAPI", "EXTERNAL", "ANONYMOUS", "XOAUTH2", "PLAINX"])
def test_a33_other_mechanisms_are_refused(server, mechanism):
	with server.smtp("submissions") as client:
		client.ehlo("client.test")
		assert client.docmd("AUTH", mechanism)[0] == 504


def test_a33_login_ends_with_the_session_before_starttls(server):
	"""STARTTLS forgets EHLO: AUTH and MAIL want it anew."""
	with Wire(server, "submission") as wire:
		wire.expect("250", "EHLO client.test")
		wire.expect("220", "STARTTLS")
		wire.start_tls()
		wire.expect("503", f"AUTH PLAIN {plain('', ALICE, 'secret')}")
		wire.expect("503", f"MAIL FROM:<{ALICE}>")


def test_login_failures_are_limited():
	with Server(limits={"login_failures_per_account": 3, "login_failures_per_address": 100, "errors": 100}) as small:
		small.add_user(ALICE)
		with small.smtp("submissions") as client:
			client.ehlo("client.test")
			codes = [client.docmd("AUTH", f"PLAIN {plain('', ALICE, f'wrong {i}')}")[0] for i in range(5)]
			assert codes[:3] == [535, 535, 535]
			assert codes[4] == 454
			assert client.docmd("AUTH", f"PLAIN {plain('', ALICE, 'secret')}")[0] == 454


# ---- what a login may send as

@pytest.mark.parametrize("user, reverse_path", [
	(ALICE, ALICE), (ALICE, ""), (ALICE, "Alice@EXAMPLE.org"), (ALICE, "alice+shop@example.org"), (ALICE, "info@example.org"),
	(ALICE, "root@example.org"), (BOB, "anybody@shop.example"),
])
def test_a35_own_reverse_paths(server, user, reverse_path):
	assert sent_as(server, user, reverse_path, f"From: {user}")[0] == 250


@pytest.mark.parametrize("user, reverse_path", [
	(ALICE, BOB), (BOB, ALICE), (ALICE, "team@example.org"), (ALICE, "nobody@example.org"), (ALICE, "x@shop.example"),
	(BOB, "x@open.example"), (ALICE, "alice@elsewhere.example"), (ALICE, "postmaster@example.org"), (BOB, "x@sub.shop.example"),
	(ALICE, "away@example.org"), (ALICE, "alice%shop.example@example.org"), (ALICE, "\"alice@example.org\"@elsewhere.example"),
	(BOB, "bob@shop.example.elsewhere.example"), (ALICE, "=?utf-8?q?alice?=@example.org"), (ALICE, "alice@[127.0.0.1]"),
])
def test_a35_others_reverse_paths(server, user, reverse_path):
	code, _ = sent_as(server, user, reverse_path, f"From: {user}")
	assert code in (550, 553)


@pytest.mark.parametrize("header", [
	f"From: {ALICE}", f"From: Alice <{ALICE}>", f"from:\n <{ALICE}>", f"From: \"Bob <{BOB}>\" <alice+x@example.org>",
	f"From: =?utf-8?q?Bob?= <info@example.org>", f"From: {ALICE} ({BOB})", f"From: {ALICE}, info@example.org",
	f"Subject: x\nFrom: {ALICE}\nReply-To: {BOB}",
])
def test_a35_own_from(server, header):
	code, text = sent_as(server, ALICE, ALICE, header)
	assert code == 250, text


@pytest.mark.parametrize("header", [
	f"From: {BOB}", f"From: {ALICE}, {BOB}", f"From: {BOB}\nFrom: {ALICE}", f"From: {ALICE}\nFrom: {BOB}",
	f"From: Alice <{BOB}>", f"From: group: {BOB};", "From:", "Subject: no From at all", f"From: {ALICE} <{BOB}>",
	f"From: <{ALICE}> <{BOB}>", f"From: {ALICE}\n , {BOB}", f"fRoM: {BOB}", f"From : {BOB}", f"From: \"{ALICE}\" <{BOB}>",
	f"From: {ALICE}@elsewhere.example", f"From: <>", f"From: alice", f"From: {ALICE}\0{BOB}", f"From: =?utf-8?q?{ALICE}?=",
	f"From: {ALICE}\nSender: {BOB}",
])
def test_a35_others_from(server, header):
	code, text = sent_as(server, ALICE, ALICE, header)
	assert 550 <= code <= 554, (code, text)


def test_submission_sends_anywhere(server, sink):
	sent = f"From: {ALICE}\r\nSubject: out\r\n\r\nx\r\n".encode()
	with logged_in(server) as client:
		client.sendmail(ALICE, [ELSEWHERE], sent)
	message = wait_for(lambda: [m for m in sink.messages if m.recipients == [ELSEWHERE]], "the message")[0]
	names = split_added(message.data.replace(b"\r\n", b"\n"), sent)
	assert b"date" in names and b"message-id" in names and b"received" in names


@pytest.mark.parametrize("recipient", ["victim%elsewhere.example@example.org", "a!b@example.org", "victim@[127.0.0.1]",
	"\"victim@elsewhere.example\"@example.org", "nobody@example.org"])
def test_a37_logins_follow_no_routing_either(server, recipient):
	with logged_in(server) as client:
		client.ehlo_or_helo_if_needed()
		client.mail(ALICE)
		assert client.docmd("RCPT", f"TO:<{recipient}>")[0] in (550, 501, 553)


def test_vrfy_and_expn_tell_nothing(server):
	with server.smtp() as client:
		client.ehlo("client.test")
		assert client.docmd("VRFY", ALICE) == client.docmd("VRFY", "nobody@example.org")
		assert client.docmd("EXPN", "team")[0] in (502, 550)
		assert not client.has_extn("expn")


def test_a24_the_log_names_the_account_that_failed_and_nothing_breaks_out(server):
	"""The client learns nothing more than `wrong`; the postmaster sees whom somebody is after."""
	forged = BOB + '"\u202e} level=error'
	with server.smtp("submission") as client:
		client.ehlo("client.test")
		for login, password in ((ALICE, "wrong"), ("nobody@example.org", "wrong"), (forged, "wrong")):
			code, _ = client.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{login}\0{password}".encode()).decode())
			assert code == 535
	for login, reason in ((ALICE, "wrong password"), ("nobody@example.org", "no such login")):
		assert server.wait_for_log(event="login_refused", client="127.0.0.1", login=login, reason=reason)
	wait_for(lambda: any(BOB in event["login"] for event in server.log(event="login_refused")), "the forged one")
	assert "\u202e" not in server.log_path.read_text()
	assert not server.log(level="error")
