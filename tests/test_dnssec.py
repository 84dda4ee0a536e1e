"""DNSSEC with zones that are really signed: Knot serves a root of its own, whose key is the trust anchor. Items A20, A46."""

import base64
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import dnslib
import pytest

from harness import PATIENCE_S, Server, free_port, wait_for
from mailing import ALICE, fields_of, queued, send, wait_report, wait_sent
from names import Names
from sink import Sink

pytestmark = pytest.mark.skipif(not shutil.which("knotd"), reason="knotd is not installed (Debian package knot)")

SINK = "127.0.0.2"
SIGNED = [".", "good.example.", "forged.example."]
ZONES = {
	"good.example.": f"@ MX 10 mx\nmx A {SINK}\nelsewhere MX 10 mx.forged.example.\n",
	"forged.example.": f"@ MX 10 mx\nmx A {SINK}\n",  # signed, then changed
	"plain.example.": f"@ MX 10 mx\nmx A {SINK}\n",  # delegated without a DS
}
HEAD = "@ 300 SOA ns. root. 1 3600 900 86400 300\n@ NS ns.\n"


class Zones:
	"""Knot on a free port. Signs the zones in a first run; then serves them, one of them forged."""

	def __init__(self):
		self.folder = pathlib.Path(tempfile.mkdtemp(prefix="packetboat-test-", dir="/var/tmp"))
		self.port = free_port("127.0.0.1")
		self.config, self.process = self.folder / "knot.conf", None
		try:
			self.make()
		except BaseException:
			self.close()
			raise

	def make(self):
		(self.folder / "db").mkdir()
		self.write_config(signing=SIGNED)
		for zone in SIGNED:
			self.run("keymgr", zone, "generate", "algorithm=ECDSAP256SHA256", "ksk=yes", "zsk=yes")
		root = "$TTL 300\n" + HEAD + "ns A 127.0.0.1\n"
		for zone, text in ZONES.items():
			self.zone_file(zone).write_text(f"$ORIGIN {zone}\n$TTL 300\n" + HEAD + text)
			root += f"{zone} NS ns.\n" + (self.key_digest(zone) if zone in SIGNED else "")
		self.zone_file(".").write_text("$ORIGIN .\n" + root)
		self.anchors = self.folder / "anchors"
		self.anchors.write_text(self.key_digest("."))
		self.anchors.chmod(0o644)
		self.folder.chmod(0o755)
		self.serve()
		wait_for(lambda: all(" RRSIG" in self.zone_file(zone).read_text().replace("\t", " ") for zone in SIGNED), "signed zones")
		self.stop()
		self.forge("forged.example.")
		self.write_config(signing=["."])
		self.serve()

	def zone_file(self, zone):
		return self.folder / (zone + "zone")

	def write_config(self, signing):
		zones = "\n".join(f'  - domain: "{zone}"\n    file: "{self.zone_file(zone)}"\n    dnssec-signing: {"on" if zone in signing else "off"}'
			for zone in [".", *ZONES])
		self.config.write_text(f"""server:
    rundir: "{self.folder}"
    listen: "127.0.0.1@{self.port}"
database:
    storage: "{self.folder}/db"
policy:
  - id: ours
    manual: on
    single-type-signing: on
    algorithm: ecdsap256sha256
    nsec3: on
template:
  - id: default
    dnssec-policy: ours
    zonefile-sync: 0
log:
  - target: stderr
    any: warning
zone:
{zones}
""")

	def run(self, *command):
		command = [command[0], "-c", str(self.config), *command[1:]]
		result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
		assert result.returncode == 0, f"{command}: {result.stderr}{result.stdout}"
		return result.stdout

	def key_digest(self, zone):
		"""The DS record (SHA-256) of the zone's key, as a line."""
		return next(line for line in self.run("keymgr", zone, "ds").splitlines() if re.search(r" 13 2 ", line)) + "\n"

	def forge(self, zone):
		"""Each signature of MX and A becomes another of the same length."""
		lines = []
		for line in self.zone_file(zone).read_text().splitlines():
			fields = line.split()
			if re.search(r"\sRRSIG\s+(MX|A)\s", line):
				signature = bytearray(base64.b64decode(fields[-1]))
				signature[10] ^= 1
				line = " ".join(fields[:-1] + [base64.b64encode(signature).decode()])
			lines.append(line)
		self.zone_file(zone).write_text("\n".join(lines) + "\n")

	def serve(self):
		self.errors = open(self.folder / "stderr", "ab")
		self.process = subprocess.Popen(["knotd", "-c", str(self.config)], stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors)

		def answers():
			assert self.process.poll() is None, (self.folder / "stderr").read_text()
			try:
				packet = dnslib.DNSRecord.question("plain.example", "MX").send("127.0.0.1", self.port, timeout=1)
			except OSError:
				return False
			return dnslib.DNSRecord.parse(packet).rr
		wait_for(answers, "knotd to answer")

	def stop(self):
		self.process.send_signal(signal.SIGTERM)
		self.process.wait(PATIENCE_S)
		self.process = None
		self.errors.close()

	def close(self):
		if self.process:
			self.stop()
		shutil.rmtree(self.folder, ignore_errors=True)

	def dns(self, dnssec):
		return {"mode": "forward", "servers": [f"127.0.0.1@{self.port}"], "dnssec": dnssec, "trust_anchors": str(self.anchors)}


