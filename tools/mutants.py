#!/usr/bin/python3
"""mutants [ITEM...]: takes each guard of tests/attacks.tsv away in turn and sees that its test notices.

Works on a copy of the tree in build-mutants/, so that the sources are never touched. For each line of the table the guard
is replaced by what stands in the last column, what the test needs is built, the test is run, and the line passes only if the
test fails. A guard that is not found exactly once, a mutant that does not compile, and a test that fails without the
mutation are failures. With items (A1 A37) only their lines. The last line says N passed, N failed, N skipped.
"""

import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import time
import typing

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "tests" / "attacks.tsv"
FOLDER = ROOT / "build-mutants"
TREE = FOLDER / "tree"
BUILD = FOLDER / "build"
COPIED = ["meson.build", "meson_options.txt", "src", "tests", "tools"]
COLUMNS = 5
BUILD_S = 900
RUN_S_MIN = 10


class Line(typing.NamedTuple):
	"""One line of the table: what the test is worth is shown by what it says to the mutation."""

	number: int
	item: str
	test: str  # room/binary:case, or tests/file.py::case
	file: str
	guard: str
	mutation: str

	def is_unit(self):
		return "::" not in self.test

	def binary(self):
		return self.test.split(":")[0]

	def case(self):
		return self.test.split(":")[-1]


def read_rows(path):
	"""The fields of each line, by its number; blank lines and those that begin with # are for people."""
	for number, text in enumerate(path.read_text().splitlines(), 1):
		if text.strip() and not text.startswith("#"):
			yield number, text.split("\t")


def read_untested(path=TABLE):
	"""Why an item has no test, by item."""
	return {fields[0]: fields[1] for _, fields in read_rows(path) if len(fields) == 2}


def read_table(path=TABLE):
	"""Every line with a test."""
	lines = []
	for number, fields in read_rows(path):
		if len(fields) != 2:
			if len(fields) != COLUMNS:
				raise SystemExit(f"{path}:{number}: {len(fields)} columns, not {COLUMNS}")
			lines.append(Line(number, *fields))
	return lines


def find_guard(text, guard):
	"""Where the guard stands in the text; any blanks and line ends count as one, so that layout does not matter."""
	pattern = r"\s+".join(re.escape(word) for word in guard.split())
	return [match.span() for match in re.finditer(pattern, text)]


def test_exists(line, root=ROOT):
	"""Whether the test that the line names stands in the tree."""
	if not line.is_unit():
		path, name = line.test.split("::")
		name = name.split("[")[0]
		return (root / path).is_file() and f"def {name}(" in (root / path).read_text()
	room, binary = line.binary().split("/")
	return any(f"static void {line.case()}(" in path.read_text() for path in (root / "src" / room).rglob(f"{binary}*.c"))


def copy_tree():
	"""Brings the copy up to date; what did not change keeps its time, so that little is built again."""
	wanted = set()
	for top in COPIED:
		for source in [ROOT / top] if (ROOT / top).is_file() else sorted((ROOT / top).rglob("*")):
			path = source.relative_to(ROOT)
			if not source.is_file() or "__pycache__" in path.parts:
				continue
			wanted.add(path)
			target = TREE / path
			if not target.exists() or target.read_bytes() != source.read_bytes():
				target.parent.mkdir(parents=True, exist_ok=True)
				shutil.copy2(source, target)
				os.utime(target)
	for target in sorted(TREE.rglob("*")):
		if target.is_file() and target.relative_to(TREE) not in wanted:
			target.unlink()


def set_up():
	FOLDER.mkdir(exist_ok=True)
	copy_tree()
	if not (BUILD / "build.ninja").exists():
		command = ["meson", "setup", BUILD, TREE, "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dtests=enabled",
			"-Dwerror=false", "-Dwarning_level=0", "-Doptimization=0", "-Ddebug=false"]
		subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def build(targets):
	"""The words of a failed build, or nothing."""
	result = subprocess.run(["ninja", "-C", BUILD, *targets], capture_output=True, text=True, timeout=BUILD_S)
	if result.returncode == 0:
		return ""
	errors = [line for line in result.stdout.splitlines() if "error:" in line or line.startswith("ninja: error")]
	return "\n".join(errors[:3]) or result.stdout[-500:]


class Run(typing.NamedTuple):
	"""Whether each case that ended passed, in order."""

	outcomes: dict
	seconds: float


