"""What was measured, beside the goals: tables for the terminal, and bench/README.md with its picture."""

import pathlib
import statistics
import typing

import work

README = pathlib.Path(__file__).parent / "README.md"
PICTURE = pathlib.Path(__file__).parent / "results.svg"
REASONS = "## Why a goal is missed"
NO_REASONS = "Nothing is written here yet."
OURS, THEIRS, SINK = "Packetboat", "Postfix", "smtp-sink"


class Goal(typing.NamedTuple):
	work: str
	goal: str
	measured: str
	met: bool


def middle(values):
	return statistics.median(values)


def spread(values, digits=0):
	"""median (least to most)"""
	low, high = min(values), max(values)
	return f"{middle(values):,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


class Report:
	"""Gathers rows and goals; whatever was not measured is left out."""

	def __init__(self):
		self.tables = []  # title, head, rows
		self.goals = []
		self.bars = []  # words, {peer: value}

	def add_goal(self, work, goal, measured, met):
		self.goals.append(Goal(work, goal, measured, bool(met)))

	def add_table(self, title, head, rows):
		self.tables.append((title, head, rows))

	def add_accepts(self, results, alone):
		rows = []
		for cell in work.ACCEPTS:
			if cell.name in results:
				rates = {name: [sample.rate for sample in samples] for name, samples in results[cell.name].items()}
				flushes = {name: middle([sample.flushes for sample in samples]) for name, samples in results[cell.name].items()}
				rows.append([cell.words, spread(rates[OURS]), spread(rates[THEIRS]), spread(rates[SINK]),
					f"{flushes[OURS]:.2f}", f"{flushes[THEIRS]:.2f}"])
				self.bars.append((cell.words, {name: middle(values) for name, values in rates.items()}))
				self.add_accept_goals(cell, {name: middle(values) for name, values in rates.items()}, middle(alone.syncs))
		head = ["accept, messages a second", OURS, THEIRS, SINK, "flushes a message: ours", THEIRS]
		self.add_table("Accepting", head, rows)
		self.add_table("The disk alone", ["appended and synced", "records a second"], [["4 KiB, each synced", spread(alone.syncs)],
			[f"100 KiB, {work.LARGE_BATCH} to a sync", spread(alone.large)]])
		self.add_cpu(results)

	def add_accept_goals(self, cell, rate, sync_rate):
		times, share = {"accept-20": (8, 0.6), "accept-100": (9, 0.7), "accept-connections": (5, 0.75), "accept-1": (2.5, None),
			"accept-large": (4, 2)}[cell.name]
		ratio = rate[OURS] / rate[THEIRS]
		self.add_goal(cell.words, f"{times:g}x {THEIRS}", f"{ratio:.1f}x", ratio >= times)
		if share is None:
			possible = 1 / (1 / rate[SINK] + 1 / sync_rate)
			part = rate[OURS] / possible
			self.add_goal(cell.words, "75 % of 1/(1/sink + 1/fdatasync)",
				f"{part:.0%} of {possible:,.0f}/s ({sync_rate:,.0f} fdatasync/s)", part >= 0.75)
		else:
			part = rate[OURS] / rate[SINK]
			self.add_goal(cell.words, f"{share:.0%} of the sink", f"{part:.0%}", part >= share)

	def add_cpu(self, results):
		if "accept-20" in results:
			cpu = {name: [sample.cpu_ms for sample in samples] for name, samples in results["accept-20"].items()}
			self.add_table("CPU of the machine for a message, load tool included", ["milliseconds", OURS, THEIRS, SINK],
				[["1 KiB, 20 sessions, connections kept", *(spread(cpu[name], 3) for name in (OURS, THEIRS, SINK))]])
			ours = middle(cpu[OURS])
			self.add_goal("CPU of a message, 20 sessions kept", "0.17 ms", f"{ours:.3f} ms", ours <= 0.17)

	def add_relay(self, samples):
		self.add_table("Relaying", ["end to end, messages a second", OURS, THEIRS],
			[["4 KiB, 20 sessions", spread(samples[OURS]), spread(samples[THEIRS])]])
		ratio = middle(samples[OURS]) / middle(samples[THEIRS])
		self.add_goal("relay 4 KiB, 20 sessions", f"10x {THEIRS}", f"{ratio:.1f}x", ratio >= 10)
		self.bars.append(("relay 4 KiB, 20 sessions", {name: middle(values) for name, values in samples.items()}))

	def add_idle(self, results):
		rows = []
		for mode, kib in (("plain", 1), ("tls", 16)):
			for name, idle in results[mode].items():
				rows.append([f"{mode}: {name}", f"{idle.kib:,.2f}", f"{idle.held:,} of {idle.asked:,}", f"{idle.banner_ms:.2f}"])
			ours = results[mode][OURS]
			words = f"idle connection, {mode}"
			self.add_goal(words, f"{kib} KiB", f"{ours.kib:.2f} KiB", ours.kib <= kib)
			self.add_goal(words, "all held, a new banner under 5 ms", f"{ours.held:,} of {ours.asked:,}, {ours.banner_ms:.2f} ms",
				ours.held == ours.asked and ours.served and ours.banner_ms < 5)
		self.add_table("Idle connections after EHLO", ["", "KiB each", "held", "new banner, worst, ms"], rows)

	def add_handshakes(self, samples, alone_us):
		rates = {name: [sample.rate for sample in its] for name, its in samples.items()}
		ours_us = [sample.user_us for sample in samples[OURS]]
		self.add_table("STARTTLS, full TLS 1.3 handshakes, P-256", ["", "sessions a second", "user CPU of STARTTLS, µs"],
			[[OURS, spread(rates[OURS]), spread(ours_us)],
				[THEIRS, spread(rates[THEIRS]), "its processes come and go"],
				["OpenSSL's server side alone", "", spread(alone_us)]])
		ratio = middle(ours_us) / middle(alone_us)
		self.add_goal("STARTTLS, user CPU", "1.2x OpenSSL alone", f"{ratio:.2f}x", ratio <= 1.2)

	def add_costs(self, results):
		rows = []
		for name, calls in results.items():
			dearest = sorted(calls.items(), key=lambda item: -item[1])[:8]
			rows.append([name, f"{sum(calls.values()):.1f}", ", ".join(f"{call} {count:.1f}" for call, count in dearest if count >= 0.05)])
		self.add_table("System calls of the server for a message (traced: slower than life)", ["20 sessions kept", "all", "the most"], rows)
		ours = sum(results[OURS].values())
		self.add_goal("system calls of a message, 20 sessions kept", "14", f"{ours:.1f}", ours <= 14)

	def goal_rows(self):
		return [[goal.work, goal.goal, goal.measured, "met" if goal.met else "not met"] for goal in self.goals]


