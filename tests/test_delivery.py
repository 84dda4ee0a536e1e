"""Delivery to other servers: where to, how often, what the sender is told. Attack items A6, A11, A20 and A29."""

import email
import os

import dnslib
import pytest

from certificates import self_signed
from harness import Server, free_port, has_ipv6, wait_for
from mailing import ALICE, fields_of, queued, send, wait_queue_empty, wait_report, wait_sent
from names import Names
from sink import EXTENSIONS, Sink

SINKS = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"]
CLOSED = "127.0.0.9"  # nobody listens there


@pytest.fixture(scope="module")
def names():
	with Names() as names:
		yield names


@pytest.fixture(scope="module")
def port():
	return free_port(*SINKS, CLOSED, *(["::1"] if has_ipv6() else []))


@pytest.fixture(scope="module")
def all_sinks(port):
	sinks = [Sink(address, port) for address in SINKS]
	yield sinks
	for sink in sinks:
		sink.__exit__()


@pytest.fixture
def sinks(all_sinks):
	for sink in all_sinks:
		sink.script, sink.tls_context, sink.extensions = None, None, EXTENSIONS
		sink.messages.clear()
		sink.commands.clear()
	return all_sinks


@pytest.fixture(scope="module", autouse=True)
def expiring(names):
	"""A server whose message cannot be delivered; it expires while the other tests run."""
	names.host("expiring.example", CLOSED)
	with Server(relay={"networks": ["127.0.0.0/8"]}, dns=names.config(), queue={"expire": "1m", "retry_first": "1s",
			"retry_longest": "5s", "warn": "3s"}, outbound={"allow_private_addresses": True, "port": free_port(CLOSED),
			"site": {"backoff_first": "1s", "backoff": "1s"}}) as server:
		server.add_user(ALICE)
		send(server, "x@expiring.example", subject="expires")
		yield server


@pytest.fixture(scope="module")
def server(names, port):
	with Server(
		relay={"networks": ["127.0.0.0/8"]}, dns=names.config(),
		outbound={"allow_private_addresses": True, "port": port, "reply_time": "3s", "connect_time": "3s", "data_time": "3s",
			"site": {"backoff_first": "1s", "backoff": "1s", "failures": 1000}},
		queue={"retry_first": "1s", "retry_longest": "2s"},
		limits={"connections_per_address": 1000},
	) as server:
		server.add_user(ALICE)
		yield server


# ---- where to

def test_mx_by_preference(server, names, sinks):
	names.mx("mx.example", "two.mx.example", SINKS[1], preference=20)
	names.mx("mx.example", "one.mx.example", SINKS[0], preference=10)
	sent = send(server, "x@mx.example")
	message = wait_sent(server, sinks[0], sent)[0]
	assert (message.reverse_path, message.recipients) == (ALICE, ["x@mx.example"])
	assert message.data.startswith(b"Received: from ")
	assert sinks[1].messages == []


def test_next_mx_when_the_first_is_closed_refuses_or_is_silent(server, names, sinks):
	names.mx("next.example", "one.next.example", CLOSED, preference=10)
	names.mx("next.example", "two.next.example", SINKS[0], preference=20)
	names.mx("next.example", "three.next.example", SINKS[1], preference=30)
	sinks[0].script = lambda session, word, line: "421 4.3.2 not now" if word == "CONNECT" else None
	wait_sent(server, sinks[1], send(server, "x@next.example"))
	sinks[0].script = lambda session, word, line: "" if word == "EHLO" else None
	wait_sent(server, sinks[1], send(server, "x@next.example"))


def test_a38_mail_without_header_keeps_its_first_line(server, names, sinks):
	names.mx("bare.example", "mx.bare.example", SINKS[0])
	body = b"just words\r\nand more\r\n"
	with server.smtp() as client:
		client.sendmail(ALICE, ["x@bare.example", ALICE], body)
	message = wait_sent(server, sinks[0], body)[0]
	assert message.data.endswith(b"\r\n\r\n" + body)
	wait_for(lambda: any(mail.endswith(b"\n\njust words\nand more\n") for mail in server.mails(ALICE)), "the copy in the mailbox")