def run_unit(binary, patience_s):
	"""On a terminal of its own, so that a crash loses none of the lines before it."""
	start = time.monotonic()
	terminal, inside = os.openpty()
	process = subprocess.Popen([BUILD / binary.replace("/", "-")], stdout=inside, stderr=subprocess.DEVNULL,
		stdin=subprocess.DEVNULL, cwd=TREE, env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"})
	os.close(inside)
	output = b""
	try:
		while select.select([terminal], [], [], max(0, start + patience_s - time.monotonic()))[0]:
			output += os.read(terminal, 65536)
	except OSError:
		pass  # the end: nobody holds the other side any more
	finally:
		os.close(terminal)
		process.kill()
		process.wait()
	outcomes = {name.decode(): word == b"ok"
		for word, name in re.findall(rb"^(ok|not ok) \d+ (?:- |# SKIP )?(\w+)", output, re.M)}
	return Run(outcomes, time.monotonic() - start)


def run_pytest(test, patience_s):
	start = time.monotonic()
	try:
		result = subprocess.run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", test], capture_output=True,
			timeout=patience_s, cwd=TREE, env={**os.environ, "PACKETBOAT_BUILD": str(BUILD)})
		status = result.returncode
	except subprocess.TimeoutExpired:
		status = 1
	# 1: tests failed; all else above 0: pytest itself could not run it.
	return Run({test: status == 0} if status < 2 else {}, time.monotonic() - start)


class Mutants:
	"""All lines in order; remembers how each test behaves without a mutation."""

	def __init__(self, lines):
		self.lines = lines
		self.baselines = {}

	def targets(self, line):
		if line.is_unit():
			return [line.binary().replace("/", "-")]
		return ["packetboat"] if not line.file.endswith(".py") else []

	def run(self, line, patience_s):
		return run_unit(line.binary(), patience_s) if line.is_unit() else run_pytest(line.test, patience_s)

	def name(self, line):
		return line.case() if line.is_unit() else line.test

	def baseline(self, line):
		key = line.binary() if line.is_unit() else line.test
		if key not in self.baselines:
			words = build(self.targets(line))
			self.baselines[key] = words or self.run(line, BUILD_S)
		return self.baselines[key]

	def notices(self, line, baseline, run):
		"""The case failed: it said so, or the run ended in it, the first of the baseline's that has no outcome."""
		name = self.name(line)
		if name in run.outcomes:
			return not run.outcomes[name]
		return next(case for case in baseline.outcomes if case not in run.outcomes) == name

	def try_line(self, line):
		"""What is wrong with the line, or nothing."""
		path = TREE / line.file
		if not path.is_file():
			return f"{line.file} is not there"
		text = path.read_text()
		spans = find_guard(text, line.guard)
		if len(spans) != 1:
			return f"the guard is found {len(spans)} times in {line.file}"
		baseline = self.baseline(line)
		if isinstance(baseline, str):
			return f"the test does not build: {baseline}"
		if not baseline.outcomes.get(self.name(line)):
			return "the test does not pass without the mutation"
		start, end = spans[0]
		try:
			path.write_text(text[:start] + line.mutation + text[end:])
			words = build(self.targets(line))
			if words:
				return f"the mutant does not compile: {words}"
			run = self.run(line, max(RUN_S_MIN, 5 * baseline.seconds))
		finally:
			path.write_text(text)
		return "" if self.notices(line, baseline, run) else "the test does not notice"


def show(lines, failures):
	items = {}
	for line in lines:
		items.setdefault(line.item, []).append(line)
	print(f"\n{'item':6}{'mutants':>8}{'noticed':>9}  tests")
	for item, its in sorted(items.items(), key=lambda entry: int(entry[0][1:])):
		tests = sorted({line.test for line in its})
		noticed = sum(line not in failures for line in its)
		print(f"{item:6}{len(its):8}{noticed:9}  {tests[0]}")
		for test in tests[1:]:
			print(f"{'':23}  {test}")
	for line, words in failures.items():
		print(f"\ntests/attacks.tsv:{line.number}: {line.item} {line.test}: {words}")


def main():
	lines = read_table()
	if sys.argv[1:]:
		lines = [line for line in lines if line.item in sys.argv[1:]]
	set_up()
	words = build(sorted({target for line in lines if line.is_unit() for target in Mutants([]).targets(line)}))
	if words:
		print(words)
	mutants = Mutants(lines)
	failures = {}
	for count, line in enumerate(lines, 1):
		start = time.monotonic()
		words = mutants.try_line(line)
		if words:
			failures[line] = words
		print(f"[{count:3}/{len(lines)}] {'FAILED ' if words else 'noticed'} {time.monotonic() - start:5.1f} s  "
			f"{line.item:4} {line.test}{': ' + words if words else ''}", flush=True)
	show(lines, failures)
	print(f"{len(lines) - len(failures)} passed, {len(failures)} failed, 0 skipped")
	return 1 if failures or not lines else 0


if __name__ == "__main__":
	try:
		sys.exit(main())
	except KeyboardInterrupt:
		sys.exit(130)
