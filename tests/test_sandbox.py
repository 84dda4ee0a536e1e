"""The sandbox, from inside the running processes: what each may do, and what it is refused when it is taken over.

The table ACTS is the policy. Each act is a system call that the running process of a running server makes itself
(tests/inject.py), so it meets the filter, the rules and the uid that the process really has.
"""

import errno
import json
import os
import pathlib
import platform
import pwd
import re
import signal
import socket
import struct
import subprocess

import pytest

from conftest import need, need_namespace
from harness import BUILD, PATIENCE_S, PROGRAM, ROOT, Server, wait_for
from inject import Died, Inside, NoSuchCall, why_not

ALICE = "alice@example.org"
CHILDREN = ["receive", "deliver", "facts", "keeper"]
KEPT = ["net_bind_service", "setuid", "setgid", "dac_read_search", "kill"]  # by the supervisor, started as root
CAPABILITIES = {"dac_read_search": 2, "kill": 5, "setgid": 6, "setuid": 7, "net_bind_service": 10}
AT_FDCWD, O_RDONLY, O_WRONLY, O_RDWR, O_WRONLY_CREAT, O_TRUNC, O_DIRECTORY = -100, 0, 1, 2, 0o101, 0o1000, 0o200000
PROT_WRITE_EXEC, MAP_PRIVATE_ANONYMOUS, SIGCHLD = 6, 0x22, 17
ADDRESS = struct.pack("<H", socket.AF_INET) + struct.pack(">H", 9) + socket.inet_aton("127.0.0.1") + bytes(8)

MAY, NO, NEVER = "may", "no", "never"  # works; is refused with an error; ends the process
ERRORS = {-errno.EPERM, -errno.EACCES, -errno.ENOSYS}

# receive, deliver, facts, keeper
ACTS = {
	"open a file of the system":         (NO, NO, NO, NO),
	"make a file in /tmp":               (NO, NO, NO, NO),
	"read the configuration":            (NO, NO, NO, NO),
	"read the TLS key":                  (NO, NO, NO, NO),
	"read the accounts":                 (NO, NO, NO, MAY),
	"look into the spool":               (NO, NO, NO, NO),
	"look into receive's part of it":    (MAY, MAY, NO, NO),
	"look into deliver's part of it":    (NO, MAY, NO, NO),
	"read the mailboxes":                (NO, MAY, NO, NO),
	"make a second name for a file":     (NO, NO, NO, NO),
	"make a file in the spool":          (NO, NO, NO, NO),
	"make a file in receive's part":     (MAY, NO, NO, NO),
	"make a file in deliver's part":     (NO, MAY, NO, NO),
	"make a link":                       (NO, NO, NO, NO),
	"open its own memory":               (NO, NO, NO, NO),
	"make an internet socket":           (NO, MAY, MAY, NO),
	"make a local socket":               (NO, MAY, NO, NO),
	"make a netlink socket":             (NO, NO, NO, NO),
	"make a packet socket":              (NO, NO, NO, NO),
	"connect":                           (NO, MAY, MAY, NO),
	"bind":                              (NO, MAY, MAY, NO),
	"listen":                            (NO, NO, NO, NO),
	"accept":                            (MAY, NO, NO, MAY),
	"filter what a socket gets":         (NO, NO, NO, NO),
	"signal a sibling":                  (NO, NO, NO, NO),
	"signal a thread of a sibling":      (NO, NO, NO, NO),
	"queue a signal to a sibling":       (NO, NO, NO, NO),
	"have a sibling signalled by input": (NO, NO, NO, NO),
	"open a sibling as a descriptor":    (NO, NO, NO, NO),
	"fork":                              (NO, NO, NO, NO),
	"clone a process":                   (NO, NO, NO, NO),
	"clone with a new name space":       (NO, NO, NO, NO),
	"clone3":                            (NO, NO, NO, NO),
	"make memory that can be run":       (NO, NO, NO, NO),
	"make its memory run":               (NO, NO, NO, NO),
	"become root":                       (NO, NO, NO, NO),
	"take capabilities":                 (NO, NO, NO, NO),
	"raise a limit":                     (NO, NO, NO, NO),
	"become dumpable":                   (NO, NO, NO, NO),
	"change the filter":                 (NO, NO, NO, NO),
	"change its personality":            (NO, NO, NO, NO),
	"use io_uring":                      (NO, NO, NO, NO),
	"change a mode by path":             (NO, NO, NO, NO),
	"run a program":                     (NEVER, NEVER, NEVER, NEVER),
	"trace a sibling":                   (NEVER, NEVER, NEVER, NEVER),
	"read a sibling's memory":           (NEVER, NEVER, NEVER, NEVER),
	"mount":                             (NEVER, NEVER, NEVER, NEVER),
}