def test_implicit_mx(server, names, sinks):
	names.host("implicit.example", SINKS[2])
	wait_sent(server, sinks[2], send(server, "x@implicit.example"))


def test_no_implicit_mx_beside_an_mx(server, names, sinks):
	names.mx("both.example", "mx.both.example", SINKS[0])
	names.host("both.example", SINKS[1])
	wait_sent(server, sinks[0], send(server, "x@both.example"))
	assert sinks[1].messages == []


def test_null_mx_fails_for_good(server, names, sinks):
	names.add("null.example", "MX", "0 .")
	names.host("null.example", SINKS[0])
	send(server, "x@null.example")
	assert fields_of(wait_report(server, "x@null.example"))["Status"] == "5.1.10"
	assert sinks[0].connections == 0 or sinks[0].messages == []


def test_no_such_domain_fails_for_good(server):
	send(server, "x@missing.example")
	assert fields_of(wait_report(server, "x@missing.example"))["Status"] in ("5.1.2", "5.4.4")


def test_cname_of_a_domain_and_of_a_host(server, names, sinks):
	names.add("alias.example", "CNAME", "target.example.")
	names.mx("target.example", "host.target.example")
	names.add("host.target.example", "CNAME", "real.target.example.")
	names.host("real.target.example", SINKS[3])
	message = wait_sent(server, sinks[3], send(server, "x@alias.example"))[0]
	assert message.recipients == ["x@alias.example"]


def test_ipv6(server, names, sinks, port):
	if not has_ipv6():
		pytest.skip("this machine has no IPv6")
	names.mx("six.example", "mx.six.example", "::1")
	names.mx("dual.example", "mx.dual.example", CLOSED, "::1")
	with Sink("::1", port) as sink:
		wait_sent(server, sink, send(server, "x@six.example"))
		wait_sent(server, sink, send(server, "x@dual.example"))
	names.mx("four.example", "mx.four.example", "2001:db8::1", SINKS[0])
	wait_sent(server, sinks[0], send(server, "x@four.example"))


def test_idn_domain(server, names, sinks):
	names.mx("xn--bcher-kva.example", "mx.idn.example", SINKS[0])
	wait_sent(server, sinks[0], send(server, "x@xn--bcher-kva.example"))


# ---- now, later, never

def test_4xx_is_tried_again(server, names, sinks):
	names.mx("later.example", "mx.later.example", SINKS[0])
	refused = []

	def script(session, word, line):
		if word == "RCPT" and len(refused) < 2:
			refused.append(line)
			return "451 4.7.1 greylisted"
		return None

	sinks[0].script = script
	wait_sent(server, sinks[0], send(server, "x@later.example"))
	assert len(refused) == 2
	wait_queue_empty(server)


@pytest.mark.parametrize("word", ["MAIL", "RCPT", "DATA", "."])
def test_5xx_is_reported(server, names, sinks, word):
	domain = f"never-{ord(word[0])}.example"
	names.mx(domain, "mx.never.example", SINKS[0])
	sinks[0].script = lambda session, said, line: "554 5.7.9 never \x1b[31m<b>mind</b>" if said == word else None
	sent = send(server, f"x@{domain}", body=b"the body stays here\r\n")
	report = wait_report(server, f"x@{domain}")
	assert report["Return-Path"] == "<>"
	assert report["To"] and ALICE in report["To"]
	assert report["Auto-Submitted"] == "auto-replied"
	assert report.get_param("report-type") == "delivery-status"
	text, _, original = report.get_payload()
	fields = fields_of(report)
	assert fields["Reporting-MTA"] == "dns; mail.test"
	assert fields["Action"] == "failed"
	assert fields["Status"] == "5.7.9"
	assert fields["Final-Recipient"] == f"rfc822; x@{domain}"
	assert "554 5.7.9 never" in fields["Diagnostic-Code"]
	assert "Arrival-Date" in fields
	assert original.get_content_type() in ("text/rfc822-headers", "message/rfc822")
	assert sent.split(b"\r\n")[0].decode() in original.as_string()
	assert "\x1b" not in report.as_string()
	assert f"x@{domain}" in text.get_payload()
	wait_queue_empty(server)


