"""Delivery through a smarthost: its ports, TLS, and a login that only a verified peer gets. Attack items A36 and A54."""

import pytest

from certificates import Authority, self_signed
from conftest import need_namespace
from harness import Server, free_port, wait_for
from mailing import ALICE, queued, send, wait_sent
from names import Names
from sink import Sink

ADDRESS = "127.0.0.2"


@pytest.fixture(scope="module")
def names():
	with Names() as names:
		yield names


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
	folder = tmp_path_factory.mktemp("authority")
	folder.chmod(0o755)
	return Authority(folder)


TRUSTED = "mount --make-rprivate /; mount --bind {} /etc/ssl/certs/ca-certificates.crt"


@pytest.fixture(scope="module")
def smarthosts(names, authority, tmp_path_factory):
	"""One server, one smarthost for each domain; its own authority is the only one that it trusts."""
	need_namespace("an authority of the test's own is mounted over the system's")
	folder = tmp_path_factory.mktemp("smarthosts")
	folder.chmod(0o755)
	password = folder / "password"
	password.write_text("the smarthost password\n")
	login = ("packetboat", "the smarthost password")
	good = authority.sign("smart.example", "smart").server_context()
	wrong_name = authority.sign("other.example", "other").server_context()
	unknown = self_signed(folder, "smart.example", "unknown").server_context()
	sinks = {
		"plain": Sink(ADDRESS, logins=login),
		"starttls": Sink(ADDRESS, tls_context=good, logins=login),
		"wrongname": Sink(ADDRESS, tls_context=wrong_name, logins=login),
		"unknown": Sink(ADDRESS, tls_context=unknown, logins=login),
		"nologin": Sink(ADDRESS),
		"required": Sink(ADDRESS, tls_context=unknown),
	}
	try:
		sinks["implicit"] = Sink(ADDRESS, 465, tls_context=good, implicit=True, logins=login)
	except OSError:
		pass
	names.host("smart.example", ADDRESS)
	closed = free_port(ADDRESS)
	routes = []
	for name, sink in sinks.items():
		via = {"host": "smart.example", "ports": [closed, sink.port]}
		if name not in ("nologin", "required"):
			via |= {"username": login[0], "password_file": str(password)}
		routes.append({"to": f"{name}.example", "via": via} | ({"tls": "required"} if name == "required" else {}))
	routes.append({"to": "badpassword.example", "via": {"host": "smart.example", "ports": [sinks["starttls"].port],
		"username": "somebody", "password_file": str(password)}})
	routes.append({"to": "requiredplain.example", "via": {"host": "smart.example", "ports": [sinks["nologin"].port]}, "tls": "required"})
	with Server(inside=TRUSTED.format(authority.pair.certificate), dns=names.config(), routes=routes,
			relay={"networks": ["127.0.0.0/8"]}, queue={"retry_first": "1s", "retry_longest": "1s"},
			outbound={"allow_private_addresses": True, "connect_time": "3s", "reply_time": "3s",
				"site": {"backoff_first": "1s", "backoff": "1s", "failures": 1000}}) as server:
		server.add_user(ALICE)
		server.sinks = sinks
		yield server
	for sink in sinks.values():
		sink.__exit__()


def test_smarthost_second_port_when_the_first_is_closed(smarthosts):
	sent = send(smarthosts, "x@nologin.example")
	message = wait_sent(smarthosts, smarthosts.sinks["nologin"], sent)[0]
	assert message.login is None


@pytest.mark.parametrize("name", ["starttls", "implicit"])
def test_smarthost_login_over_verified_tls(smarthosts, name):
	if name not in smarthosts.sinks:
		pytest.skip("port 465 of 127.0.0.2 is taken")
	message = wait_sent(smarthosts, smarthosts.sinks[name], send(smarthosts, f"x@{name}.example"))[0]
	assert message.tls
	assert message.login == ("packetboat", "the smarthost password")


@pytest.mark.parametrize("name", ["plain", "wrongname", "unknown"])
def test_a36_no_password_to_a_peer_that_is_not_verified(smarthosts, name):
	"""The message waits; it is neither lost nor sent without the login."""
	sink = smarthosts.sinks[name]
	before = sink.connections
	send(smarthosts, f"x@{name}.example")
	wait_for(lambda: sink.connections >= before + 2, "two attempts")
	assert sink.passwords == []
	assert sink.words("AUTH") == []
	assert sink.messages == []
	assert [entry for entry in queued(smarthosts) if f"{name}.example" in str(entry)]


def test_required_tls(smarthosts):
	assert wait_sent(smarthosts, smarthosts.sinks["required"], send(smarthosts, "x@required.example"))[0].tls
	sink = smarthosts.sinks["nologin"]
	before = sink.connections
	send(smarthosts, "x@requiredplain.example")
	wait_for(lambda: sink.connections > before, "an attempt")
	wait_for(lambda: [entry for entry in queued(smarthosts) if "x@requiredplain" in str(entry)], "the message in the queue")
	assert not [message for message in sink.messages if "x@requiredplain.example" in message.recipients]


def test_refused_login_is_not_a_bounce(smarthosts):
	sink = smarthosts.sinks["starttls"]
	send(smarthosts, "x@badpassword.example")
	wait_for(lambda: ("somebody", "the smarthost password", True) in sink.passwords, "the attempt")
	wait_for(lambda: [entry for entry in queued(smarthosts) if "badpassword" in str(entry)], "the message in the queue")


def test_a54_no_smarthost_password_in_the_log(smarthosts):
	wait_sent(smarthosts, smarthosts.sinks["starttls"], send(smarthosts, "x@starttls.example"))
	assert "smarthost password" not in smarthosts.log_path.read_text()
	result = smarthosts.command("status", "--json").stdout
	assert "smarthost password" not in result