def plain_table(head, rows):
	widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
	lines = []
	for row in [head, *rows]:
		cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
		lines.append("  ".join(cells).rstrip())
	lines.insert(1, "-" * len(lines[0]))
	return "\n".join(lines)


def marked_table(head, rows):
	lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
	lines += ["| " + " | ".join(row) + " |" for row in rows]
	return "\n".join(lines)


def show(report):
	for title, head, rows in report.tables:
		print(f"\n{title}\n{plain_table(head, rows)}")
	print(f"\nGoals\n{plain_table(['work', 'goal', 'measured', ''], report.goal_rows())}")
	met = sum(goal.met for goal in report.goals)
	print(f"\n{met} of {len(report.goals)} goals met")


def kept_reasons():
	"""What people wrote about misses stays from run to run."""
	text = README.read_text() if README.exists() else ""
	return text.split(REASONS, 1)[1].strip() if REASONS in text else NO_REASONS


def write(report, machine_lines, settings_words):
	sections = [
		"# Measured\n\nWritten by `./dev bench`; only the last section is written by hand. Ratios are of one run on one machine, every "
		"server on the same disk,\neach accepted message synced before its 250 (smtp-sink stores nothing: it is the ceiling of the load "
		"tools). Figures: median (least to most).",
		marked_table(["", ""], [list(line) for line in machine_lines] + [["run", settings_words]]),
		"## Goals\n\n" + marked_table(["work", "goal", "measured", ""], report.goal_rows()),
		f"![messages a second]({PICTURE.name})",
		*(f"## {title}\n\n{marked_table(head, rows)}" for title, head, rows in report.tables),
		f"{REASONS}\n\n{kept_reasons()}",
	]
	README.write_text("\n\n".join(sections) + "\n")
	PICTURE.write_text(picture(report.bars))


COLOURS = {OURS: "#1f6f8b", THEIRS: "#b07b3a", SINK: "#c9c9c9"}


def picture(groups):
	"""Horizontal bars, each group to the scale of its own largest value."""
	left, width, bar, gap = 300, 420, 14, 16
	parts, y = [], 30
	for words, values in groups:
		largest = max(values.values())
		parts.append(f'<text x="{left - 10}" y="{y + bar * len(values) / 2 + 4}" text-anchor="end">{words}</text>')
		for name in (OURS, THEIRS, SINK):
			if name in values:
				length = max(1, width * values[name] / largest)
				parts.append(f'<rect x="{left}" y="{y}" width="{length:.0f}" height="{bar - 2}" fill="{COLOURS[name]}"/>')
				parts.append(f'<text x="{left + length + 6:.0f}" y="{y + bar - 4}">{values[name]:,.0f}</text>')
				y += bar
		y += gap
	legend = "".join(f'<rect x="{left + i * 110}" y="6" width="10" height="10" fill="{COLOURS[name]}"/>'
		f'<text x="{left + 15 + i * 110}" y="15">{name}</text>' for i, name in enumerate((OURS, THEIRS, SINK)))
	return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 80}" height="{y}" font-family="sans-serif" font-size="11">'
		f'<rect width="100%" height="100%" fill="white"/>{legend}{"".join(parts)}</svg>\n')