def test_a29_the_null_sender_is_never_told(server, names, sinks):
	names.mx("nobody.example", "mx.nobody.example", SINKS[0])
	sinks[0].script = lambda session, word, line: "550 5.1.1 no" if word == "RCPT" else None
	before = {user: len(server.mails(user)) for user in (ALICE, "postmaster@mail.test")}
	send(server, "x@nobody.example", sender="")
	wait_for(lambda: any(line.startswith("RCPT TO:<x@nobody") for line in sinks[0].words("RCPT")), "the attempt")
	wait_queue_empty(server)
	sent = send(server, ALICE, sender="")  # a later one that does arrive
	wait_for(lambda: any(mail.endswith(sent.replace(b"\r\n", b"\n")) for mail in server.mails(ALICE)), "the mark")
	assert len(server.mails(ALICE)) == before[ALICE] + 1
	assert len(server.mails("postmaster@mail.test")) == before["postmaster@mail.test"]


def test_recipients_have_fates_of_their_own(server, names, sinks):
	names.mx("partial.example", "mx.partial.example", SINKS[0])
	tried = []

	def script(session, word, line):
		if word == "RCPT":
			tried.append(line)
			if "never" in line:
				return "550 5.1.1 no such"
			if "later" in line and tried.count(line) == 1:
				return "450 4.2.1 busy"
		return None

	sinks[0].script = script
	sent = send(server, "now@partial.example", "never@partial.example", "later@partial.example")
	first, second = wait_sent(server, sinks[0], sent, 2)
	assert first.recipients == ["now@partial.example"]
	assert second.recipients == ["later@partial.example"]
	assert fields_of(wait_report(server, "never@partial.example"))["Status"] == "5.1.1"
	wait_queue_empty(server)
	assert len([m for m in sinks[0].messages if m.data.endswith(sent)]) == 2


def test_one_message_for_many_recipients_of_a_domain(server, names, sinks):
	names.mx("many.example", "mx.many.example", SINKS[0])
	recipients = [f"user{i}@many.example" for i in range(60)]
	sent = send(server, *recipients)
	wait_for(lambda: sum(len(m.recipients) for m in sinks[0].messages) == 60, "all recipients")
	found = wait_sent(server, sinks[0], sent)
	assert sorted(recipient for message in found for recipient in message.recipients) == sorted(recipients)
	assert len(found) == 1


def test_a_connection_is_used_again(server, names, sinks):
	names.mx("reuse.example", "mx.reuse.example", SINKS[1])
	for _ in range(8):
		wait_sent(server, sinks[1], send(server, "x@reuse.example"))
	assert len({message.connection for message in sinks[1].messages}) == 1


@pytest.mark.parametrize("missing", [*(word.split()[0] for word in EXTENSIONS), "EHLO"])
def test_peers_that_lack_something(server, names, sinks, missing):
	domain = f"lacks-{missing.lower()}.example"
	names.mx(domain, f"mx.{domain}", SINKS[2])
	names.mx(domain, f"mx.{domain}")
	sinks[2].extensions = tuple(word for word in EXTENSIONS if not word.startswith(missing))
	if missing == "EHLO":
		sinks[2].script = lambda session, word, line: "502 5.5.1 what" if word == "EHLO" else None
	body = b".\r\n..\r\n.x\r\n" + b"y" * 900 + b"\r\n"
	message = wait_sent(server, sinks[2], send(server, f"x@{domain}", body=body))[0]
	assert missing not in message.mail_line


def test_smtputf8_to_a_peer_without_it_is_reported(server, names, sinks):
	names.mx("ascii.example", "mx.ascii.example", SINKS[3])
	sinks[3].extensions = ("PIPELINING", "8BITMIME")
	with server.smtp() as client:
		client.ehlo("client.test")
		client.send(f"MAIL FROM:<{ALICE}> SMTPUTF8\r\n".encode())
		assert client.getreply()[0] == 250
		client.send("RCPT TO:<größe@ascii.example>\r\n".encode())
		assert client.getreply()[0] == 250
		assert client.data("Subject: Größe\r\n\r\nx\r\n".encode())[0] == 250

	def find():
		return [mail for mail in server.mails(ALICE) if b"ascii.example" in mail and b"5.6.7" in mail]

	wait_for(find, "the report")
	assert not [line for line in sinks[3].words("MAIL") if "SMTPUTF8" not in line and "größe" in line]


