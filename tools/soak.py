#!/usr/bin/python3
"""soak [--minutes N] [--out FILE.svg]: everything at once for long, and memory, descriptors and files that stay flat.

Senders, some over TLS and logged in, send without end to mailboxes, to a sink and to recipients that are bounced; others
are refused (no such user, wrong password, too large); slow ones say a byte a second; each minute the configuration is
reloaded. Every two seconds each process is looked at. After the warm-up (half of the time, at most five minutes) a
straight line is laid through each figure: over the rest of the run it may rise by no more than RISES allows. Draws the
figures into build-test/soak.svg; last line: N minutes, N messages, N figures rise; exit status 0 only with none.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import pathlib
import random
import signal
import smtplib
import socket
import ssl
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
from crashes import ALICE, BOB, RELAYED, Surroundings, living  # noqa: E402
from harness import ROOT, trusting_context, wait_for  # noqa: E402
from load import REFUSED  # noqa: E402

SAMPLE_S = 2
RELOAD_S = 60
WARM_UP_S = 300
SLOW_CLIENTS = 100
SENDERS, THREADS = 2, 6
DRAIN_S = 120
CLEAN_S = 3  # so long a mail stays in its mailbox
# What a figure may rise by in the measured time: a share of it, and so many.
RISES = {"pss": (0.05, 2048), "rss": (0.05, 2048), "descriptors": (0.05, 20), "threads": (0, 0.5), "segments": (0, 16), "bodies": (0, 4),
	"queue": (0.2, 200)}
UNITS = {"pss": "KiB", "rss": "KiB"}
COLOURS = ["#1b6ca8", "#c8553d", "#588157", "#8e6c88", "#b8860b"]


# ---- who sends

def from_somewhere(chance):
	"""One of 1,000 loopback addresses: limits count by address, and what is kept of each is full after the warm-up."""
	return f"127.0.{chance.randrange(1, 11)}.{chance.randrange(100, 200)}", 0


def send_many(ports, chance, sent):
	"""One connection: plain, or TLS and a login."""
	where = from_somewhere(chance)
	if chance.random() < 0.3:
		client = smtplib.SMTP_SSL("127.0.0.1", ports["submissions"], timeout=30, context=trusting_context(), source_address=where)
		client.login(ALICE, "secret")
	else:
		client = smtplib.SMTP("127.0.0.1", ports["relay"], timeout=30, source_address=where)
		if chance.random() < 0.3:
			client.starttls(context=trusting_context())
	with client:
		for _ in range(chance.choice([1, 1, 5, 50])):
			size = chance.choice([0, 500, 4000, 4000, 30000, 300_000 if chance.random() < 0.2 else 100])
			to = chance.choice([[ALICE], [BOB], [ALICE, BOB], RELAYED[:1], RELAYED[:2], [f"x@{REFUSED}"] if chance.random() < 0.1 else [BOB]])
			body = f"From: {ALICE}\r\nSubject: soak\r\n\r\n".encode() + (b"%064x\r\n" % chance.getrandbits(256)) * (size // 66)
			client.sendmail(ALICE, to, body)
			with sent.get_lock():
				sent.value += 1


def be_refused(ports, chance, _):
	where = from_somewhere(chance)
	kind = chance.randrange(4)
	if kind == 0:
		with smtplib.SMTP("127.0.0.1", ports["submission"], timeout=30, source_address=where) as client:
			client.starttls(context=trusting_context())
			with contextlib.suppress(smtplib.SMTPAuthenticationError):
				client.login(ALICE, "wrong")
		return
	with smtplib.SMTP("127.0.0.1", ports["relay"], timeout=30, source_address=where) as client:
		client.ehlo()
		client.mail("x@far.example", ["SIZE=999999999"] if kind == 1 else [])
		client.rcpt(f"nobody{chance.random()}@example.org")
		for _ in range(30 if kind == 2 else 1):
			client.docmd("NONSENSE")


def send_for_ever(ports, number, sent):
	signal.signal(signal.SIGINT, signal.SIG_IGN)

	def run(thread):
		chance = random.Random(f"{number} {thread}")
		work = be_refused if thread == 0 else send_many
		while True:
			with contextlib.suppress(OSError, smtplib.SMTPException):
				work(ports, chance, sent)

	for thread in range(THREADS):
		threading.Thread(target=run, args=(thread,), daemon=True).start()
	threading.Event().wait()


def be_slow(port):
	"""Many connections, one more each second, each a byte a second: commands, and messages that never end."""
	signal.signal(signal.SIGINT, signal.SIG_IGN)
	text = b"EHLO slow.test\r\nMAIL FROM:<x@far.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\nSubject: slow\r\n\r\n"
	clients = []
	while True:
		if len(clients) < SLOW_CLIENTS:
			chance = random.Random(time.time_ns())
			clients.append([socket.create_connection(("127.0.0.1", port), 30, from_somewhere(chance)), 0])
		for client in clients:
			place = client[1]
			# Each dialogue waits for its replies: a byte is sent at most once a second.
			byte = text[place:place + 1] or b"y"
			try:
				client[0].settimeout(5)
				client[0].sendall(byte)
				client[1] += 1
				client[0].setblocking(False)
				with contextlib.suppress(BlockingIOError, ssl.SSLError):
					if client[0].recv(4096) == b"":
						raise OSError
			except OSError:
				client[0].close()
				client[1] = None
		clients = [client for client in clients if client[1] is not None]
		time.sleep(1)


# ---- what is watched

def memory_kib(pid):
	words = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().split()
	return {"pss": int(words[words.index("Pss:") + 1]), "rss": int(words[words.index("Rss:") + 1])}


def look(server):
	"""All figures of this moment: (figure, process) -> value."""
	figures = {}
	for name, pid in living(server).items():
		found = memory_kib(pid)
		found["descriptors"] = len(os.listdir(f"/proc/{pid}/fd"))
		found["threads"] = len(os.listdir(f"/proc/{pid}/task"))
		figures.update({(figure, name): value for figure, value in found.items()})
	spool = server.folder / "data" / "spool"
	figures["segments", "spool"] = len(list(spool.glob("*/log/??-????")))
	figures["bodies", "spool"] = len(os.listdir(spool / "receive" / "body"))
	figures["queue", "spool"] = server.status()["deliver"]["queued_messages"]
	return figures


def clean(server):
	for user in (ALICE, BOB):
		folder = server.mailbox(user) / "new"
		for entry in os.scandir(folder) if folder.is_dir() else []:
			with contextlib.suppress(FileNotFoundError):
				if entry.stat().st_mtime < time.time() - CLEAN_S:
					os.unlink(entry.path)


def rise(points):
	"""What a straight line through the points rises by from the first to the last, and their mean."""
	count = len(points)
	mean_x, mean_y = (sum(point[i] for point in points) / count for i in (0, 1))
	spread = sum((x - mean_x) ** 2 for x, _ in points)
	slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0
	return slope * (points[-1][0] - points[0][0]), mean_y


def judge(series, warm_up_s):
	"""Words for each figure that rises."""
	for (figure, name), points in sorted(series.items()):
		measured = [point for point in points if point[0] >= warm_up_s]
		if len(measured) < 3:
			continue
		risen, mean = rise(measured)
		share, spare = RISES[figure]
		if risen > share * mean + spare:
			yield f"{figure} of {name} rises by {risen:.0f} on a mean of {mean:.0f}"


# ---- the picture

def draw(series, warm_up_s, path):
	figures = list(RISES)
	width, height, gap, left = 760, 90, 34, 70
	end = max(points[-1][0] for points in series.values())
	parts = []
	for row, figure in enumerate(figures):
		top = 20 + row * (height + gap)
		lines = {name: points for (kind, name), points in series.items() if kind == figure}
		most = max(value for points in lines.values() for _, value in points) or 1
		parts.append(f'<text x="4" y="{top - 6}" font-weight="bold">{figure} {UNITS.get(figure, "")}</text>'
			f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#999"/>'
			f'<text x="{left - 4}" y="{top + 10}" text-anchor="end">{most:,}</text>'
			f'<text x="{left - 4}" y="{top + height}" text-anchor="end">0</text>')
		warm = left + width * warm_up_s / end
		parts.append(f'<line x1="{warm:.1f}" x2="{warm:.1f}" y1="{top}" y2="{top + height}" stroke="#bbb" stroke-dasharray="3"/>')
		for number, (name, points) in enumerate(sorted(lines.items())):
			place = " ".join(f"{left + width * x / end:.1f},{top + height - height * y / most:.1f}" for x, y in points)
			colour = COLOURS[number % len(COLOURS)]
			parts.append(f'<polyline points="{place}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
				f'<text x="{left + width + 6}" y="{top + 12 + 15 * number}" fill="{colour}">{name} {points[-1][1]:,}</text>')
	bottom = 20 + len(figures) * (height + gap)
	parts.append(f'<text x="{left}" y="{bottom - 10}">0 to {end / 60:.1f} minutes; the dashed line ends the warm-up</text>')
	path.parent.mkdir(exist_ok=True)
	path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 140}" height="{bottom}" '
		f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n')


# ---- the run

class Soak(Surroundings):
	def __init__(self, seconds):
		super().__init__()
		self.seconds, self.warm_up_s = seconds, min(WARM_UP_S, seconds / 2)
		self.series, self.sent, self.children = {}, multiprocessing.Value("Q", 0), []
		self.server.config["limits"]["command_time"] = "20s"
		self.server.start()

	def __exit__(self, *words):
		self.end_children()
		super().__exit__(*words)

	def end_children(self):
		while self.children:
			child = self.children.pop()
			child.terminate()
			child.join()

	def drain(self):
		"""All that is still queued goes out, once nobody sends."""
		self.end_children()
		wait_for(lambda: self.server.status()["deliver"]["queued_messages"] == 0, "an empty queue", DRAIN_S)

	def start_child(self, work, *arguments):
		child = multiprocessing.Process(target=work, args=arguments, daemon=True)
		child.start()
		self.children.append(child)

	def run(self):
		for number in range(SENDERS):
			self.start_child(send_for_ever, self.server.ports, number, self.sent)
		self.start_child(be_slow, self.server.ports["relay"])
		begin = time.monotonic()
		reloaded = 0
		while (now := time.monotonic() - begin) < self.seconds:
			figures = look(self.server)
			for key, value in figures.items():
				self.series.setdefault(key, []).append((now, value))
			clean(self.server)
			self.sink.messages.clear()
			self.sink.commands.clear()
			if now - reloaded >= RELOAD_S:
				reloaded = now
				self.server.config["aliases"] = {f"a{int(now)}@example.org": [ALICE]}
				self.server.write_config()
				self.server.command("reload")
			self.say(now, figures)
			time.sleep(max(0, SAMPLE_S - (time.monotonic() - begin - now)))

	def say(self, now, figures):
		processes = ", ".join(f"{name} {value // 1024} MiB" for (figure, name), value in sorted(figures.items()) if figure == "pss")
		counts = ", ".join(f"{value} {figure}" for (figure, name), value in figures.items() if name == "spool")
		print(f"{now:7.0f} s  {self.sent.value} sent, {processes}, {counts}", file=sys.stderr, flush=True)


def main():
	parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0])
	parser.add_argument("--minutes", type=float, default=60)
	parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build-test" / "soak.svg")
	options = parser.parse_args()
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
	with Soak(options.minutes * 60) as soak:
		soak.run()
		soak.drain()
		died = [process for process in soak.server.status()["processes"] if process["restarts"]]
		draw(soak.series, soak.warm_up_s, options.out)
		options.out.with_suffix(".json").write_text(json.dumps({" ".join(key): points for key, points in soak.series.items()}))
		rises = [*judge(soak.series, soak.warm_up_s), *(f"{process['name']} died" for process in died)]
		for words in rises:
			print(words, file=sys.stderr)
		print(f"{options.minutes:g} minutes, {soak.sent.value} messages, {len(rises)} figures rise")
	return 1 if rises else 0


if __name__ == "__main__":
	sys.exit(main())
