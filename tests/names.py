"""A scripted DNS server on loopback, over UDP and TCP.

	with Names() as names:
		names.add("example.net", "MX", "10 mx.example.net.")
		names.add("mx.example.net", "A", "127.0.0.2")
		Server(dns=names.config())

What is not there does not exist (NXDOMAIN). `answers` replaces the answer to one question by hand-made bytes.
"""

import socketserver
import threading

import dnslib
from dnslib import QTYPE, RCODE, RR

APEX = RR("test", QTYPE.SOA, ttl=1, rdata=dnslib.SOA("ns.test", "root.test", (1, 60, 60, 60, 1)))


class _Udp(socketserver.BaseRequestHandler):
	def handle(self):
		query, socket = self.request
		reply = self.server.names.reply(query, "udp")
		if reply is not None:
			socket.sendto(reply, self.client_address)


class _Tcp(socketserver.StreamRequestHandler):
	timeout = 10

	def handle(self):
		try:
			while size := self.rfile.read(2):
				query = self.rfile.read(int.from_bytes(size, "big"))
				reply = self.server.names.reply(query, "tcp")
				if reply is None:
					return
				self.wfile.write(len(reply).to_bytes(2, "big") + reply)
		except OSError:
			pass


class _UdpServer(socketserver.ThreadingUDPServer):
	daemon_threads = True


class _TcpServer(socketserver.ThreadingTCPServer):
	daemon_threads = True
	allow_reuse_address = True


class Names:
	def __init__(self, address="127.0.0.1"):
		self.records = {}
		self.answers = {}  # (name, type): function(query, transport) -> bytes, or None for silence
		self.asked = []
		self.tcp = _TcpServer((address, 0), _Tcp)
		self.address, self.port = self.tcp.server_address
		self.udp = _UdpServer((address, self.port), _Udp)
		for server in (self.tcp, self.udp):
			server.names = self
			threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

	def __enter__(self):
		return self

	def __exit__(self, *_):
		for server in (self.tcp, self.udp):
			server.shutdown()
			server.server_close()

	def config(self):
		return {"mode": "forward", "servers": [f"{self.address}@{self.port}"], "dnssec": "off"}

	def add(self, name, kind, *values):
		"""values as in a zone file: "10 mx.example.net." for MX. Without values the name exists, without such records."""
		records = self.records.setdefault(name.lower(), {}).setdefault(kind, [])
		for value in values:
			records += RR.fromZone(f"{name}. 1 IN {kind} {value}")

	def host(self, name, *addresses):
		for address in addresses:
			self.add(name, "AAAA" if ":" in address else "A", address)

	def mx(self, domain, host, *addresses, preference=10):
		self.add(domain, "MX", f"{preference} {host}.")
		self.host(host, *addresses)

	def reply(self, query, transport):
		try:
			question = dnslib.DNSRecord.parse(query)
		except dnslib.DNSError:
			return None
		name, kind = str(question.q.qname).rstrip(".").lower(), QTYPE[question.q.qtype]
		self.asked.append((name, kind))
		if (name, kind) in self.answers:
			return self.answers[name, kind](query, transport)
		reply = question.reply(aa=1, ra=1)
		self.fill(reply, name, kind)
		packed = reply.pack()
		if transport == "udp" and len(packed) > 1232:
			reply = question.reply(aa=1, ra=1)
			reply.header.tc = 1
			packed = reply.pack()
		return packed

	def fill(self, reply, name, kind):
		for _ in range(10):
			found = self.records.get(name)
			if found is None:
				reply.header.rcode = RCODE.NXDOMAIN
				break
			if "CNAME" in found and kind != "CNAME":
				reply.add_answer(*found["CNAME"])
				name = str(found["CNAME"][0].rdata).rstrip(".").lower()
				continue
			reply.add_answer(*found.get(kind, []))
			break
		if not reply.rr:
			reply.add_auth(APEX)