def attempt(inside, act, server, sibling):
	"""What the process gets: a number as the kernel gives it."""
	data, spool, call = server.folder / "data", server.folder / "data" / "spool", inside.call

	def read(path):
		return call("openat", AT_FDCWD, str(path).encode(), O_RDONLY)

	def make(path):
		return call("openat", AT_FDCWD, str(path).encode(), O_WRONLY_CREAT, 0o600)

	def second_name(part):
		segment = next((part / "log").glob("0?-*"))
		return call("link", str(segment).encode(), str(part / "log" / f"was-here-{inside.pid}").encode())

	def within(family, name, *arguments):
		"""On a socket of its own where it can make one, else on its first descriptor."""
		made = call("socket", family, socket.SOCK_STREAM, 0)
		return call(name, made if made >= 0 else 0, *arguments)

	return {
		"open a file of the system": lambda: read("/etc/passwd"),
		"make a file in /tmp": lambda: make("/tmp/packetboat-was-here"),
		"read the configuration": lambda: read(server.config_path),
		"read the TLS key": lambda: read(data / "tls" / "key.pem"),
		"read the accounts": lambda: read(next((data / "keeper").glob("*.db"))),
		"look into the spool": lambda: call("openat", AT_FDCWD, str(spool).encode(), O_DIRECTORY),
		"look into receive's part of it": lambda: call("openat", AT_FDCWD, str(spool / "receive").encode(), O_DIRECTORY),
		"look into deliver's part of it": lambda: call("openat", AT_FDCWD, str(spool / "deliver").encode(), O_DIRECTORY),
		"read the mailboxes": lambda: call("openat", AT_FDCWD, str(data / "mail").encode(), O_DIRECTORY),
		"make a file in the spool": lambda: make(spool / "was-here"),
		"make a file in receive's part": lambda: make(spool / "receive" / f"was-here-{inside.pid}"),
		"make a file in deliver's part": lambda: make(spool / "deliver" / f"was-here-{inside.pid}"),
		"make a second name for a file": lambda: max(second_name(spool / part) for part in ("receive", "deliver")),
		"make a link": lambda: max(call("symlink", b"/etc", str(spool / part / "link").encode()) for part in ("receive", "deliver")),
		"open its own memory": lambda: read("/proc/self/mem"),
		"make an internet socket": lambda: call("socket", socket.AF_INET, socket.SOCK_STREAM, 0),
		"make a local socket": lambda: call("socket", socket.AF_UNIX, socket.SOCK_STREAM, 0),
		"make a netlink socket": lambda: call("socket", socket.AF_NETLINK, socket.SOCK_RAW, 0),
		"make a packet socket": lambda: call("socket", socket.AF_PACKET, socket.SOCK_RAW, 0),
		"connect": lambda: within(socket.AF_INET, "connect", ADDRESS, len(ADDRESS)),
		"bind": lambda: within(socket.AF_INET, "bind", ADDRESS[:2] + bytes(2) + ADDRESS[4:], len(ADDRESS)),
		"listen": lambda: within(socket.AF_INET, "listen", 1),
		"accept": lambda: call("accept4", 0, 0, 0, 0),
		"filter what a socket gets": lambda: within(socket.AF_INET, "setsockopt", socket.SOL_SOCKET, 26, bytes(16), 16),
		"signal a sibling": lambda: call("kill", sibling, 0),
		"signal a thread of a sibling": lambda: call("tgkill", sibling, sibling, 0),
		"queue a signal to a sibling": lambda: call("rt_sigqueueinfo", sibling, 0, bytes(128)),
		"have a sibling signalled by input": lambda: call("fcntl", 0, 8, sibling),  # F_SETOWN
		"open a sibling as a descriptor": lambda: call("pidfd_open", sibling, 0),
		"fork": lambda: call("fork"),
		"clone a process": lambda: call("clone", SIGCHLD, 0, 0, 0, 0),
		"clone with a new name space": lambda: call("clone", 0x10000000 | 0x00010000 | 0x900, 0, 0, 0, 0),
		"clone3": lambda: call("clone3", bytes(88), 88),
		"make memory that can be run": lambda: call("mmap", 0, 4096, PROT_WRITE_EXEC, MAP_PRIVATE_ANONYMOUS, -1, 0),
		"make its memory run": lambda: call("mprotect", inside.before["rsp"] & ~4095, 4096, PROT_WRITE_EXEC),
		"become root": lambda: call("setuid", 0),
		"take capabilities": lambda: call("capset", struct.pack("<Ii", 0x20080522, 0), b"\xff" * 24),
		"raise a limit": lambda: call("setrlimit", 4, struct.pack("<QQ", 1 << 30, 1 << 30)),
		"become dumpable": lambda: call("prctl", 4, 1, 0, 0, 0),
		"change the filter": lambda: call("seccomp", 1, 0, bytes(16)),
		"change its personality": lambda: call("personality", 0x0400000),
		"use io_uring": lambda: call("io_uring_setup", 1, bytes(128)),
		"change a mode by path": lambda: call("chmod", str(data).encode(), 0o777),
		"run a program": lambda: call("execve", b"/bin/true", 0, 0),
		"trace a sibling": lambda: call("ptrace", 16, sibling, 0, 0),
		"read a sibling's memory": lambda: call("process_vm_readv", sibling, 0, 0, 0, 0, 0),
		"mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, 0),
	}[act]()


