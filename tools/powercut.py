#!/usr/bin/python3
"""powercut [--cuts N] [--seconds N] [--seed S]: power cuts at random moments, on the real program and a real file system.

A virtual machine (tests/guest.py) runs the server under load, its disk written through qemu's blklogwrites: each write
and each flush is on record, and for each letter how much was on record when its 250 came. From this one run any cut can
be made: what was written before the last flush is there, of what came after it a random part, in part torn within a write.
Each such disk is mounted here (ext4 replays its journal), checked, and given to the server, started on it as after a
power cut: each letter that was promised before the cut must be filed, taken by the sink, or reported, with its bytes.

Needs root for the mounts, and qemu. Last line: N cuts, N messages accepted, N repeated, N lost; exit status 0 only with
none lost.
"""

import argparse
import bisect
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import smtplib
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
from crashes import ALICE, GROUPS, USERS, Surroundings, point_names  # noqa: E402
from guest import Guest, Missing, need_guest  # noqa: E402
from harness import free_port, wait_for  # noqa: E402
from load import Ledger, Load  # noqa: E402

HOST_SEEN_BY_GUEST = "10.0.2.2"
DISK_MIB = 192
SECTOR = 512
FLUSH, DISCARD = 1, 4
SAMPLE_S = 0.005
BOOT_S = 300
DRAIN_S = 60
THREADS = 8


# ---- the record of qemu's blklogwrites (the format of the kernel's dm-log-writes)

class Write:
	"""One entry: where the record ends behind it, and what it wrote."""

	def __init__(self, end, place, flags, length, data_at):
		self.end, self.place, self.flags, self.length, self.data_at = end, place, flags, length, data_at


def read_record(path):
	with open(path, "rb") as record:
		magic, _, _, sector = struct.unpack("<QQQI", record.read(28))
		assert magic == 0x6A736677736872, "no record of writes"
		size, at, entries = os.fstat(record.fileno()).st_size, sector, []
		while at + sector <= size:
			record.seek(at)
			place, count, flags, length = struct.unpack("<QQQQ", record.read(32))
			data_at = at + sector
			data = 0 if flags & DISCARD else count * sector
			at = data_at + data
			if at > size or (count == 0 and flags == 0):
				break
			entries.append(Write(at, place * sector, flags, count * sector, data_at))
	return entries


class Replay:
	"""The disk as it was at moments that go forward."""

	def __init__(self, base, record, image, forgets=0):
		"""forgets: of how many of its last flushes the disk lied."""
		self.forgets = forgets
		shutil.copyfile(base, image)
		self.record, self.image, self.done = open(record, "rb"), open(image, "r+b"), 0
		self.entries = read_record(record)

	def close(self):
		self.record.close()
		self.image.close()

	def write(self, image, entry, sectors=None):
		if not entry.length or entry.flags & DISCARD:
			return
		self.record.seek(entry.data_at)
		data = self.record.read(entry.length)
		for start in range(0, entry.length, SECTOR) if sectors else [0]:
			if sectors is None or sectors():
				image.seek(entry.place + start)
				image.write(data[start:start + SECTOR] if sectors else data)

	def cut(self, index, path, chance):
		"""Writes the disk of a cut behind entry `index` to path."""
		flushes = [i + 1 for i in range(self.done, index + 1) if self.entries[i].flags & FLUSH]
		flushed = flushes[-1 - self.forgets] if len(flushes) > self.forgets else self.done
		for entry in self.entries[self.done:flushed]:
			self.write(self.image, entry)
		self.done = flushed
		self.image.flush()
		subprocess.run(["cp", "--sparse=always", self.image.name, path], check=True)
		share = chance.random()
		with open(path, "r+b") as image:
			for entry in self.entries[self.done:index + 1]:
				fate = chance.random()
				if fate < share:
					self.write(image, entry)
				elif fate < share + 0.1:
					self.write(image, entry, lambda: chance.random() < 0.5)
		return index + 1 - self.done


# ---- the run in the machine

class Remote:
	"""What the clients see of the server in the machine."""

	def __init__(self, port):
		self.port = port

	def smtp(self, timeout):
		return smtplib.SMTP("127.0.0.1", self.port, timeout=timeout)


class Timeline(Ledger):
	"""A ledger that also knows how long the record was at each promise, and at each moment."""

	def __init__(self, server, sink, record):
		super().__init__(server, sink=sink)
		self.record, self.promised_at, self.samples, self.ended = record, {}, [], threading.Event()
		self.sampler = threading.Thread(target=self.sample, daemon=True)

	def promise(self, name):
		self.promised_at[name] = self.record.stat().st_size
		super().promise(name)

	def sample(self):
		while not self.ended.wait(SAMPLE_S):
			self.samples.append((time.time(), self.record.stat().st_size))

	def length_at(self, when):
		index = bisect.bisect_right(self.samples, (when, 0))
		return self.samples[index - 1][1] if index else 0


