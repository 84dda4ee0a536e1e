#!/usr/bin/python3
"""confine.py KIND PROGRAM ARGUMENT...: runs a program on a kernel that lacks something, or behind a service manager's filter.

	no-landlock, no-seccomp    those system calls answer as on a kernel without them
	unit                       the SystemCallFilter and MemoryDenyWriteExecute of packaging/packetboat.service

By a seccomp filter of this process, which the program inherits.
"""

import ctypes
import ctypes.util
import errno
import os
import pathlib
import subprocess
import sys

UNIT = pathlib.Path(__file__).resolve().parent.parent / "packaging" / "packetboat.service"
ALLOW = 0x7fff0000
PR_SET_SECCOMP, PROT_WRITE, PROT_EXEC, MASKED_EQUAL = 22, 2, 4, 7


class Comparison(ctypes.Structure):
	_fields_ = [("argument", ctypes.c_uint), ("kind", ctypes.c_int), ("mask", ctypes.c_uint64), ("value", ctypes.c_uint64)]


library = ctypes.CDLL(ctypes.util.find_library("seccomp") or "libseccomp.so.2")
library.seccomp_init.restype = ctypes.c_void_p
library.seccomp_load.argtypes = [ctypes.c_void_p]
library.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]


def refuse(number):
	return 0x00050000 | number


class Filter:
	def __init__(self, otherwise):
		self.filter = library.seccomp_init(ctypes.c_uint32(otherwise))

	def add(self, action, name, *comparisons):
		number = library.seccomp_syscall_resolve_name(name.encode())
		if number >= 0:
			array = (Comparison * len(comparisons))(*comparisons)
			status = library.seccomp_rule_add_array(self.filter, action, number, len(comparisons), array)
			assert status == 0, (name, status)

	def load(self):
		assert library.seccomp_load(self.filter) == 0


def calls_of(group):
	"""The system calls of a group, as systemd-analyze lists them."""
	if not group.startswith("@"):
		return {group}
	text = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True).stdout
	calls = set()
	for word in (line.strip() for line in text.splitlines()[1:]):
		if word and not word.startswith("#"):
			calls |= calls_of(word)
	return calls


def unit_calls(unit=UNIT):
	allowed = set()
	for line in unit.read_text().splitlines():
		if line.startswith("SystemCallFilter="):
			words = line.split("=")[1]
			calls = set().union(*(calls_of(word) for word in words.lstrip("~").split()))
			allowed = allowed - calls if words.startswith("~") else allowed | calls
	return allowed | calls_of("@default")


def load(kind):
	if kind == "unit":
		calls = unit_calls()
		memory = Filter(ALLOW)
		memory.add(refuse(errno.EPERM), "mmap", Comparison(2, MASKED_EQUAL, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC))
		memory.add(refuse(errno.EPERM), "mprotect", Comparison(2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC))
		outer = Filter(refuse(errno.EPERM))
		for name in sorted(calls):
			outer.add(ALLOW, name)
		memory.load()
		outer.load()
		return
	outer = Filter(ALLOW)
	if kind == "no-landlock":
		outer.add(refuse(errno.ENOSYS), "landlock_create_ruleset")
	else:
		outer.add(refuse(errno.ENOSYS), "seccomp")
		outer.add(refuse(errno.EINVAL), "prctl", Comparison(0, MASKED_EQUAL, (1 << 64) - 1, PR_SET_SECCOMP))
	outer.load()


if __name__ == "__main__":
	load(sys.argv[1])
	os.execv(sys.argv[2], sys.argv[2:])
