"""Postfix and Exim as peers: Debian's packages, unpacked into a folder of their own and never installed.

Each takes mail for its own domain on a free port of 127.0.0.2 and sends what comes for `forward` on to a server's relay
port, so that one message goes out and comes back. Nothing of the system's own mail service is touched.
"""

import grp
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile

import pytest

from harness import free_port, wait_for

CACHE = pathlib.Path("/var/tmp/packetboat-test-cache")
ADDRESS = "127.0.0.2"


def unpack(package, *libraries):
	"""The folder with the package's files, fetched once; a skip, with the reason, where that cannot be."""
	if os.geteuid() != 0:
		pytest.skip(f"needs root: {package} starts as root")
	folder = CACHE / package
	if not (folder / "done").exists():
		shutil.rmtree(folder, ignore_errors=True)
		folder.mkdir(parents=True)
		for name in (package, *libraries):
			result = subprocess.run(["apt-get", "download", name], cwd=folder, capture_output=True, text=True)
			if result.returncode != 0:
				pytest.skip(f"cannot fetch Debian's {name}: {result.stderr.strip()[-300:]}")
		for file in folder.glob("*.deb"):
			subprocess.run(["dpkg", "-x", str(file), str(folder)], check=True)
			file.unlink()
		(folder / "done").touch()
	return folder


def need_user(name, group):
	try:
		grp.getgrnam(group)
	except KeyError:
		subprocess.run(["groupadd", "--system", group], check=True)
	try:
		pwd.getpwnam(name)
	except KeyError:
		subprocess.run(["useradd", "--system", "-g", group, "-M", "-d", "/nonexistent", "-s", "/usr/sbin/nologin", name], check=True)


def libraries_of(folder):
	"""For LD_LIBRARY_PATH: what a package brings along, found before the system's."""
	found = {str(path.parent) for path in folder.rglob("*.so*")}
	return ":".join(sorted(found))


def greets(port):
	try:
		with socket.create_connection((ADDRESS, port), 2) as connection:
			return connection.recv(3) == b"220"
	except OSError:
		return False


class Mta:
	"""server: where mail for `forward` goes, on its relay port."""

	def __init__(self, server, forward):
		self.server, self.forward = server, forward
		self.folder = pathlib.Path(tempfile.mkdtemp(prefix="packetboat-mta-", dir="/var/tmp"))
		self.folder.chmod(0o755)
		self.port = free_port(ADDRESS)
		self.process = None

	def __enter__(self):
		self.prepare()
		self.errors = open(self.folder / "errors", "wb")
		self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors,
			env=self.environment, start_new_session=True)
		try:
			wait_for(lambda: greets(self.port) or self.process.poll() is not None, f"{self.name} to greet")
			assert self.process.poll() is None, self.words()
		except BaseException:
			self.__exit__()
			raise
		return self

	def __exit__(self, *_):
		if self.process and self.process.poll() is None:
			self.process.terminate()
			try:
				self.process.wait(20)
			except subprocess.TimeoutExpired:
				self.process.kill()
				self.process.wait()
		shutil.rmtree(self.folder, ignore_errors=True)

	def words(self):
		texts = [path.read_text(errors="replace") for path in [self.folder / "errors", *self.folder.glob("log/*")] if path.is_file()]
		return "\n".join(texts)[-5000:]