def result(server, name, act, pids):
	sibling = pids["keeper" if name != "keeper" else "receive"]
	try:
		with Inside(pids[name]) as inside:
			got = attempt(inside, act, server, sibling)
	except Died as death:
		assert death.number == signal.SIGSYS
		return NEVER
	return NO if got in ERRORS else MAY


@pytest.fixture(scope="module", params=["as root", "not as root"])
def server(request):
	reason = why_not()
	if reason:
		pytest.skip(reason)
	if request.param == "as root" and os.geteuid() != 0:
		pytest.skip("users of their own need root")
	server = Server(start=False)
	with server:
		if os.geteuid() == 0 and request.param == "not as root":
			server.run_as(pwd.getpwnam("nobody"))
		server.start()
		server.add_user(ALICE)
		yield server


def again(server, name, pid):
	wait_for(lambda: server.log(event="died", child=name, pid=pid), f"the end of {name}")
	wait_for(lambda: server.command("status", check=False).returncode == 0, f"{name} again", 60)


@pytest.mark.parametrize("name", CHILDREN)
def test_each_process_may_what_it_needs_and_nothing_else(server, name):
	pids = server.pids()
	column = CHILDREN.index(name)
	wrong = {}
	for act, policy in ACTS.items():
		if policy[column] != NEVER:
			got = result(server, name, act, pids)
			if got != policy[column]:
				wrong[act] = got
	assert wrong == {}
	assert server.pids() == pids  # it goes on as if nothing had been


@pytest.mark.parametrize("name", CHILDREN)
def test_what_only_an_attacker_does_ends_the_process(server, name):
	acts = [act for act, policy in ACTS.items() if policy[CHILDREN.index(name)] == NEVER]
	for act in acts[:1] if server.as_user else acts:  # the filter is the same for every user
		pids = server.pids()
		assert result(server, name, act, pids) == NEVER, act
		again(server, name, pids[name])
		assert server.log(event="died", child=name, pid=pids[name])[0]["signal"] == signal.SIGSYS


