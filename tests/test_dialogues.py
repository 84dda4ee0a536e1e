"""Other people's SMTP dialogues (CONFORMANCE_DIR/smtp-dialogues), replayed over the wire.

Replies are compared by their codes: the words behind them are each server's own. DIFFERS lists the dialogues that want
another code than ours, with the reason; a listed one that begins to agree fails, so that the list stays true.
"""

import ast
import operator
import re

import pytest

from harness import CONFORMANCE, Server, Wire, wait_for

FOLDER = CONFORMANCE / "smtp-dialogues"

DIFFERS = {
	"james-mpt/authplain.test": "AUTH without TLS and without EHLO: refused here, always",
	"james-mpt/starttls_session_fixation.test": "AUTH in clear: refused here, always",
	"james-mpt/starttls_with_injection.test": "451 there; 554 here, for good, and closed",
	"james-mpt/helo.test": "pipelines behind EHLO, which RFC 2920 section 3.1 forbids",
	"james-mpt/data_with_starttls.test": "pipelines behind EHLO, which RFC 2920 section 3.1 forbids",
	"james-mpt/data_starts_with_starttls.test": "pipelines behind EHLO, which RFC 2920 section 3.1 forbids",
	"james-mpt/rcpt_with_starttls.test": "pipelines behind EHLO, which RFC 2920 section 3.1 forbids",
	"chasquid-t12/auth_multi_dialog.cmy": "unknown mechanism: 534 there, 504 here (RFC 4954 section 4)",
	"chasquid-t12/auth_not_tls.cmy": "AUTH without TLS on a relay port: 503 there, 502 here: it has no AUTH at all",
	"chasquid-t12/auth_too_many_failures.cmy": "the last error gets 421 there; here its own reply, and then 421",
	"chasquid-t12/bad_data.cmy": "a malformed header from another server is refused there, passed on here",
	"chasquid-t12/bad_data_dot.cmy": "bare LF: 521 there, 550 here; both close",
	"chasquid-t12/bad_data_dot_2.cmy": "bare LF: 521 there, 550 here; both close",
	"chasquid-t12/bad_data_dot_on_message_too_big.cmy": "bare LF: 521 there, 550 here; both close",
	"chasquid-t12/bad_mail_from.cmy": "MAIL without FROM: 500 there, 501 here (RFC 5321 section 4.2.4)",
	"chasquid-t12/bad_rcpt_to.cmy": "RCPT without TO: 500 there, 501 here (RFC 5321 section 4.2.4)",
	"chasquid-t12/line_too_long.cmy": "a long line: 554 there, 500 here (RFC 5321 section 4.5.3.1.10)",
	"chasquid-t12/wrong_proto.cmy": "HTTP: 502 there, 554 here; both close",
	"smtpscript/mailfrom-max-local-part1": "its local part has 66 octets, not 64 (RFC 5321 section 4.5.3.1.1)",
}


class Disagreement(Exception):
	pass


@pytest.fixture(scope="module")
def server():
	if not FOLDER.is_dir():
		pytest.skip(f"no {FOLDER}")
	with Server(hostname="mydomain.tld", domains={"mydomain.tld": {"deliver": "maildir"}, "testserver": {"deliver": "maildir"}},
			limits={"message_size": "1MiB", "errors": 2, "connections_per_address": 1000}) as server:
		server.add_user("bob@mydomain.tld", "secret")
		server.add_user("starttls@mydomain.tld", "secret")
		server.add_user("user@testserver", "secretpassword")
		yield server


def check(reply, code):
	if not reply.startswith(code):
		raise Disagreement(f"{reply!r}, not {code}")


# ---- James's mpt: C: and S: lines; several C: lines in a row are sent together

def james_steps(text):
	"""("C", line) and ("S", code): the lines of one reply are one step."""
	for line in text.splitlines():
		side, _, rest = line.partition(":")
		rest = rest.removeprefix(" ")
		if side == "C":
			yield "C", rest.replace("\\r\\n", "\r\n")
		elif side == "S" and not re.match(r"\d{3}(-|\.\*)", rest):
			yield "S", rest[:3]