class Postfix(Mta):
	name, domain = "postfix", "postfix.example"

	def prepare(self):
		package = unpack("postfix", "libicu72", "libnsl2", "libsasl2-2", "libdb5.3", "libtirpc3")
		need_user("postfix", "postfix")
		need_user("postfix", "postdrop")
		libraries = libraries_of(package)
		etc, spool = self.folder / "etc", self.folder / "spool"
		for path in [etc, spool, self.folder / "log", self.folder / "data"]:
			path.mkdir()
		shutil.chown(self.folder / "data", "postfix")
		for name in "active bounce corrupt defer deferred flush hold incoming private saved trace".split():
			(spool / name).mkdir(mode=0o700)
			shutil.chown(spool / name, "postfix")
		(spool / "pid").mkdir()
		for name, mode in (("public", 0o710), ("maildrop", 0o730)):
			(spool / name).mkdir()
			shutil.chown(spool / name, "postfix", "postdrop")
			(spool / name).chmod(mode)
		(etc / "main.cf").write_text(f"""compatibility_level = 3.6
queue_directory = {spool}
data_directory = {self.folder}/data
daemon_directory = {package}/usr/lib/postfix/sbin
command_directory = {package}/usr/sbin
shlib_directory = {package}/usr/lib/postfix
meta_directory = {etc}
import_environment = MAIL_CONFIG LD_LIBRARY_PATH={libraries}
maillog_file = {self.folder}/log/maillog
maillog_file_prefixes = {self.folder}
myhostname = mx.{self.domain}
mydestination =
local_recipient_maps =
inet_interfaces = loopback-only
smtp_bind_address = {ADDRESS}
inet_protocols = ipv4
mynetworks = 127.0.0.1/32
alias_maps =
alias_database =
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtp_tls_security_level = may
virtual_alias_domains = {self.domain}
virtual_alias_maps = inline:{{ {{ round@{self.domain} = {self.forward} }} }}
transport_maps = inline:{{ {{ {self.forward.split('@')[1]} = smtp:[{self.server.address}]:{self.server.ports['relay']} }} }}
smtputf8_enable = no
message_size_limit = 60000000
mailbox_size_limit = 0
""")
		services = [f"{ADDRESS}:{self.port} inet n - n - 5 smtpd"]
		for service, kind, program in (("pickup", "unix", "pickup"), ("cleanup", "unix", "cleanup"), ("qmgr", "unix", "qmgr"),
				("tlsmgr", "unix", "tlsmgr"), ("rewrite", "unix", "trivial-rewrite"), ("bounce", "unix", "bounce"),
				("defer", "unix", "bounce"), ("trace", "unix", "bounce"), ("verify", "unix", "verify"), ("flush", "unix", "flush"),
				("proxymap", "unix", "proxymap"), ("smtp", "unix", "smtp"), ("relay", "unix", "smtp"), ("showq", "unix", "showq"),
				("error", "unix", "error"), ("retry", "unix", "error"), ("anvil", "unix", "anvil"), ("scache", "unix", "scache"),
				("postlog", "unix-dgram", "postlogd")):
			private = "n" if service in ("pickup", "cleanup", "qmgr", "flush", "showq", "postlog") else "-"
			limit = 1 if service in ("qmgr", "tlsmgr", "scache", "anvil", "verify", "postlog") else "-"
			limit = 0 if service in ("cleanup", "bounce", "defer", "trace", "flush") else limit
			services.append(f"{service} {kind} {private} - n - {limit} {program}")
		(etc / "master.cf").write_text("\n".join(services) + "\n")
		(etc / "dynamicmaps.cf").touch()
		self.environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": libraries, "MAIL_CONFIG": str(etc)}
		self.command = [str(package / "usr/lib/postfix/sbin/master"), "-c", str(etc), "-d"]


class Exim(Mta):
	name, domain = "exim", "exim.example"

	def prepare(self):
		package = unpack("exim4-daemon-heavy", "libgnutls-dane0", "libspf2-2", "libnsl2", "libmariadb3", "libidn12", "libunbound8",
			"libpq5", "libsasl2-2", "libldap-2.5-0", "libperl5.36", "libtirpc3", "libdb5.3")
		need_user("Debian-exim", "Debian-exim")
		for name in ("spool", "log"):
			(self.folder / name).mkdir()
			shutil.chown(self.folder / name, "Debian-exim", "Debian-exim")
		# A binary of its own: Exim must be setuid root to trust no other configuration, and takes -C as root only.
		binary = self.folder / "exim4"
		shutil.copy(package / "usr/sbin/exim4", binary)
		binary.chmod(0o755)
		config = self.folder / "exim.conf"
		config.write_text(f"""primary_hostname = mx.{self.domain}
exim_path = {binary}
spool_directory = {self.folder}/spool
log_file_path = {self.folder}/log/%slog
pid_file_path = {self.folder}/pid
local_interfaces = {ADDRESS}
daemon_smtp_ports = {self.port}
disable_ipv6 = true
host_lookup =
rfc1413_hosts =
deliver_drop_privilege = true
keep_environment = LD_LIBRARY_PATH
add_environment = PATH=/usr/bin
message_size_limit = 60M
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
begin acl
acl_rcpt:
  accept domains = {self.domain}
  deny message = not here
acl_data:
  accept
begin routers
back:
  driver = redirect
  domains = {self.domain}
  local_parts = round
  data = {self.forward}
out:
  driver = manualroute
  domains = {self.forward.split('@')[1]}
  route_list = * {self.server.address}
  self = send
  transport = out
begin transports
out:
  driver = smtp
  port = {self.server.ports['relay']}
  interface = {ADDRESS}
  allow_localhost
begin retry
* * F,1h,1s
""")
		config.chmod(0o644)
		self.environment = {"PATH": "/usr/bin", "LD_LIBRARY_PATH": libraries_of(package)}
		self.command = [str(binary), "-C", str(config), "-bdf", "-q1m"]