def test_no_call_of_another_architecture_is_let_through(server):
	"""The 32-bit entry and the x32 numbers would reach calls by numbers that no list of ours knows."""
	pids = server.pids()
	with pytest.raises(Died) as death, Inside(pids["facts"]) as inside:
		inside.call(0x40000000 | 39)  # getpid of x32
	assert death.value.number == signal.SIGSYS
	again(server, "facts", pids["facts"])
	pids = server.pids()
	try:
		with pytest.raises(Died) as death, Inside(pids["facts"]) as inside:
			inside.call_32_bit(20)  # getpid of i386
		assert death.value.number == signal.SIGSYS
		again(server, "facts", pids["facts"])
	except NoSuchCall:
		pass  # a kernel without the 32-bit entry


def test_a14_keeper_takes_no_command_from_a_process_of_ours(server):
	"""deliver may make local connections, for LMTP. Under a user of its own the control socket's mode stops it; where all are
	one user, keeper knows it by its number."""
	control = bytes(str(server.folder / "data" / "run" / "control"), "ascii")
	address = struct.pack("<H", socket.AF_UNIX) + control + b"\0"
	with Inside(server.pids()["deliver"]) as inside:
		made = inside.call("socket", socket.AF_UNIX, socket.SOCK_SEQPACKET, 0)
		assert made >= 0
		got = inside.call("connect", made, address, len(address))
		inside.call("close", made)
	if server.as_user or os.geteuid() != 0:
		assert got == 0
		server.wait_for_log(event="control_refused", reason="permission denied")
	else:
		assert got == -errno.EACCES


# ---- the wall in the spool

DECOYS = {"receive": "receive/body/decoy", "deliver": "deliver/decoy"}  # a file that each may move
PART_OWNERS = {"receive": ("packetboat-net", 0o2770, 0o660), "deliver": ("packetboat-out", 0o700, 0o600)}


@pytest.fixture
def spool(server):
	"""Its folder, with a message in it whose body has a file, and everything in it that there can be."""
	folder = server.folder / "data" / "spool"
	with server.smtp() as client:
		client.sendmail("x@far.example", [ALICE], b"Subject: small\r\n\r\nx\r\n")
	for name in ("receive/log/01-0000", "receive/log/01.lock", "deliver/log/00-0000", "deliver/log/00.lock", "deliver/lock", "deliver/checkpoint"):
		assert (folder / name).exists(), name
	wait_for(lambda: all(any((folder / part / "trace").glob("*")) for part in PART_OWNERS), "both traces")
	for decoy in DECOYS.values():
		(folder / decoy).write_text("x")
	return folder


def folders_of(pid):
	"""The folders that the process has descriptors of, which a path may start from."""
	for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
		if os.path.isdir(os.readlink(link)):
			yield int(link.name), os.readlink(link)


def open_at(inside, path, flags, start=AT_FDCWD):
	return inside.call("openat", start, str(path).encode(), flags, 0o600)


def change(inside, folder, decoy):
	"""Tries all that would change what is in a folder; yields what was tried, and the result."""
	def rename(old, new):
		return inside.call("rename", str(old).encode(), str(new).encode())

	for entry in list(folder.iterdir()):
		yield f"rename {entry}", rename(entry, folder / "renamed")
		if entry.is_file():
			yield f"rename over {entry}", rename(decoy, entry)
			yield f"unlink {entry}", inside.call("unlink", str(entry).encode())
			for flags in (O_WRONLY, O_RDWR, O_WRONLY_CREAT, O_WRONLY | O_TRUNC, O_RDONLY | O_TRUNC):
				yield f"open {entry} with {flags:o}", open_at(inside, entry, flags)
	yield f"move a file into {folder}", rename(decoy, folder / "moved")
	yield f"make a file in {folder}", open_at(inside, folder / "made", O_WRONLY_CREAT)
	yield f"make a folder in {folder}", inside.call("mkdir", str(folder / "folder").encode(), 0o700)


def let_through(results):
	return [(what, got) for what, got in results if got not in ERRORS | {-errno.EXDEV}]