def run_james(server, text):
	with Wire(server, "submission" if "AUTH LOGIN\n" in text else "relay", greet=False) as wire:
		group = ""
		for side, what in james_steps(text):
			if side == "C":
				group += what if what.endswith("\r\n") else what + "\r\n"
				continue
			if group:
				wire.send(group)
				group = ""
			check(wire.reply(), what)


# ---- chasquid's cmy: c -> line, c ~> expression, c <- and <~ reply, c <... up to the last line of a reply

OPERATORS = {ast.Add: operator.add, ast.Mult: operator.mul}


def evaluate(node):
	"""Strings and numbers with + and *, nothing else."""
	if isinstance(node, ast.Constant):
		return node.value
	return OPERATORS[type(node.op)](evaluate(node.left), evaluate(node.right))


class Cmy:
	def __init__(self, server):
		self.server, self.wire = server, None

	def close(self):
		if self.wire:
			self.wire.close()

	def connect(self, listener):
		self.close()
		self.wire = Wire(self.server, listener, greet=False)
		if listener == "submissions":
			self.wire.start_tls()

	def run(self, line):
		action, _, rest = line.removeprefix("c ").partition(" ")
		if action in ("tcp_connect", "tls_connect"):
			self.connect("submissions" if action == "tls_connect" else "relay")
		elif action == "close":
			self.close()
		elif action == "->":
			self.wire.send(rest + "\r\n")
		elif action == "~>":
			self.wire.send(evaluate(ast.parse(rest, mode="eval").body))
		else:
			assert action in ("<-", "<~", "<..."), line
			check(self.wire.reply(), rest[:3])


def run_cmy(server, text):
	cmy = Cmy(server)
	try:
		for line in text.splitlines():
			if line.strip() and not line.startswith("#"):
				cmy.run(line)
	finally:
		cmy.close()


# ---- smtpscript: test cases of writeln and expect

CLASSES = {"ok": "2", "helo": "2", "permfail": "5", "tempfail": "4"}


def smtpscript_cases():
	path = FOLDER / "smtpscript" / "regress"
	if not path.is_file():
		return {}
	text = path.read_text()
	return dict(re.findall(r'^test-case name "([^"]+)" \{\n(.*?)^\}', text, re.M | re.S))


def run_smtpscript(server, text):
	text = text.replace("call init-helo", 'expect smtp ok\nwriteln "HELO regress"\nexpect smtp helo')
	with Wire(server, greet=False) as wire:
		for line in map(str.strip, text.splitlines()):
			if match := re.fullmatch(r'writeln "(.*)"', line):
				wire.send(match.group(1) + "\r\n")
			elif match := re.fullmatch(r"expect smtp (\w+)", line):
				check(wire.reply(), CLASSES[match.group(1)])


# ---- all of them

RUNNERS = {"james-mpt": run_james, "chasquid-t12": run_cmy}


def dialogues():
	found = {f"smtpscript/{name}": (run_smtpscript, text) for name, text in smtpscript_cases().items()}
	for path in sorted(FOLDER.glob("*/*")):
		if path.suffix in (".test", ".cmy"):
			found[f"{path.parent.name}/{path.name}"] = (RUNNERS[path.parent.name], path.read_text())
	return found


DIALOGUES = dialogues()


@pytest.mark.parametrize("name", DIALOGUES or ["none"])
def test_dialogue(server, name):
	run, text = DIALOGUES[name]
	before = len(server.mails("user@testserver"))
	try:
		run(server, text)
	except (Disagreement, OSError) as difference:
		if name not in DIFFERS:
			pytest.fail(f"{name}: {difference}")
		return
	assert name not in DIFFERS, f"{name} agrees now: take it off the list ({DIFFERS[name]})"
	verify = FOLDER / f"{name}.verify"
	if verify.exists():
		wait_for(lambda: len(server.mails("user@testserver")) > before, "the message")
		wanted = verify.read_bytes().rstrip()
		assert any(mail.rstrip().endswith(wanted) for mail in server.mails("user@testserver"))


def test_the_list_names_dialogues_that_exist():
	if not FOLDER.is_dir():
		pytest.skip(f"no {FOLDER}")
	assert set(DIFFERS) <= set(DIALOGUES)
	assert len(DIALOGUES) >= 30