def test_a_message_too_big_for_the_peer_is_reported(server, names, sinks):
	names.mx("small.example", "mx.small.example", SINKS[3])
	sinks[3].extensions = ("PIPELINING", "SIZE 1000")
	send(server, "x@small.example", body=b"y" * 70 + b"\r\n" + b"z\r\n" * 1000)
	assert fields_of(wait_report(server, "x@small.example"))["Status"].startswith("5.3.4")
	assert sinks[3].messages == []


def test_large_message_goes_out_byte_for_byte(server, names, sinks):
	names.mx("large.example", "mx.large.example", SINKS[0])
	body = (b"." + b"0123456789" * 7 + b"\r\n") * 30000 + b"\xff\0\xfe\r\n"
	wait_sent(server, sinks[0], send(server, "x@large.example", body=body, options=["BODY=8BITMIME"]))


# ---- TLS where it is offered

def test_starttls_is_used_where_offered_whatever_the_certificate(server, names, sinks, tmp_path):
	names.mx("tls.example", "mx.tls.example", SINKS[1])
	sinks[1].tls_context = self_signed(tmp_path, "somebody.else").server_context()
	message = wait_sent(server, sinks[1], send(server, "x@tls.example"))[0]
	assert message.tls


def test_starttls_that_fails_falls_back_to_clear(server, names, sinks, tmp_path):
	names.mx("notls.example", "mx.notls.example", SINKS[1])
	sinks[1].tls_context = self_signed(tmp_path, "somebody.else").server_context()
	sinks[1].script = lambda session, word, line: "454 4.7.0 not now" if word == "STARTTLS" else None
	message = wait_sent(server, sinks[1], send(server, "x@notls.example"))[0]
	assert not message.tls


def test_a6_a_peer_that_injects_behind_220_gets_no_mail(server, names, sinks, tmp_path):
	names.mx("inject.example", "mx.inject.example", SINKS[1])
	sinks[1].tls_context = self_signed(tmp_path, "somebody.else").server_context()
	injected = []

	def script(session, word, line):
		if word == "STARTTLS" and not injected:
			injected.append(session.number)
			session.say(b"220 2.0.0 Go\r\n250 2.0.0 injected\r\n")
			session.start_tls()
			return b""
		return None

	sinks[1].script = script
	message = wait_sent(server, sinks[1], send(server, "x@inject.example"))[0]
	assert message.connection not in injected


# ---- hostile replies

HOSTILE = {
	"endless-line": b"250 " + b"x" * 3_000_000,
	"endless-lines": b"250-x\r\n" * 300_000,
	"no-code": b"hello\r\n",
	"binary": bytes(range(256)) + b"\r\n",
	"only-code": b"2",
	"code-mix": b"250-a\r\n550 b\r\n",
	"negative": b"-250 x\r\n",
	"nothing": "",
}


def hostile_once(word, reply, hit):
	"""A script that gives this reply to this word once."""
	def script(session, said, line):
		if said == word and word not in hit:
			hit.append(word)
			session.say(reply)
			return b""
		return None

	return script


@pytest.mark.parametrize("name", HOSTILE)
def test_a11_hostile_replies_cost_one_attempt(server, names, sinks, name):
	"""At each step of the dialogue, each with a sink of its own: the mail comes through later, or its sender is told."""
	waiting, hit = [], []
	for word, sink in zip(["CONNECT", "EHLO", "MAIL", "DATA"], sinks):
		domain = f"{name}-{word.lower()}.hostile.example"
		names.mx(domain, f"mx.{domain}", sink.address)
		sink.script = hostile_once(word, HOSTILE[name], hit)
		waiting.append((domain, sink, send(server, f"x@{domain}")))
	for domain, sink, sent in waiting:
		wait_for(lambda: [m for m in sink.messages if m.data.endswith(sent)] or [mail for mail in server.mails(ALICE)
			if domain.encode() in mail], f"an outcome at {domain}; {sink.commands[-10:]}")
	assert sorted(hit) == ["CONNECT", "DATA", "EHLO", "MAIL"]