def test_a54_receive_reaches_nothing_of_delivers(server, spool):
	"""Not by a path, and not from a folder that it was handed: the journal, the checkpoint and the trace are out of its reach."""
	pids = server.pids()
	part = spool / "deliver"
	folders = [part, *(path for path in part.iterdir() if path.is_dir())]
	files = [path for path in part.rglob("*") if path.is_file()]
	with Inside(pids["receive"]) as inside:
		results = [result for folder in [spool, *folders] for result in change(inside, folder, spool / DECOYS["receive"])]
		results += [(f"read {path}", open_at(inside, path, O_RDONLY)) for path in [*folders, *files]]
		handed = list(folders_of(inside.pid))
		for start, place in handed:
			paths = [os.path.relpath(path, place) for path in files]
			results += [(f"from {place}: {path}", open_at(inside, path, O_RDONLY, start)) for path in paths]
	assert handed and len(files) >= 5 and let_through(results) == []
	assert server.pids() == pids and all(path.exists() for path in files)


def test_a54_deliver_writes_nothing_into_receives_log(server, spool):
	"""It reads the log, and may remove a body; that is all."""
	pids = server.pids()
	part = spool / "receive"
	with Inside(pids["deliver"]) as inside:
		results = [result for folder in (spool, part, part / "log", part / "trace")
			for result in change(inside, folder, spool / DECOYS["deliver"])]
		opened = open_at(inside, part / "log" / "01-0000", O_RDONLY)
		assert inside.call("close", opened) == 0
		assert inside.call("unlink", str(spool / DECOYS["receive"]).encode()) == 0
	assert len(results) > 20 and let_through(results) == []
	assert server.pids() == pids


def test_a54_each_part_of_the_spool_is_its_writers(server, spool):
	"""Where the processes have users of their own, their modes say the same once more."""
	own_users = os.geteuid() == 0 and not server.as_user
	assert spool.stat().st_mode & 0o7777 == 0o711 and spool.stat().st_uid == (0 if own_users else server_uid(server))
	for part, (user, folder_mode, file_mode) in PART_OWNERS.items():
		for path in [spool / part, *(spool / part).rglob("*")]:
			if "decoy" in path.name or "was-here" in path.name:
				continue  # made by tests
			found, info = path.relative_to(spool), path.stat()
			wanted = (folder_mode if path.is_dir() else file_mode) if own_users else (0o700 if path.is_dir() else 0o600)
			assert oct(info.st_mode & 0o7777) == oct(wanted), found
			assert info.st_uid == (pwd.getpwnam(user).pw_uid if own_users else server_uid(server)), found


def server_uid(server):
	return server.as_user.pw_uid if server.as_user else os.geteuid()


# ---- what /proc shows

def status_of(pid):
	lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
	return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


USERS = {"receive": "packetboat-net", "deliver": "packetboat-out", "facts": "packetboat-dns", "keeper": "packetboat-keep"}


def test_proc_shows_the_door_shut(server):
	for name, pid in server.pids().items():
		shown = status_of(pid)
		assert shown["Seccomp"] == "2" and shown["NoNewPrivs"] == "1", (name, shown)
		is_supervisor = name == "supervisor"
		if os.geteuid() == 0 and not server.as_user:
			uid = 0 if is_supervisor else pwd.getpwnam(USERS[name]).pw_uid
			allowed = sum(1 << CAPABILITIES[kept] for kept in KEPT)
		else:
			uid = server.as_user.pw_uid if server.as_user else os.geteuid()
			allowed = 0
		assert shown["Uid"].split() == [str(uid)] * 4, (name, shown["Uid"])
		for kind in ("CapInh", "CapAmb"):
			assert int(shown[kind], 16) == 0, (name, kind)
		for kind in ("CapPrm", "CapEff"):
			assert int(shown[kind], 16) == (allowed if is_supervisor else 0), (name, kind)
		if allowed:
			assert int(shown["CapBnd"], 16) & ~allowed == 0, name
			assert shown["Groups"] == "" or is_supervisor, name
		assert re.search(r"Max core file size +0 +0 ", pathlib.Path(f"/proc/{pid}/limits").read_text())
		if uid != 0:
			assert os.stat(f"/proc/{pid}/mem").st_uid == 0, f"{name} can be read by its own user"


