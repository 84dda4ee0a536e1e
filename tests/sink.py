"""An SMTP server that takes what it is given, as scripted: the peer that Packetboat delivers to.

	with Sink("127.0.0.2") as sink:
		sink.script = lambda session, word, line: "451 4.3.0 later" if word == "RCPT" else None
		...
		sink.wait(1)[0].data

The script sees each command (words MAIL, RCPT, DATA, "." for the end of a message ...; "CONNECT" first) and returns
the reply in place of the ordinary one, or None. A reply of "" closes the connection without a word; bytes are sent as
they are.
"""

import base64
import contextlib
import dataclasses
import socket
import socketserver
import threading
import time

from harness import PATIENCE_S, wait_for

EXTENSIONS = ("PIPELINING", "SIZE 60000000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


@dataclasses.dataclass
class Message:
	reverse_path: str
	recipients: list
	data: bytes
	tls: bool
	login: tuple
	connection: int
	mail_line: str
	when: float = dataclasses.field(default_factory=time.time)


class Closed(Exception):
	pass


class Session:
	def __init__(self, sink, connection, number):
		self.sink, self.socket, self.number = sink, connection, number
		self.file = connection.makefile("rb")
		self.tls, self.login = False, None
		self.forget()

	def forget(self):
		self.mail_line, self.reverse_path, self.recipients = "", None, []

	def say(self, reply):
		if reply == "":
			raise Closed
		self.socket.sendall(reply if isinstance(reply, bytes) else (reply + "\r\n").encode())

	def scripted(self, word, line):
		reply = self.sink.script(self, word, line) if self.sink.script else None
		if reply is not None:
			self.say(reply)
		return reply

	def line(self):
		line = self.file.readline()
		if not line.endswith(b"\n"):
			raise Closed
		return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")

	def start_tls(self):
		self.socket = self.sink.tls_context.wrap_socket(self.socket, server_side=True)
		self.file = self.socket.makefile("rb")
		self.tls = True
		self.login = None
		self.forget()

	def run(self):
		if self.sink.implicit:
			self.start_tls()
		if self.scripted("CONNECT", "") is None:
			self.say("220 sink.test ESMTP")
		while True:
			line = self.line()
			word = line.split(" ", 1)[0].upper()
			self.sink.commands.append((self.number, line))
			reply = self.scripted(word, line)
			if reply is None:
				getattr(self, "on_" + word.lower(), self.on_other)(line)
			elif str(reply)[:3] == "221":
				return

	def on_other(self, line):
		self.say("500 5.5.1 What?")

	def on_helo(self, line):
		self.say("250 sink.test")

	def on_ehlo(self, line):
		words = ["sink.test", *self.sink.extensions]
		if self.sink.tls_context and not self.tls:
			words.append("STARTTLS")
		if self.sink.logins is not None:
			words.append("AUTH PLAIN LOGIN")
		self.say("".join(f"250{' ' if word is words[-1] else '-'}{word}\r\n" for word in words).encode())

	def on_starttls(self, line):
		self.say("220 2.0.0 Go")
		self.start_tls()

	def on_auth(self, line):
		words = line.split(" ")
		if words[1].upper() == "PLAIN":
			if len(words) < 3:
				self.say("334 ")
				words.append(self.line())
			_, user, password = base64.b64decode(words[2]).decode().split("\0")
		else:
			self.say("334 VXNlcm5hbWU6")
			user = base64.b64decode(self.line()).decode()
			self.say("334 UGFzc3dvcmQ6")
			password = base64.b64decode(self.line()).decode()
		self.sink.passwords.append((user, password, self.tls))
		if (user, password) == self.sink.logins:
			self.login = (user, password)
			self.say("235 2.7.0 Welcome")
		else:
			self.say("535 5.7.8 No")

	def on_mail(self, line):
		self.mail_line = line
		self.reverse_path = line[line.index("<") + 1:line.index(">")]
		self.say("250 2.1.0 Ok")

	def on_rcpt(self, line):
		self.recipients.append(line[line.index("<") + 1:line.index(">")])
		self.say("250 2.1.5 Ok")

	def on_data(self, line):
		if not self.recipients:
			self.say("503 5.5.1 No recipients")
			return
		self.say("354 Go on")
		lines = []
		while (raw := self.file.readline()) != b".\r\n":
			if not raw:
				raise Closed
			lines.append(raw[1:] if raw.startswith(b".") else raw)
		message = Message(self.reverse_path, self.recipients, b"".join(lines), self.tls, self.login, self.number,
			self.mail_line)
		if self.scripted(".", "") is None:
			self.sink.messages.append(message)
			self.say("250 2.0.0 Taken")
		self.forget()

	def on_rset(self, line):
		self.forget()
		self.say("250 2.0.0 Ok")

	def on_noop(self, line):
		self.say("250 2.0.0 Ok")

	def on_quit(self, line):
		self.say("221 2.0.0 Bye")
		raise Closed


class _Handler(socketserver.BaseRequestHandler):
	def handle(self):
		sink = self.server.sink
		with sink.lock:
			sink.connections += 1
			number = sink.connections
		self.request.settimeout(PATIENCE_S)
		session = Session(sink, self.request, number)
		sink.sessions.append(session)
		with contextlib.suppress(Closed, OSError, ValueError):
			session.run()
		with contextlib.suppress(OSError):
			session.file.close()
			session.socket.close()
		sink.sessions.remove(session)


class _Listener(socketserver.ThreadingTCPServer):
	daemon_threads = True
	allow_reuse_address = True
	request_queue_size = 100


class _Listener6(_Listener):
	address_family = socket.AF_INET6


class Sink:
	def __init__(self, address="127.0.0.2", port=0, tls_context=None, implicit=False, logins=None,
			extensions=EXTENSIONS, script=None):
		self.tls_context, self.implicit, self.logins = tls_context, implicit, logins
		self.extensions, self.script = extensions, script
		self.messages, self.commands, self.passwords = [], [], []
		self.sessions, self.connections, self.lock = [], 0, threading.Lock()
		self.listener = (_Listener6 if ":" in address else _Listener)((address, port), _Handler)
		self.listener.sink = self
		self.address, self.port = self.listener.server_address[:2]
		threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.listener.shutdown()
		self.listener.server_close()
		for session in list(self.sessions):
			with contextlib.suppress(OSError):
				session.socket.shutdown(socket.SHUT_RDWR)

	def wait(self, count=1, server=None):
		"""The first count messages, once they are there."""
		try:
			wait_for(lambda: len(self.messages) >= count, f"{count} messages at {self.address}:{self.port}")
		except AssertionError as error:
			raise AssertionError(f"{error}; {self.commands}\n{server.words() if server else ''}") from None
		return self.messages[:count]

	def words(self, word):
		"""The lines of all commands that begin with this word."""
		return [line for _, line in list(self.commands) if line.upper().startswith(word)]