# ---- hostile DNS

def raw_answer(query, kind, *rdatas, names=None, header=None):
	"""A reply with these bytes as its records' data, right or not."""
	question = dnslib.DNSRecord.parse(query)
	body = query[12:12 + len(question.q.qname.label and b"".join(bytes([len(l)]) + l for l in question.q.qname.label)) + 5]
	records = b"".join((names or b"\xc0\x0c") + kind.to_bytes(2, "big") + b"\0\1\0\0\0\1" + len(r).to_bytes(2, "big") + r for r in rdatas)
	return query[:2] + b"\x85\x80\0\1" + len(rdatas).to_bytes(2, "big") + b"\0\0\0\0" + body + records


A20 = {
	"mx-empty": lambda q, t: raw_answer(q, 15, b""),
	"mx-one-byte": lambda q, t: raw_answer(q, 15, b"\0"),
	"mx-no-name": lambda q, t: raw_answer(q, 15, b"\0\x0a"),
	"mx-cut-label": lambda q, t: raw_answer(q, 15, b"\0\x0a\x3fabc"),
	"mx-pointer-loop": lambda q, t: raw_answer(q, 15, b"\0\x0a\xc0\x0c\xc0"),
	"name-points-at-itself": lambda q, t: raw_answer(q, 15, b"\0\x0a\0", names=b"\xc0\xff"),
	"mx-odd-bytes": lambda q, t: raw_answer(q, 15, b"\0\x0a\x05a\n\x1b;\0\x02bc\0"),
	"garbage": lambda q, t: q[:2] + os.urandom(200),
	"short": lambda q, t: q[:5],
	"silence": lambda q, t: None,
	"servfail": lambda q, t: q[:2] + b"\x85\x82\0\1\0\0\0\0\0\0" + q[12:],
	"tc-forever": lambda q, t: q[:2] + b"\x87\x80\0\1\0\0\0\0\0\0" + q[12:] if t == "udp" else None,
	"another-question": lambda q, t: raw_answer(q, 1, b"\x7f\0\0\2"),
}


@pytest.mark.parametrize("name", A20)
def test_a20_hostile_answers(server, names, sinks, name):
	"""No crash and no loss: the message waits or comes back, and mail for others flows."""
	domain = f"{name}.a20.example"
	names.answers[domain, "MX"] = A20[name]
	names.answers[domain, "A"] = lambda q, t: raw_answer(q, 1, b"\x7f\0")
	names.answers[domain, "AAAA"] = lambda q, t: raw_answer(q, 28, b"\0" * 7)
	names.mx("good.example", "mx.good.example", SINKS[0])
	pids = server.pids()
	sent = send(server, f"x@{domain}")
	wait_for(lambda: (domain, "MX") in names.asked, "the question")
	wait_sent(server, sinks[0], send(server, "x@good.example"))
	assert server.pids() == pids
	subject = sent.split(b"\r\n")[0]

	def kept():
		return [entry for entry in queued(server) if domain in str(entry)] or [m for m in server.mails(ALICE) if subject in m]

	assert wait_for(kept, "the message")
	for entry in queued(server):
		if domain in str(entry):
			server.command("queue", "remove", entry["id"])


def test_a20_many_records_and_cname_loops(server, names, sinks):
	for i in range(300):
		names.mx("hundreds.example", f"mx{i}.hundreds.example", SINKS[0], preference=i)
	wait_sent(server, sinks[0], send(server, "x@hundreds.example"))
	names.add("loop1.example", "CNAME", "loop2.example.")
	names.add("loop2.example", "CNAME", "loop1.example.")
	names.add("self.example", "CNAME", "self.example.")
	pids = server.pids()
	send(server, "x@loop1.example", "x@self.example")
	wait_for(lambda: ("self.example", "MX") in names.asked, "the question")
	wait_sent(server, sinks[0], send(server, "x@hundreds.example"))
	assert server.pids() == pids
	for entry in queued(server):
		server.command("queue", "remove", entry["id"])