def test_each_process_has_an_address_layout_of_its_own(server):
	bases = {}
	for name, pid in server.pids().items():
		lines = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
		program = next(line for line in lines if line.endswith("/packetboat")).split("-")[0]
		library = next(line for line in lines if "libc.so" in line or "ld-musl" in line).split("-")[0]
		bases[name] = (program, library)
	assert len(set(program for program, _ in bases.values())) == len(bases)
	assert len(set(library for _, library in bases.values())) == len(bases)


def lacking(status):
	"""The layers that are said to be missing; how many files may be open is this machine's own affair."""
	warnings = sum((process["warnings"] for process in status["processes"]), status["warnings"])
	return [warning for warning in warnings if not warning.startswith("limits:")]


def test_the_level_in_force_is_said(server):
	status = server.status()
	said = server.command("status").stdout
	for process in status["processes"]:
		for layer in ("uid ", "no_new_privs", "landlock", "seccomp"):
			assert layer in process["sandbox"], process
		assert process["sandbox"] in said
		assert server.log(event="started", child=process["name"], sandbox=process["sandbox"])
	assert "seccomp" in status["sandbox"] and "landlock" not in status["sandbox"]
	assert server.log(event="starting", sandbox=status["sandbox"])
	assert lacking(status) == []


def test_the_supervisor_ends_when_it_does_what_only_an_attacker_does():
	reason = why_not()
	if reason:
		pytest.skip(reason)
	with Server() as server:
		pids = server.pids()
		with Inside(pids["supervisor"]) as inside:
			assert inside.call("socket", socket.AF_PACKET, socket.SOCK_RAW, 0) in ERRORS
			assert inside.call("io_uring_setup", 1, bytes(128)) in ERRORS
			assert inside.call("pidfd_open", pids["keeper"], 0) in ERRORS
		with pytest.raises(Died) as death, Inside(pids["supervisor"]) as inside:
			inside.call("ptrace", 16, pids["keeper"], 0, 0)
		assert death.value.number == signal.SIGSYS
		server.process.wait()
		for name in CHILDREN:
			wait_for(lambda: not pathlib.Path(f"/proc/{pids[name]}/exe").exists(), f"the end of {name}")


# ---- a kernel that lacks a layer

def confine(server, kind):
	"""Its program is ours, confined where it serves."""
	program = server.folder / "packetboat"
	program.write_text(f"""#!/bin/sh
		if [ "$1" = serve ]; then exec /usr/bin/python3 {ROOT}/tests/confine.py {kind} {PROGRAM} "$@"; fi
		exec {PROGRAM} "$@"
		""")
	program.chmod(0o755)
	server.program = str(program)


def carries_mail(server):
	server.add_user(ALICE)
	with server.smtp("submissions", ALICE) as client:
		client.sendmail(ALICE, [ALICE], b"From: alice@example.org\r\nSubject: x\r\n\r\nx\r\n")
	server.wait_for_mail(ALICE)


@pytest.mark.parametrize("lacking", ["landlock", "seccomp"])
def test_it_goes_on_without_what_the_kernel_lacks_and_says_so(lacking):
	if lacking == "seccomp" and os.geteuid() != 0:
		pytest.skip("the kernel that lacks seccomp is made by seccomp, which takes root")
	server = Server(start=False)
	confine(server, f"no-{lacking}")
	with server:
		server.start()
		for process in server.status()["processes"]:
			assert [text for text in process["warnings"] if text.startswith(f"{lacking}: this kernel lacks it")], process
			assert lacking not in process["sandbox"]
		assert f"{lacking}: this kernel lacks it" in server.command("status").stdout
		carries_mail(server)


# ---- the service

UNIT = ROOT / "packaging" / "packetboat.service"


def unit_setting(name):
	return re.search(rf"^{name}=(.*)$", UNIT.read_text(), re.M).group(1)


