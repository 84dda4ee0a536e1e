#!/usr/bin/python3
"""tidy: what the compiler cannot say about the house.

Checks every C file under src/, tests/ and bench/:
  floors     includes name a room that the file's own room may see, and never climb with ".."
  system     open, socket, exec, fork and their kin are called in src/os alone
  banned     functions that overflow, parse badly or run a shell
  shape      functions of at most 70 lines (tables aside), files of at most 600, lines of at most 100
  contract   every header starts with a comment that says what it is for
Prints file:line: message for each breach; exit status 1 if there is any. There is no list of exceptions.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
COLUMNS_MAX = 100
TAB = 8

SYSTEM = """open openat open64 creat socket socketpair bind listen accept accept4 connect execve execv
execvp execl execlp fexecve posix_spawn fork vfork clone unlink unlinkat rename renameat mkdir mkdirat
fdatasync fsync pwrite pwritev pread preadv mmap memfd_create recv recvmsg recvfrom send sendmsg sendto
writev readv opendir fdopendir fopen fdopen freopen poll epoll_wait select prctl setuid setgid
pthread_create getaddrinfo gethostbyname""".split()
BANNED = """strcpy strcat strncpy strncat sprintf vsprintf gets strtok strtok_r atoi atol atoll atof
scanf sscanf fscanf alloca system popen mktemp tmpnam tempnam getaddrinfo gethostbyname signal rand
srand asctime ctime localtime gmtime strdupa""".split()
# What may call the system outside src/os: nothing. Tests drive the program from outside and fuzz
# replay reads its corpus, so tests/ and bench/ are held to the banned list only.
CALL = r"(?<![\w.>\"])(%s)\s*\("


def floors():
	"""The rooms and what each may include, read from meson.build, which the compiler obeys too."""
	text = (ROOT / "meson.build").read_text()
	groups = {}
	rooms = {}
	for name, terms in re.findall(r"^(\w+) = ((?:\w+ \+ )?\[[^\]]*\])", text, re.M):
		groups[name] = resolve(terms, groups)
	block = re.search(r"^floors = \{(.*?)^\}", text, re.M | re.S)
	for room, terms in re.findall(r"'(\w+)': (.*?),\n", block.group(1)):
		rooms[room] = set(resolve(terms, groups))
	return rooms


def resolve(terms, groups):
	names = []
	for term in terms.split(" + "):
		names += re.findall(r"'(\w+)'", term) if "'" in term else groups.get(term.strip(), [])
	return names


def without_comments_and_strings(text):
	"""The same lines with comments, strings and character constants blanked."""
	def blank(match):
		return re.sub(r"[^\n]", " ", match.group(0))

	pattern = r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
	return re.sub(pattern, blank, text, flags=re.S)


def check_includes(path, text, rooms):
	room = path.parts[1] if path.parts[0] == "src" else None
	for number, line in enumerate(text.splitlines(), 1):
		match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
		if not match or room is None:
			continue
		target = match.group(1).split("/")[0]
		if ".." in match.group(1):
			yield number, "an include climbs with '..'"
		elif target != room and target not in rooms[room]:
			yield number, f"room '{room}' may not see room '{target}'"


def check_calls(path, code):
	in_os = path.parts[:2] == ("src", "os")
	banned = re.compile(CALL % "|".join(BANNED))
	system = re.compile(CALL % "|".join(SYSTEM))
	for number, line in enumerate(code.splitlines(), 1):
		for match in banned.finditer(line):
			yield number, f"{match.group(1)} is banned here (see CONTRIBUTING.md)"
		if path.parts[0] == "src" and not in_os:
			for match in system.finditer(line):
				yield number, f"{match.group(1)} is called outside src/os"


def check_shape(text, code):
	lines = code.splitlines()
	if len(lines) > FILE_LINES_MAX:
		yield 1, f"file of {len(lines)} lines (at most {FILE_LINES_MAX}): split it by thing"
	for number, line in enumerate(text.splitlines(), 1):
		if len(line.expandtabs(TAB)) > COLUMNS_MAX:
			yield number, f"line of more than {COLUMNS_MAX} columns"
	start = None
	table = 0
	table_lines = 0
	for number, line in enumerate(lines, 1):
		if line == "{":
			start, table, table_lines = number, 0, 0
		elif line == "}" and start:
			length = number - start - 1 - table_lines
			if length > FUNCTION_LINES_MAX:
				yield start, f"function of {length} lines (at most {FUNCTION_LINES_MAX})"
			start = None
		elif start:
			if table or re.search(r"=\s*\{\s*$", line):
				table += line.count("{") - line.count("}")
				table_lines += 1


def check(path, rooms):
	text = (ROOT / path).read_text()
	code = without_comments_and_strings(text)
	yield from check_includes(path, text, rooms)
	yield from check_calls(path, code)
	yield from check_shape(text, code)
	if path.suffix == ".h" and not text.startswith("//"):
		yield 1, "a header starts with a comment that says what it is for"


def main():
	rooms = floors()
	breaches = 0
	files = [p for top in ("src", "tests", "bench") for p in sorted((ROOT / top).rglob("*.[ch]"))]
	for file in files:
		path = file.relative_to(ROOT)
		for number, message in check(path, rooms):
			print(f"{path}:{number}: {message}")
			breaches += 1
	print(f"tidy: {len(files)} files, {breaches} breaches" if breaches else "tidy: ok")
	return 1 if breaches else 0


if __name__ == "__main__":
	sys.exit(main())