class PowerCuts(Surroundings):
	def __init__(self, seed, say, forgets=0):
		super().__init__("127.0.0.1")
		self.forgets = forgets
		self.seed, self.say, self.chance = seed, say, random.Random(f"powercut {seed}")
		self.repeated = self.lost = self.cuts = 0
		self.base, self.record = self.server.folder / "base", self.server.folder / "record"
		self.make_disk()
		self.timeline = Timeline(self.server, self.sink, self.record)

	def make_disk(self):
		"""An ext4 that holds data_dir."""
		data = self.server.folder / "data"
		subprocess.run(["mkfs.ext4", "-q", "-d", data, self.base, f"{DISK_MIB}M"], check=True, capture_output=True)
		shutil.rmtree(data)
		data.mkdir()

	def guest_script(self, port):
		config = dict(self.server.config, data_dir="/data", listeners=[{"port": port, "role": "relay", "address": ["0.0.0.0"]}],
			dns=dict(self.names.config(), servers=[f"{HOST_SEEN_BY_GUEST}@{self.names.port}"]), log={"to": "stderr", "level": "error"})
		return f"""
ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up
mount -t ext4 /dev/vda /data && chmod 711 /data || echo guest: no disk
cat >/tmp/c <<'END'
{json.dumps(config)}
END
/packetboat serve --config /tmp/c
"""

	def record_run(self, seconds):
		point_names(self.names, HOST_SEEN_BY_GUEST)
		port, disk = free_port(), self.server.folder / "disk"
		shutil.copyfile(self.base, disk)
		self.record.touch()
		drive = (f"driver=blklogwrites,node-name=d,file.driver=file,file.filename={disk},file.cache.no-flush=on,"
			f"log.driver=file,log.filename={self.record},log-sector-size={SECTOR},log.cache.no-flush=on")
		with Guest(self.guest_script(2500), network=f"hostfwd=tcp:127.0.0.1:{port}-:2500",
				arguments=["-blockdev", drive, "-device", "virtio-blk-pci,drive=d"]) as guest:
			threading.Thread(target=lambda: [self.say(f"guest: {line}") for line in guest.lines()], daemon=True).start()
			self.timeline.sampler.start()
			try:
				with Load(Remote(port), self.timeline, *GROUPS, threads=THREADS, seed=self.seed, sender=ALICE):
					self.timeline.wait_promised(1, BOOT_S)
					self.say("the machine is up")
					end = time.monotonic() + seconds
					while time.monotonic() < end:
						time.sleep(1)
						self.timeline.look()
					guest.cut()
			finally:
				self.timeline.ended.set()
				self.timeline.sampler.join()
		self.timeline.look()
		disk.unlink()

	# ---- the cuts

	def try_cuts(self, count):
		point_names(self.names, "127.0.0.1")
		replay = Replay(self.base, self.record, self.server.folder / "replayed", self.forgets)
		with contextlib.closing(replay):
			first = bisect.bisect([entry.end for entry in replay.entries], min(self.timeline.promised_at.values()))
			flushes = sum(bool(entry.flags & FLUSH) for entry in replay.entries)
			self.say(f"{self.timeline.promised} messages accepted, {len(replay.entries)} writes and flushes on record, {flushes} of them flushes")
			for index in sorted(self.chance.choices(range(first, len(replay.entries)), k=count)):
				self.try_cut(replay, index)

	def ledger_at(self, entry):
		"""What was promised, and what the sink had taken, when the power went."""
		ledger = Ledger(self.server, *USERS, sink=self.sink)
		ledger.sent = self.timeline.sent
		ledger.copies = {pair: before for pair, copies in self.timeline.copies.items()
			if (before := [copy for copy in copies if self.timeline.length_at(copy.when) <= entry.end])}
		for name, length in self.timeline.promised_at.items():
			if length <= entry.end:
				ledger.promise(name)
		return ledger

	def try_cut(self, replay, index):
		image, data = self.server.folder / "cut", self.server.folder / "data"
		pending = replay.cut(index, image, self.chance)
		ledger = self.ledger_at(replay.entries[index])
		words = f"cut {self.cuts + 1}, behind entry {index} with {pending} writes not flushed"
		self.sink.messages.clear()
		subprocess.run(["mount", "-o", "loop", image, data], check=True)
		try:
			repeated = self.restart(ledger)
			self.repeated += repeated
			self.say(f"{words}: {ledger.promised} promised, {repeated} repeated")
		except AssertionError as error:
			self.lost += max(1, len(ledger.open))
			self.say(f"{words}: {error}")
		finally:
			self.server.stop()
			subprocess.run(["umount", data], check=True)
			self.cuts += 1
		subprocess.run(["e2fsck", "-fn", image], check=True, capture_output=True)

	def restart(self, ledger):
		"""Power is back. Returns how many letters came again."""
		self.server.start()
		wait_for(lambda: not self.server.json_command("queue", "list"), "an empty queue", DRAIN_S)
		ledger.wait_for_all(DRAIN_S)
		return sum(len(times) - 1 for times in ledger.repeated().values())


def main():
	parser = argparse.ArgumentParser(prog="powercut", description=__doc__.splitlines()[0])
	parser.add_argument("--cuts", type=int, default=50)
	parser.add_argument("--seconds", type=int, default=30, help="of load in the machine")
	parser.add_argument("--seed", default=str(int(time.time())))
	parser.add_argument("--forgets", type=int, default=0, help="plant: the disk lies about so many of its last flushes")
	options = parser.parse_args()
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
	begin = time.monotonic()

	def say(text):
		print(f"{time.monotonic() - begin:7.1f} s  {text}", file=sys.stderr, flush=True)

	try:
		need_guest()
	except Missing as missing:
		say(f"no power can be cut here: {missing}")
		return 77
	say(f"seed {options.seed}")
	with PowerCuts(options.seed, say, options.forgets) as cuts:
		cuts.record_run(options.seconds)
		cuts.try_cuts(options.cuts)
		print(f"{cuts.cuts} cuts, {cuts.timeline.promised} messages accepted, {cuts.repeated} repeated, {cuts.lost} lost")
		return 1 if cuts.lost else 0


if __name__ == "__main__":
	sys.exit(main())