def test_private_addresses_are_not_for_mail(names, sinks, port):
	"""Unless the configuration allows them: an MX in a private network is no way in (SSRF by mail)."""
	names.mx("inside.example", "mx.inside.example", "10.0.0.1", "192.168.1.1", "169.254.1.1")
	names.mx("loopback.example", "mx.loopback.example", SINKS[0])
	with Server(relay={"networks": ["127.0.0.0/8"]}, dns=names.config(), outbound={"port": port}) as server:
		server.add_user(ALICE)
		send(server, "x@inside.example", "x@loopback.example")
		wait_for(lambda: len(server.mails(ALICE)) > 0 or [entry for entry in queued(server) if "x@loopback" in str(entry)
			and "private" in str(entry).lower()], "an outcome")
		assert sinks[0].messages == []
		assert not sinks[0].words("MAIL")


# ---- the log and the queue

def test_one_log_line_for_each_attempt(server, names, sinks):
	names.mx("log.example", "mx.log.example", SINKS[0])
	sinks[0].script = lambda session, word, line: "451 4.7.1 later" if word == "RCPT" and sinks[0].script else None
	send(server, "x@log.example")
	first = server.wait_for_log(event="deferred", to="x@log.example", status="deferred")[0]
	sinks[0].script = None
	second = server.wait_for_log(event="delivered", to="x@log.example", status="delivered")[0]
	for line in (first, second):
		assert {"id", "from", "to", "relay", "dsn", "delay", "status", "reason"} <= set(line), line
	assert first["dsn"] == "4.7.1" and "451 4.7.1 later" in first["reason"]
	assert second["dsn"].startswith("2.")
	assert "mx.log.example" in second["relay"]
	assert first["id"] == second["id"]
	wait_for(lambda: "gone" in server.command("trace", first["id"]).stdout, "the end in the trace")
	steps = server.json_command("trace", first["id"])
	told = {step["event"]: step for step in steps}
	assert told["deferred"]["class"] == "recipient" and "451 4.7.1 later" in told["deferred"]["reason"]
	assert told["deferred"]["next_attempt_s"] > steps[0]["time_ms"] / 1000
	assert "mx.log.example" in told["site"]["hosts"] and "mx.log.example" in told["attempt"]["relay"]
	assert told["delivered"]["dsn"].startswith("2.")


def test_queue_commands(server, names, port):
	address = "127.0.0.8"  # nobody listens there yet
	names.host("held.example", address)
	send(server, "x@held.example")
	entry = wait_for(lambda: [entry for entry in queued(server) if "held.example" in str(entry)], "the message")[0]
	identity = entry["id"]
	assert "held.example" in server.command("queue", "list").stdout
	assert "held.example" in server.command("queue", "show", identity).stdout
	server.command("queue", "hold", identity)
	with Sink(address, port) as sink:
		server.command("queue", "flush", "--all")
		wait_sent(server, sink, send(server, "y@held.example"))
		assert [entry for entry in queued(server) if entry["id"] == identity]
		server.command("queue", "release", identity)
		wait_for(lambda: any("x@held.example" in message.recipients for message in sink.messages), "the released message")
	send(server, "z@held.example")
	entry = wait_for(lambda: [entry for entry in queued(server) if "z@held.example" in str(entry)], "the message")[0]
	server.command("queue", "remove", entry["id"])
	wait_for(lambda: not [other for other in queued(server) if other["id"] == entry["id"]], "its removal")
	assert server.command("queue", "remove", check=False).returncode != 0  # destructive, without a filter


# ---- the end of patience

def test_a_delay_is_told_and_then_the_end(expiring):
	wait_for(lambda: len(expiring.mails(ALICE)) >= 2, "warning and failure", 120)
	reports = [email.message_from_bytes(mail) for mail in expiring.mails(ALICE)]
	actions = sorted(fields_of(report)["Action"] for report in reports)
	assert actions == ["delayed", "failed"]
	failed = [fields_of(report) for report in reports if fields_of(report)["Action"] == "failed"][0]
	assert failed["Status"] in ("4.4.7", "5.4.7")
	delayed = [fields_of(report) for report in reports if fields_of(report)["Action"] == "delayed"][0]
	assert "Will-Retry-Until" in delayed
	wait_queue_empty(expiring)
