"""Every command and option of packetboat(1), driven from outside; bad input for each."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from conftest import need_namespace
from harness import PATIENCE_S, PROGRAM, Server, wait_for

EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_NOUSER, EX_UNAVAILABLE = 64, 65, 66, 67, 69
EX_CANTCREAT, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG = 73, 75, 77, 78
NO_ID = "0000000000001"
exercised = set()  # (command, option or ""): what the tests below have run with exit status 0


def program(*arguments, input=None, **options):
	options.setdefault("timeout", PATIENCE_S)
	return subprocess.run([PROGRAM, *arguments], input=input, capture_output=True, text=True, **options)


def listed_commands():
	"""The command table, as help lists it."""
	return re.findall(r"^  ([a-z]+(?: [a-z]+)?)  +\S", program("help").stdout, re.M)


def help_of(command):
	return program("help", *command.split()).stdout


def options_of(command):
	return re.findall(r"^  --([a-z]+)", help_of(command), re.M)


COMMANDS = listed_commands()
GROUPS = sorted({command.split()[0] for command in COMMANDS if " " in command})


def note(arguments):
	words = [a for a in arguments if not a.startswith("--")]
	command = " ".join(words[:2]) if words and words[0] in GROUPS else words[0]
	exercised.add((command, ""))
	for option in re.findall(r"--([a-z]+)", " ".join(arguments)):
		exercised.add((command, option))


def good(server, *arguments, input=None):
	result = server.command(*arguments, input=input)
	note(arguments)
	exercised.add((" ".join(arguments[:2]) if arguments[0] in GROUPS else arguments[0], "config"))
	return result


def bad(server, status, *arguments, input=None, says=""):
	result = server.command(*arguments, input=input, check=False)
	assert result.returncode == status, (arguments, result)
	assert says in result.stderr, (arguments, result.stderr)
	assert "Sanitizer" not in result.stderr
	return result


@pytest.fixture(scope="module")
def server():
	"""One running server that keeps what it accepts."""
	with Server(queue={"hold": True}) as running:
		yield running


@pytest.fixture
def idle():
	"""A server that is not running."""
	stopped = Server(start=False)
	stopped.write_config()
	with stopped:
		yield stopped


def submit(server, sender="alice@example.org", recipients=("bob@elsewhere.example",)):
	"""A message through a submission port; its queue id, from the reply."""
	with server.smtp("submission", user="alice@example.org") as client:
		client.mail(sender)
		for recipient in recipients:
			code, words = client.rcpt(recipient)
			assert code == 250, words
		code, words = client.data(f"From: <{sender}>\r\nSubject: hello\r\n\r\nAhoy\r\n")
		assert code == 250, words
	return re.search(rb"[0-9a-hjkmnp-tv-z]{13}", words).group().decode()


@pytest.fixture(scope="module")
def alice(server):
	server.add_user("alice@example.org", "secret")
	return "alice@example.org"


# ---- help


def test_there_are_commands():
	assert {"serve", "check", "reload", "stop", "status", "trace", "help", "version"} <= set(COMMANDS)
	assert {"user add", "user passwd", "user list", "user remove"} <= set(COMMANDS)
	assert {f"queue {word}" for word in "list show flush hold release remove".split()} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(command):
	asked = program("help", *command.split())
	option = program(*command.split(), "--help")
	assert asked.returncode == option.returncode == 0
	assert asked.stdout == option.stdout and not asked.stderr
	note(("help", *command.split(), "--config"))
	assert program("help", *command.split(), "--config", "/nonexistent").stdout == asked.stdout
	for part in (f"packetboat {command}: ", "usage: packetboat ", "\nExample\n", "\nNext\n"):
		assert part in asked.stdout


@pytest.mark.parametrize("arguments", [("help",), ("--help",), ("-h",), ("help", "user"), ("queue", "--help")])
def test_help_lists_commands(arguments):
	result = program(*arguments)
	assert result.returncode == 0 and "packetboat help COMMAND" in result.stdout


@pytest.mark.parametrize(
	"arguments, says",
	[
		((), "usage: packetboat COMMAND"),
		(("staus",), "did you mean 'status'?"),
		(("help", "staus"), "did you mean 'status'?"),
		(("user",), "add|passwd|list|remove"),
		(("queue", "lst"), "did you mean 'list'?"),
		(("status", "--jsn"), "did you mean '--json'?"),
		(("sta\x1b]0;x\x07",), "sta\\x1b]0;x\\x07"),
	],
)
def test_a_slip_is_told_what_would_be_right(arguments, says):
	result = program(*arguments)
	assert result.returncode == EX_USAGE and not result.stdout
	assert says in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_what_it_does_not_know(command):
	for wrong in (["--nonsense"], ["x"] * 1001, ["--older=never"]):
		result = program(*command.split(), *wrong)
		assert result.returncode == EX_USAGE, (command, wrong, result)
		assert result.stderr and not result.stdout


def test_version():
	words = program("version").stdout
	assert re.fullmatch(r"packetboat \d+\.\d+\.\d+\n", words)
	assert program("--version").stdout == words
	assert words.split()[1] == json.loads(program("version", "--json").stdout)["version"]
	assert program("version", "--config", "/nonexistent").stdout == words
	note(("version", "--json", "--config"))


# ---- check


def test_check_says_that_it_is_good(idle):
	result = good(idle, "check")
	assert "good" in result.stderr and not result.stdout


def test_check_names_file_line_and_column(idle):
	idle.write_config("hostname: mail.test\ntsl: {}\n")
	result = bad(idle, 1, "check", says=f"{idle.config_path}:2:1: unknown key 'tsl', did you mean 'tls'?")
	assert not result.stdout
	problems = json.loads(idle.command("check", "--json", check=False).stdout)
	assert problems["good"] is False
	assert problems["problems"][0]["line"] == 2 and problems["problems"][0]["column"] == 1


def test_check_json_of_a_good_file(idle):
	assert json.loads(good(idle, "check", "--json").stdout) == {"good": True, "problems": []}


def test_check_explains_each_value(idle):
	words = good(idle, "check", "--explain").stdout
	assert re.search(rf"^hostname: mail.test \({idle.config_path}:\d+\)$", words, re.M)
	assert "limits.message_size: 50MiB (default)" in words
	bad(idle, EX_USAGE, "check", "--explain", "--json")


def test_check_prints_an_example_that_is_good(idle):
	example = good(idle, "check", "--example").stdout
	assert "message_size" in example
	idle.write_config("hostname: mail.test\n" + "\n".join(line for line in example.splitlines() if line.startswith("#")))
	good(idle, "check")


def test_check_of_a_missing_file():
	result = program("check", "--config", "/nonexistent/x.yaml")
	assert result.returncode == 1 and "/nonexistent/x.yaml" in result.stderr


@pytest.fixture
def certificate(tmp_path):
	def make(name="mail.test", days=90):
		subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
			"-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem", "-days", str(days),
			"-subj", f"/CN={name}"], check=True, capture_output=True)
		return {"certificate": str(tmp_path / f"{name}.pem"), "key": str(tmp_path / f"{name}.key")}
	return make


def check_pair(idle, pair):
	idle.config["tls"] = {"certificates": [pair]}
	idle.write_config()
	return idle.command("check", check=False)


def test_check_looks_at_certificates(idle, certificate):
	assert check_pair(idle, certificate()).returncode == 0
	soon = check_pair(idle, certificate("soon.test", 3))
	assert soon.returncode == 0 and "expires within two weeks" in soon.stderr
	mixed = check_pair(idle, {**certificate("a.test"), "key": certificate("b.test")["key"]})
	assert mixed.returncode == 1 and "does not belong to" in mixed.stderr
	missing = check_pair(idle, {"certificate": "/nonexistent.pem", "key": "/nonexistent.key"})
	assert missing.returncode == 1
	assert re.search(rf"{idle.config_path}:\d+:\d+: certificate: cannot read /nonexistent.pem", missing.stderr)


# ---- the server as a whole


def test_serve_refuses_a_bad_file(idle):
	idle.write_config("hostname: mail.test\nports: 25\n")
	bad(idle, EX_CONFIG, "serve", says="packetboat.yaml:2:1: unknown key 'ports'")


def test_serve_says_where_an_unusable_certificate_is_named(idle, certificate):
	for pair, says in (
		({"certificate": "/nonexistent.pem", "key": "/nonexistent.key"}, "certificate: cannot read /nonexistent.pem"),
		({**certificate("a.test"), "key": certificate("b.test")["key"]}, "key: does not belong to the certificate"),
	):
		idle.config["tls"] = {"certificates": [pair]}
		idle.write_config()
		result = bad(idle, EX_CONFIG, "serve", says=says)
		assert re.fullmatch(rf"{idle.config_path}:\d+:\d+: .*\n", result.stderr), result.stderr


def test_serve_on_a_read_only_disk_says_so(idle, tmp_path):
	need_namespace("a read-only disk")
	command = f"mount -t tmpfs -o ro tmpfs {tmp_path} && exec {PROGRAM} serve --config {idle.config_path}"
	idle.config["data_dir"] = f"{tmp_path}/data"
	idle.write_config()
	result = subprocess.run(["unshare", "--mount", "sh", "-c", command], capture_output=True, text=True, timeout=PATIENCE_S)
	assert result.returncode == 71, result
	assert f"cannot prepare the folder {tmp_path}/data: the file system is read-only" in result.stderr


def test_serve_refuses_a_second_server(server):
	result = bad(server, 71, "serve", says="another server runs")
	assert "packetboat stop" in result.stderr
	note(("serve", "--config"))  # the fixture runs it


def test_status_of_a_ready_server(server):
	result = good(server, "status")
	for word in ("mail.test is ready", "PORT", "submission", "implicit", "keeper", "receive"):
		assert word in result.stdout
	data = json.loads(good(server, "status", "--json").stdout)
	assert data["state"] == "ready"
	assert {process["name"] for process in data["processes"]} == {"keeper", "facts", "deliver", "receive"}
	assert {port["port"] for port in data["ports"]} == set(server.ports.values())


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.split()[0] in ("status", "reload", "stop")
	or c in ("queue flush", "queue hold", "queue release", "queue remove")])
def test_without_a_server_it_is_said_how_to_start_one(idle, command):
	arguments = command.split() + ([NO_ID] if command.startswith("queue") else [])
	result = bad(idle, EX_UNAVAILABLE, *arguments, says="no server is running")
	assert f"packetboat serve --config {idle.config_path}" in result.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.split()[0] not in ("help", "version", "serve", "check")])
def test_without_a_configuration_it_is_said(command):
	more = {"user list": [], "queue list": [], "status": [], "reload": [], "stop": []}
	value = "a@example.org" if command.startswith("user") else NO_ID
	result = program(*command.split(), *more.get(command, [value]), "--config", "/nonexistent/x.yaml", input="x\n")
	assert result.returncode == EX_CONFIG and "/nonexistent/x.yaml" in result.stderr
	assert "--config" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
@pytest.mark.parametrize("command", ["status", "reload", "stop", "user list", "queue list"])
def test_a_stranger_may_not_command_the_server(server, command):
	stranger = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
	result = subprocess.run([*stranger, PROGRAM, *command.split(), "--config", server.config_path], capture_output=True,
		text=True, timeout=PATIENCE_S)
	assert result.returncode == EX_NOPERM, result
	assert "root may" in result.stderr


def test_a_process_that_hangs_is_seen_and_the_others_go_on():
	with Server() as server:
		server.add_user("alice@example.org")
		deliver = next(p["pid"] for p in server.json_command("status")["processes"] if p["name"] == "deliver")
		os.kill(deliver, signal.SIGSTOP)
		try:
			submit(server, recipients=["alice@example.org"])
			result = bad(server, EX_TEMPFAIL, "status", says="not every process is ready")
			assert re.search(r"^deliver +silent ", result.stdout, re.M), result.stdout
		finally:
			os.kill(deliver, signal.SIGCONT)
		server.wait_for_mail("alice@example.org")


def test_the_queue_is_shown_while_the_configuration_is_being_changed(server, alice):
	text = server.config_path.read_text()
	identifier = submit(server)
	server.write_config(text.replace('"domains"', '"domain"'))
	try:
		assert identifier in server.command("queue", "list").stdout
	finally:
		server.write_config(text)


def test_reload(server):
	good(server, "reload")
	before = server.config_path.read_text()
	try:
		server.config_path.write_text(json.dumps({**server.config, "nonsense": 1}, indent=1))
		result = bad(server, EX_CONFIG, "reload", says="nothing was changed")
		assert f"{server.config_path}:" in result.stderr
		assert server.command("status").returncode == 0  # a broken file hides no server
	finally:
		server.config_path.write_text(before)


def test_a_server_is_not_looked_for_in_a_place_that_is_no_good(idle):
	idle.write_config("hostname: mail.test\ndata_dir: var/lib\n")
	bad(idle, EX_CONFIG, "stop", says="packetboat.yaml:2:11: data_dir: a path must begin with '/'")


def test_stop_waits_until_it_has_stopped():
	with Server() as running:
		result = good(running, "stop")
		assert "stopped" in result.stderr
		assert running.process.wait(2) == 0
		bad(running, EX_UNAVAILABLE, "stop")


# ---- users


def test_users_while_the_server_runs(server):
	check_users(server)


def test_users_while_the_server_is_down(idle):
	assert "no users yet" in good(idle, "user", "list").stderr
	check_users(idle)


def check_users(server):
	good(server, "user", "add", "zoe@example.org", "--sender", "*@shop.example.org", "--sender=zoe@example.net", input="secret\n")
	listed = [user for user in server.json_command("user", "list") if user["address"] == "zoe@example.org"]
	assert listed == [{"address": "zoe@example.org", "disabled": False, "damaged": False, "senders": ["*@shop.example.org", "zoe@example.net"]}]
	assert "*@shop.example.org, zoe@example.net" in good(server, "user", "list").stdout
	note(("user", "list", "--json"))
	bad(server, EX_CANTCREAT, "user", "add", "zoe@example.org", input="other\n", says="there is such a user already")
	good(server, "user", "passwd", "zoe@example.org", input="changed\n")
	good(server, "user", "remove", "zoe@example.org")
	bad(server, EX_NOUSER, "user", "remove", "zoe@example.org", says="there is no such user")
	bad(server, EX_NOUSER, "user", "passwd", "zoe@example.org", input="x\n", says="there is no such user")
	for address in ("no-address", "a@b@c.example", "a@[127.0.0.1]", "", "\x1b[2J@example.org"):
		bad(server, EX_DATAERR, "user", "add", address, input="x\n", says="no mail address")
	bad(server, EX_NOINPUT, "user", "add", "zoe@example.org", input="", says="no password")
	bad(server, EX_NOINPUT, "user", "add", "zoe@example.org", input="\n", says="no password")
	bad(server, EX_DATAERR, "user", "add", "zoe@example.org", input="x" * 512 + "\n", says="too long")
	bad(server, EX_DATAERR, "user", "add", "zoe@example.org", input="a\0b\n", says="NUL")


def test_a_user_made_while_the_server_was_down_can_log_in():
	with Server(start=False) as later:
		later.write_config()
		good(later, "user", "add", "alice@example.org", input="secret\n")
		later.start()
		with later.smtp("submission", user="alice@example.org", password="secret") as client:
			assert client.noop()[0] == 250
		good(later, "user", "passwd", "alice@example.org", input="changed\n")
		with later.smtp("submission", user="alice@example.org", password="changed") as client:
			assert client.noop()[0] == 250


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_root_leaves_what_belongs_to_another_user(idle):
	idle.folder.chmod(0o777)
	nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
	asked = [PROGRAM, "user", "list", "--json", "--config", idle.config_path]
	assert subprocess.run([*nobody, *asked], capture_output=True, timeout=PATIENCE_S).stdout == b"[]\n"
	good(idle, "user", "add", "alice@example.org", input="x\n")
	after = subprocess.run([*nobody, *asked], capture_output=True, timeout=PATIENCE_S)
	assert json.loads(after.stdout)[0]["address"] == "alice@example.org"
	assert {path.owner() for path in (idle.folder / "data").rglob("*")} == {"nobody"}
	assert ids(idle) == []


def test_a_user_of_a_foreign_domain_is_remarked(idle):
	assert "no mail arrives there" in good(idle, "user", "add", "bob@foreign.example", input="x\n").stderr


@contextlib.contextmanager
def terminal(*command):
	"""The program on a terminal of its own: (write, read until text, the process)."""
	master, slave = pty.openpty()
	process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
	os.close(slave)
	seen = b""

	def until(text):
		nonlocal seen
		deadline = time.monotonic() + PATIENCE_S
		while text not in seen:
			assert select.select([master], [], [], max(0, deadline - time.monotonic()))[0], seen
			try:
				seen += os.read(master, 4096)
			except OSError:
				break
		assert text in seen, seen
		before, _, seen = seen.partition(text)
		return before + text

	try:
		yield (lambda text: os.write(master, text)), until, process
	finally:
		process.kill()
		process.wait()
		os.close(master)


def user_add(idle):
	return terminal(PROGRAM, "user", "add", "alice@example.org", "--config", idle.config_path)


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(idle):
	with user_add(idle) as (write, until, process):
		until(b"Password for alice@example.org: ")
		write(b"tell-nobody\n")
		shown = until(b"The same again for alice@example.org: ")
		write(b"tell-nobody\n")
		shown += until(b"may log in now")
		assert process.wait(PATIENCE_S) == 0
		assert b"tell-nobody" not in shown


def test_two_different_passwords_change_nothing(idle):
	with user_add(idle) as (write, until, process):
		until(b": ")
		write(b"one\n")
		until(b": ")
		write(b"two\n")
		until(b"not the same")
		assert process.wait(PATIENCE_S) == EX_DATAERR
	assert idle.json_command("user", "list") == []


def test_an_interrupt_at_the_password_changes_nothing(idle):
	with user_add(idle) as (write, until, process):
		until(b": ")
		write(b"half\x03")
		until(b"interrupted; nothing was changed")
		assert process.wait(PATIENCE_S) == EX_NOINPUT
	assert idle.json_command("user", "list") == []


# ---- the queue


@pytest.fixture(scope="module")
def held(server, alice):
	"""Queue ids: one to elsewhere.example, one to two places."""
	return [submit(server), submit(server, recipients=("bob@elsewhere.example", "carol@mx.example.net"))]


def ids(server, *filters):
	note(("queue", "list", "--json", *filters))
	return [message["id"] for message in server.json_command("queue", "list", *filters)]


def test_queue_list(server, held):
	table = good(server, "queue", "list")
	for text in (*held, "alice@example.org", "carol@mx.example.net"):
		assert text in table.stdout
	assert set(held) <= set(ids(server))


@pytest.mark.parametrize(
	"filters, chosen",
	[
		(("--from", "alice@example.org"), [0, 1]),
		(("--from", "<>"), []),
		(("--to", "*@mx.example.net"), [1]),
		(("--to", "*@*.example.net"), [1]),
		(("--site", "elsewhere.example"), [0, 1]),
		(("--older", "1h"), []),
		(("--older", "0s"), [0, 1]),
		(("--reason", "no such reason"), []),
	],
)
def test_queue_list_chooses(server, held, filters, chosen):
	assert [id for id in ids(server, *filters) if id in held] == [held[i] for i in chosen]


def test_queue_show(server, held):
	words = good(server, "queue", "show", held[1]).stdout
	for text in (held[1], "alice@example.org", "bob@elsewhere.example", "carol@mx.example.net"):
		assert text in words
	message = json.loads(good(server, "queue", "show", held[1], "--json").stdout)
	assert message["id"] == held[1]
	assert [recipient["to"] for recipient in message["recipients"]] == ["bob@elsewhere.example", "carol@mx.example.net"]


@pytest.mark.parametrize("command", ["flush", "hold", "release", "remove"])
def test_queue_changes_by_id_by_filter_and_all(server, alice, command):
	id = submit(server)
	filters = [("--from", alice), ("--to", "*@elsewhere.example"), ("--site", "elsewhere.example"), ("--older", "0s"),
		("--reason", "no such reason"), ("--all",)]
	for choice in filters if command != "remove" else filters[4:5]:
		good(server, "queue", command, *choice)
	words = {"flush": "to be tried now", "hold": "held", "release": "released", "remove": "removed"}
	assert f"1 message {words[command]}" in good(server, "queue", command, id).stderr
	assert (id in ids(server)) == (command != "remove")
	if command == "hold":
		assert server.json_command("queue", "show", id)["held"] is True
		assert "held" in server.command("queue", "list").stdout
	if command == "release":
		assert server.json_command("queue", "show", id)["held"] is False


def test_queue_remove_by_each_filter(server, alice):  # and so all that the tests above have queued
	for choice in (("--from", alice), ("--to", "*@elsewhere.example"), ("--site", "elsewhere.example"), ("--older", "0s"),
			("--all", "--json")):
		id = submit(server)
		good(server, "queue", "remove", *choice)
		assert id not in ids(server)


@pytest.mark.parametrize("command", ["flush", "hold", "release"])
def test_queue_changes_say_how_many_as_json(server, alice, command):
	submit(server)
	assert json.loads(good(server, "queue", command, "--all", "--json").stdout)["messages"] >= 1


@pytest.mark.parametrize("command", ["hold", "release", "remove"])
def test_queue_changes_without_a_choice_need_all(server, command):
	bad(server, EX_USAGE, "queue", command, says="--all")


@pytest.mark.parametrize("command", ["show", "flush", "hold", "release", "remove"])
def test_queue_refuses_ids_without_form(server, command):
	bad(server, EX_USAGE, "queue", command, "../../etc", says="is no queue id")


def test_queue_show_of_an_unknown_id(server):
	result = server.command("queue", "show", NO_ID, check=False)
	assert result.returncode not in (0, EX_USAGE) and result.stderr


@pytest.mark.parametrize("command", ["list", "flush", "hold", "release", "remove"])
def test_queue_refuses_filters_without_form(server, command):
	bad(server, EX_USAGE, "queue", command, "--older", "soon", says="is no duration")
	bad(server, EX_USAGE, "queue", command, "--from", "a@b@c", says="is no address pattern")
	bad(server, EX_USAGE, "queue", command, "--to", "", says="is no address pattern")
	bad(server, EX_USAGE, "queue", command, "--site", "", says="--site")
	bad(server, EX_USAGE, "queue", command, "--reason", "", says="--reason")


def test_the_queue_can_be_seen_while_the_server_is_down():
	with Server(queue={"hold": True}) as running:
		running.add_user("alice@example.org")
		id, other = submit(running), submit(running, recipients=("carol@mx.example.net",))
		alive = json.loads(running.command("queue", "show", id, "--json").stdout)
		running.command("stop")
		result = good(running, "queue", "list")
		assert id in result.stdout and "no server is running" in result.stderr
		assert ids(running, "--to", "*@mx.example.net") == [other]
		assert json.loads(good(running, "queue", "show", id, "--json").stdout) == alive
		assert "bob@elsewhere.example" in good(running, "queue", "show", id).stdout
		bad(running, EX_NOINPUT, "queue", "show", NO_ID, says="no such message waits")


def test_the_queue_of_a_server_that_never_ran_is_empty(idle):
	assert ids(idle) == []
	assert "no such messages wait" in good(idle, "queue", "list").stderr


# ---- trace


def traced(server, id, *events):
	"""The steps of a message, once all of these events are among them."""
	def steps():
		result = server.command("trace", id, "--json", check=False)
		found = json.loads(result.stdout) if result.returncode == 0 else []
		return set(events) <= {step["event"] for step in found} and found
	return wait_for(steps, f"the events {events} in the trace of {id}")


def step(steps, event, **fields):
	"""The one step of this event with these fields."""
	found = [s for s in steps if s["event"] == event and fields.items() <= s.items()]
	assert len(found) == 1, (event, fields, steps)
	return found[0]


def ids_in_log(server, **fields):
	return [line["id"] for line in server.wait_for_log(**fields)]


def test_trace_of_a_message_that_waits(server, alice):
	id = submit(server)
	steps = traced(server, id, "accepted", "queued", "waiting")
	events = [s["event"] for s in steps]
	assert [e for e in events if e != "queued"] == ["connection", "mail", "rcpt", "data", "header", "stored", "accepted",
		"waiting"], "what the server knows comes last, and the arrival is told once"
	assert step(steps, "connection")["login"] == alice and step(steps, "connection")["tls"].startswith("TLSv1")
	assert step(steps, "mail")["from"] == alice
	assert step(steps, "rcpt", to="bob@elsewhere.example", reason="login", destination="onward")["reply"].startswith("250 ")
	assert id in step(steps, "accepted")["reply"]
	words = good(server, "trace", id).stdout
	assert words.splitlines()[0].startswith(id) and "bob@elsewhere.example" in words
	assert good(server, "trace", id, "--json")


def test_trace_of_what_has_left_the_queue_with_the_server_up_and_down():
	with Server(aliases={"info@example.org": ["alice@example.org", "carol@example.org"]}) as running:
		for user in ("alice", "carol"):
			running.add_user(f"{user}@example.org")
		id = submit(running, recipients=("info@example.org",))
		before = traced(running, id, "gone")
		rcpt = step(before, "rcpt", to="info@example.org", destination="here", reason="directory")
		assert sorted(rcpt["expanded"].split(", ")) == ["alice@example.org", "carol@example.org"]
		for user in ("alice", "carol"):
			step(before, "routed", to=f"{user}@example.org", route="mailbox")
			step(before, "delivered", to=f"{user}@example.org", relay="maildir")
		assert [s["time_ms"] for s in before] == sorted(s["time_ms"] for s in before)
		running.stop()
		assert json.loads(good(running, "trace", id, "--json").stdout) == before
		bad(running, EX_NOINPUT, "trace", NO_ID, says="the traces reach back to 20")


def test_trace_of_a_refused_message_and_its_log_lines(server, alice):
	with server.smtp("submission", user=alice) as client:
		client.mail(alice)
		client.rcpt("bob@elsewhere.example")
		code, _ = client.data("From: <boss@example.net>\r\n\r\nx\r\n")
		assert code == 550
	id = ids_in_log(server, event="refused", command="DATA")[-1]
	steps = traced(server, id, "refused")
	assert step(steps, "header")["verdict"] == "refuse"
	assert step(steps, "refused")["reply"].startswith("550 5.7.1 ")
	with server.smtp() as client:
		client.ehlo()
		client.mail("x@elsewhere.example")
		assert client.rcpt("y@third.example")[0] == 550
	id = ids_in_log(server, event="refused", command="RCPT", to="y@third.example")[-1]
	assert step(traced(server, id, "rcpt"), "rcpt")["reason"] == "relaying_denied"


def test_trace_of_a_bounce_and_of_a_deferral():
	with Server() as running:
		for user in ("alice", "carol"):
			running.add_user(f"{user}@example.org")
		with running.smtp("submission", user="carol@example.org") as client:  # a loop, which fails for good
			client.sendmail("carol@example.org", ["alice@example.org"],
				"Delivered-To: alice@example.org\r\nFrom: <carol@example.org>\r\n\r\nx\r\n")
		id = ids_in_log(running, event="failed", to="alice@example.org")[0]
		steps = traced(running, id, "bounce", "gone")
		assert step(steps, "failed", to="alice@example.org")["dsn"] == "5.4.6"
		bounce = step(steps, "bounce", to="carol@example.org")["report"]
		steps = traced(running, bounce, "bounce_of", "delivered")
		assert step(steps, "bounce_of")["original"] == id and steps[0]["event"] == "bounce_of"
		id = submit(running, recipients=("bob@elsewhere.example",))  # the DNS of these tests answers nothing
		steps = traced(running, id, "deferred", "waiting")
		assert step(steps, "routed")["reason"] == "no route matches"
		assert step(steps, "deferred")["class"] == "dns" and step(steps, "deferred")["next_attempt_s"] > time.time()
		running.stop()
		assert "deferred" in good(running, "trace", id).stdout


def test_trace_of_what_is_not_known(server):
	bad(server, EX_NOINPUT, "trace", NO_ID, says="no trace of such a message")
	bad(server, EX_USAGE, "trace", "x", says="is no queue id")


def test_trace_can_be_turned_off():
	with Server(trace={"size": "0B"}) as running:
		running.add_user("alice@example.org")
		id = submit(running, recipients=("alice@example.org",))
		running.wait_for_mail("alice@example.org")
		wait_for(lambda: id not in ids(running), "the message to leave the queue")
		bad(running, EX_NOINPUT, "trace", id, says="tracing is off")
		running.config["trace"] = {"size": "64MiB"}
		running.write_config()
		running.command("reload")
		traced(running, submit(running, recipients=("alice@example.org",)), "accepted", "gone")


def test_a54_traces_hold_no_secret_and_are_for_their_owner_alone():
	with Server() as running:
		running.add_user("alice@example.org", "secret")
		traced(running, submit(running, recipients=("alice@example.org",)), "gone")
		spool = running.folder / "data" / "spool"
		folders = [spool / "receive" / "trace", spool / "deliver" / "trace"]
		files = [file for folder in folders for file in folder.iterdir()]
		assert len(files) >= 2 and all(file.stat().st_mode & 0o007 == 0 for file in [*folders, *files])
		for file in files:
			data = file.read_bytes()
			assert b"alice@example.org" in data
			assert b"secret" not in data and b"Ahoy" not in data


def test_a24_a_trace_commands_no_terminal(server):
	with server.smtp() as client:
		client.ehlo()
		client.mail("x@elsewhere.example")
		client.docmd("RCPT TO:<\"a\x1b[2J\"@elsewhere.example>")
		client.rcpt("y@fourth.example")
	id = ids_in_log(server, event="refused", command="RCPT", to="y@fourth.example")[-1]
	traced(server, id, "rcpt")
	assert "\x1b" not in good(server, "trace", id).stdout


# ---- the whole table


def test_colours_are_for_terminals_only(server):
	assert "\x1b" not in server.command("status").stdout
	with terminal(PROGRAM, "status", "--config", server.config_path) as (_, until, process):
		assert b"\x1b[32mready\x1b[0m" in until(b"PROCESS") + until(b"receive")
		assert process.wait(PATIENCE_S) == 0


def test_zz_every_command_and_option_was_exercised():
	"""Runs last: fails for a command or option that nothing above has run with success."""
	wanted = {(command, option) for command in COMMANDS for option in ["", *options_of(command)]}
	assert wanted - exercised == set()