def test_the_unit_is_exposed_below_two():
	need("systemd-analyze")
	said = subprocess.run(["systemd-analyze", "security", "--offline=true", str(UNIT)], capture_output=True, text=True)
	level = re.search(r"Overall exposure level for packetboat.service: (\d+\.\d+)", said.stdout)
	assert level and float(level.group(1)) < 2.0, said.stdout + said.stderr


def test_it_carries_mail_under_the_unit_restrictions():
	"""What the unit sets, set by hand: the user, the capabilities, no_new_privs, the read-only system, the hidden /proc, the
	filters; and the service manager's socket, which is told."""
	need_namespace("a file system of its own, as the unit makes it")
	need("systemd-analyze")
	need("setpriv")
	assert unit_setting("User") == "packetboat"
	assert unit_setting("CapabilityBoundingSet") == unit_setting("AmbientCapabilities") == "CAP_NET_BIND_SERVICE"
	server = Server(start=False)
	confine(server, "unit")
	with server, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
		user = pwd.getpwnam("packetboat")
		(server.folder / "data").mkdir()
		for path in (server.folder, server.folder / "data"):
			os.chown(path, user.pw_uid, user.pw_gid)
		server.log_path.touch()
		os.chown(server.log_path, user.pw_uid, user.pw_gid)
		manager.bind(str(server.folder / "notify"))
		(server.folder / "notify").chmod(0o777)
		manager.settimeout(PATIENCE_S)
		server.inside = f"""mount --make-rprivate /
			mount --bind {server.folder} {server.folder}
			mount -t proc -o hidepid=invisible,subset=pid none /proc
			mount -o remount,ro,bind /
			export NOTIFY_SOCKET={server.folder}/notify
			umask 0077
			set -- setpriv --reuid packetboat --regid packetboat --clear-groups --bounding-set -all,+net_bind_service \
				--inh-caps -all,+net_bind_service --ambient-caps -all,+net_bind_service --no-new-privs "$@" """
		server.start()
		assert manager.recv(100) == b"READY=1"
		carries_mail(server)
		server.command("reload")
		status = server.status()
		assert status["separate_users"] is False and lacking(status) == []
		assert all(process["restarts"] == 0 for process in status["processes"])
		assert "net_bind_service" in status["sandbox"]
		assert server.command("stop").returncode == 0
		assert manager.recv(100) == b"STOPPING=1"


# ---- the program

def readelf(program, *flags):
	return subprocess.run(["readelf", "-W", *flags, str(program)], capture_output=True, text=True, check=True).stdout


def test_the_program_is_built_hardened(optimised):
	need("readelf")
	head, segments, dynamic = readelf(optimised, "-h"), readelf(optimised, "-l"), readelf(optimised, "-d")
	assert re.search(r"Type: +DYN", head), "not position-independent"
	assert "GNU_RELRO" in segments and re.search(r"\(FLAGS\).*BIND_NOW|\(FLAGS_1\).*NOW", dynamic), "not read-only once relocated"
	assert re.search(r"GNU_STACK.* RW +0x", segments), "a stack that can be run"
	assert not re.search(r"LOAD.* RWE ", segments), "memory both written and run"
	assert "TEXTREL" not in dynamic
	symbols = readelf(optimised, "--dyn-syms")
	assert "__stack_chk_fail" in symbols, "no stack protector"
	assert re.search(r"__\w+_chk@", symbols.replace("__stack_chk_fail", "")), "no _FORTIFY_SOURCE"


def test_each_file_is_compiled_hardened(optimised):
	commands = json.loads((optimised.parent / "compile_commands.json").read_text())
	wanted = ["-O3", "-fstack-protector-strong", "-fstack-clash-protection", "-D_FORTIFY_SOURCE=3"]
	if platform.machine() == "x86_64":
		wanted.append("-fcf-protection=full")
	for command in commands:
		missing = [flag for flag in wanted if flag not in command["command"]]
		assert missing == [] and ("-fPIE" in command["command"] or "-fPIC" in command["command"]), command["file"]
