"""System calls made by another process, from inside: what a process that was taken over would try.

	with Inside(pid) as inside:
		assert inside.call("openat", AT_FDCWD, b"/etc/passwd", 0) == -errno.EPERM

The thread is stopped where it waits, its registers are set to the call, one instruction is stepped, and all is put back: no
hook in the program, and the seccomp filter, Landlock and the uid that judge the call are its own. Needs ptrace, and x86-64.
"""

import ctypes
import os
import platform
import signal
import struct

CALLS = {  # of x86-64
	"accept4": 288, "bind": 49, "bpf": 321, "capset": 126, "chmod": 90, "chroot": 161, "clone": 56, "clone3": 435, "close": 3, "connect": 42,
	"dup": 32, "execve": 59, "execveat": 322, "fcntl": 72, "fork": 57, "getpid": 39, "io_uring_setup": 425, "ioctl": 16,
	"keyctl": 250, "kill": 62, "link": 86, "listen": 50, "memfd_create": 319, "mkdir": 83, "mmap": 9, "mount": 165, "mprotect": 10,
	"openat": 257, "pidfd_open": 434, "pidfd_send_signal": 424, "personality": 135, "prctl": 157, "process_vm_readv": 310,
	"process_vm_writev": 311, "ptrace": 101, "rename": 82, "rt_sigqueueinfo": 129, "seccomp": 317, "setns": 308,
	"setrlimit": 160, "setsockopt": 54, "setuid": 105, "shmat": 30, "socket": 41, "socketpair": 53, "stat": 4, "symlink": 88,
	"tgkill": 234, "unlink": 87, "unshare": 272,
}
PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_DETACH = 9, 12, 13, 17
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
REGISTERS = ["r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
	"rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"]
ARGUMENTS = ["rdi", "rsi", "rdx", "r10", "r8", "r9"]
SYSCALL = b"\x0f\x05"
INT_80 = b"\xcd\x80"  # a call of the 32-bit machine
BELOW_THE_STACK = 64 * 1024  # where nothing of the process's own lies
WALL = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class Died(Exception):
	"""The call killed the process; `number` is the signal."""

	def __init__(self, number):
		super().__init__(f"killed by {signal.Signals(number).name}")
		self.number = number


class NoSuchCall(Exception):
	"""The kernel has no such way of calling it."""


def why_not():
	"""Why no call can be made from inside another process here, or None."""
	if platform.machine() != "x86_64":
		return f"calls are made from inside on x86-64 only, not on {platform.machine()}"
	child = os.fork()
	if child == 0:
		signal.pause()
		os._exit(0)
	try:
		with Inside(child) as inside:
			return None if inside.call("getpid") == child else "a call from inside gives nonsense"
	except OSError as error:
		return f"no ptrace here: {error}"
	finally:
		os.kill(child, signal.SIGKILL)
		os.waitpid(child, 0)


class Inside:
	"""The main thread of a process, stopped for as long as the context lasts."""

	def __init__(self, pid):
		self.pid = pid
		self.dead = False

	def __enter__(self):
		self.ptrace(PTRACE_SEIZE)
		self.ptrace(PTRACE_INTERRUPT)
		self.wait()
		self.before = self.registers()
		self.memory = open(f"/proc/{self.pid}/mem", "r+b", buffering=0)
		self.at = self.find_syscall()
		return self

	def __exit__(self, *_):
		self.memory.close()
		if not self.dead:
			self.set_registers(self.before)
			self.ptrace(PTRACE_DETACH)

	def ptrace(self, request, address=0, data=0):
		if libc.ptrace(request, self.pid, address, data) < 0:
			number = ctypes.get_errno()
			raise OSError(number, os.strerror(number))

	def wait(self):
		_, status = os.waitpid(self.pid, WALL)
		if os.WIFSIGNALED(status):
			self.dead = True
			raise Died(os.WTERMSIG(status))
		return os.WSTOPSIG(status)

	def registers(self):
		room = ctypes.create_string_buffer(8 * len(REGISTERS))
		self.ptrace(PTRACE_GETREGS, 0, ctypes.addressof(room))
		return dict(zip(REGISTERS, struct.unpack(f"<{len(REGISTERS)}Q", room.raw)))

	def set_registers(self, registers):
		room = ctypes.create_string_buffer(struct.pack(f"<{len(REGISTERS)}Q", *(registers[name] for name in REGISTERS)))
		self.ptrace(PTRACE_SETREGS, 0, ctypes.addressof(room))

	def find_syscall(self):
		"""The instruction that the thread waits in, or one in the same code."""
		begin = self.before["rip"] - 2
		self.memory.seek(begin)
		if self.memory.read(2) == SYSCALL:
			return begin
		for line in open(f"/proc/{self.pid}/maps"):
			span, flags = line.split()[:2]
			if "x" in flags and "vsyscall" not in line:
				first, last = (int(part, 16) for part in span.split("-"))
				self.memory.seek(first)
				found = self.memory.read(last - first).find(SYSCALL)
				if found >= 0:
					return first + found
		raise OSError("no system call instruction found")

	def put(self, room, value):
		"""An argument: a number as it is, bytes in memory with a NUL behind."""
		if isinstance(value, int):
			return value & (1 << 64) - 1, room
		room -= (len(value) + 16) & ~15
		self.memory.seek(room)
		self.memory.write(value + b"\0")
		return room, room

	def call(self, name, *arguments):
		"""The result: negative is the error's number. Raises Died."""
		number = name if isinstance(name, int) else CALLS[name]
		registers = dict(self.before, rax=number, orig_rax=(1 << 64) - 1, rip=self.at)
		room = (self.before["rsp"] - BELOW_THE_STACK) & ~15
		for register, argument in zip(ARGUMENTS, arguments):
			registers[register], room = self.put(room, argument)
		self.set_registers(registers)
		self.ptrace(PTRACE_SINGLESTEP)
		if self.wait() != signal.SIGTRAP:
			raise NoSuchCall(f"the machine refused the instruction for {name}")
		result = self.registers()["rax"]
		return result - (1 << 64) if result >> 63 else result

	def call_32_bit(self, number):
		self.memory.seek(self.at)
		self.memory.write(INT_80)
		try:
			return self.call(number)
		finally:
			if not self.dead:
				self.memory.seek(self.at)
				self.memory.write(SYSCALL)


class Held:
	"""The other threads of a process, those that write and sync for its main one, stopped for as long as the context lasts."""

	def __init__(self, pid):
		self.threads = [Inside(int(name)) for name in os.listdir(f"/proc/{pid}/task") if int(name) != pid]

	def __enter__(self):
		for thread in self.threads:
			thread.ptrace(PTRACE_SEIZE)
			thread.ptrace(PTRACE_INTERRUPT)
			thread.wait()
		return self

	def __exit__(self, *_):
		for thread in self.threads:
			try:
				thread.ptrace(PTRACE_DETACH)
			except OSError:  # it has ended, and only who traced it can take it away
				os.waitpid(thread.pid, WALL)
