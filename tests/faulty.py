"""The program whose Nth call fails: build target packetboat-faulty, src/os/test_fail_nth.h.

	with FaultyServer() as server:
		server.arm("receive", "sync", 3, errno.EIO)
		...
		server.disarm()   # -> whether it struck
"""

import mmap
import os
import pathlib
import struct
import tempfile

from harness import BUILD, Server

KINDS = ["alloc", "library_alloc", "open", "read", "write", "sync", "name", "info", "resize", "map", "socket", "connect", "accept",
	"send", "receive", "message_send", "message_receive"]  # enum fail_kind
PLAN = struct.Struct("@IIIIQQQ16s")
COUNTS_AT = 24


class FaultyServer(Server):
	def __init__(self, **config):
		handle, self.plan_path = tempfile.mkstemp(prefix="packetboat-plan-", dir="/var/tmp")
		os.fchmod(handle, 0o666)
		os.ftruncate(handle, mmap.PAGESIZE)
		self.plan = mmap.mmap(handle, mmap.PAGESIZE)
		os.close(handle)
		os.environ["FAIL_NTH"] = self.plan_path
		super().__init__(program=BUILD / "packetboat-faulty", **config)

	def close(self):
		try:
			super().close()
		finally:
			del os.environ["FAIL_NTH"]
			pathlib.Path(self.plan_path).unlink()

	def arm(self, process, kind, nth, error, lasting=False):
		"""The nth call of this kind in this process from now on fails; or all from the nth on."""
		self.disarm()
		plan = PLAN.pack(0, lasting, error, 1 << KINDS.index(kind), nth, 0, 0, process.encode())
		self.plan[:len(plan)] = plan
		self.plan[0] = 1

	def counts(self):
		"""(calls, those that failed) since it was armed."""
		return struct.unpack_from("@QQ", self.plan, COUNTS_AT)

	def disarm(self):
		self.plan[0] = 0
		return self.counts()[1] > 0