@pytest.fixture(scope="module")
def zones():
	zones = Zones()
	yield zones
	zones.close()


@pytest.fixture(scope="module")
def sink():
	with Sink(SINK, free_port(SINK)) as sink:
		yield sink


def start(dns, sink):
	server = Server(relay={"networks": ["127.0.0.0/8"]}, dns=dns, outbound={"allow_private_addresses": True, "port": sink.port})
	server.add_user(ALICE)
	return server


@pytest.fixture(scope="module")
def server(zones, sink):
	with start(zones.dns("on"), sink) as server:
		yield server


def level(server):
	"""What status says of the DNS."""
	return server.status()["facts"]


def wait_deferred(server, recipient):
	def find():
		return next((message for message in queued(server) for to in message["recipients"]
			if to["to"] == recipient and to["attempts"]), None)
	return wait_for(find, f"{recipient} to be deferred")


def test_a_signed_answer_is_used_and_known_as_secure(server, sink):
	before = level(server)["answers_secure"]
	wait_sent(server, sink, send(server, "x@good.example"))
	assert level(server)["answers_secure"] > before


def test_status_tells_the_level_in_force(server):
	assert level(server)["dnssec"] is True


@pytest.mark.parametrize("domain", ["forged.example", "elsewhere.good.example"])
def test_a46_a_forged_answer_defers_and_says_so(server, sink, domain):
	count = len(sink.messages)
	send(server, f"x@{domain}")
	assert "DNSSEC" in wait_deferred(server, f"x@{domain}")["reason"]
	assert len(sink.messages) == count
	assert level(server)["answers_bogus"] > 0


def test_a_delegation_without_keys_is_insecure_and_served(server, sink):
	before = level(server)["answers_secure"]
	wait_sent(server, sink, send(server, "x@plain.example"))
	assert level(server)["answers_secure"] == before


def test_a_proven_absence_bounces(server):
	send(server, "x@missing.good.example")
	assert fields_of(wait_report(server, "x@missing.good.example"))["Status"] == "5.1.2"


def test_off_believes_what_it_is_told(zones, sink):
	with start(zones.dns("off"), sink) as server:
		wait_sent(server, sink, send(server, "x@forged.example"))
		assert level(server)["dnssec"] is False
		assert level(server)["answers_secure"] == 0


def test_auto_validates_where_the_root_is_signed(zones, sink):
	with start(zones.dns("auto"), sink) as server:
		send(server, "x@forged.example")
		assert "DNSSEC" in wait_deferred(server, "x@forged.example")["reason"]
		assert (level(server)["dnssec"], level(server)["dns_proven"]) == (True, True)


def test_auto_goes_on_without_where_it_is_not_and_says_so(sink):
	with Names() as names:
		names.add("", "NS", "ns.")
		names.mx("open.example", "mx.open.example", SINK)
		with start({**names.config(), "dnssec": "auto"}, sink) as server:
			wait_sent(server, sink, send(server, "x@open.example"))
			assert level(server)["dnssec"] is False
			assert server.log(event="dns_way", dnssec="off", level="warning")


def test_on_never_goes_on_without(sink):
	with Names() as names:
		names.add("", "NS", "ns.")
		names.mx("open.example", "mx.open.example", SINK)
		with start({**names.config(), "dnssec": "on"}, sink) as server:
			send(server, "x@open.example")
			assert wait_deferred(server, "x@open.example")["reason"]
			assert level(server)["dnssec"] is True
