"""The house itself: layout rules that the compiler cannot check, and formatting."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(*command, cwd=ROOT):
	return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def test_tidy_finds_no_breach():
	result = run("/usr/bin/python3", "tools/tidy.py")
	assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
	"room, line, complaint",
	[
		("smtp", '#include "os/clock.h"', "may not see room 'os'"),
		("mail", '#include "../os/clock.h"', "climbs"),
		("receive", "int f(void);\nint f(void)\n{\n\treturn socket(1, 2, 3);\n}", "outside src/os"),
		("base", "void g(char *a);\nvoid g(char *a)\n{\n\tstrcpy(a, a);\n}", "banned"),
		("deliver", 'void g(void);\nvoid g(void)\n{\n\tsystem("true");\n}', "banned"),
		("deliver", "void g(char **a);\nvoid g(char **a)\n{\n\texecvp(*a, a);\n}", "outside src/os"),
		("base", "void g(void)\n{\n" + "\tg();\n" * 71 + "}", "function of 71 lines"),
		("base", "int a;\n" * 600 + "int a;", "file of 601 lines"),
	],
	ids=["floor", "climb", "system", "banned", "shell", "exec", "long-function", "long-file"],
)
def test_tidy_can_fail(tmp_path, room, line, complaint):
	shutil.copytree(ROOT / "tools", tmp_path / "tools")
	shutil.copy(ROOT / "meson.build", tmp_path)
	folder = tmp_path / "src" / room
	folder.mkdir(parents=True)
	(folder / "planted.c").write_text(line + "\n")
	result = run("/usr/bin/python3", "tools/tidy.py", cwd=tmp_path)
	assert result.returncode == 1
	assert complaint in result.stdout


# ---- fuzzing


def fuzz_lines():
	lines = (ROOT / "tests" / "fuzz.tsv").read_text().splitlines()
	return [line.split("\t") for line in lines if not line.startswith("#")]


def fuzz_targets():
	"""The targets that meson.build builds, as room-name."""
	targets = set()
	for file in (ROOT / "src").glob("*/meson.build"):
		targets |= {f"{file.parent.name}-{name}" for name in re.findall(r"'(\w+_fuzz)': ", file.read_text())}
	return targets


def test_every_fuzz_target_has_its_line_and_its_corpus():
	targets = fuzz_targets()
	assert targets == {target for target, _, _ in fuzz_lines()}
	for target in targets:
		inputs = list((ROOT / "tests" / "corpus" / target).iterdir())
		assert 0 < len(inputs) <= 300, target
		assert sum(file.stat().st_size for file in inputs) <= 1 << 20, target


def test_fuzz_lines_name_files_and_functions_that_exist():
	code = "".join(file.read_text() for file in (ROOT / "src").rglob("*.[ch]"))
	for target, files, functions in fuzz_lines():
		for file in files.split():
			assert (ROOT / "src" / file).is_file(), f"{target}: {file}"
		for function in functions.split():
			assert f"{function}(" in code, f"{target}: {function}"


def test_every_function_that_reads_foreign_bytes_is_fuzzed():
	named = {function for _, _, functions in fuzz_lines() for function in functions.split()}
	for_tests = ("check.h", "test_", "_fixture.h")
	missing = []
	for header in sorted((ROOT / "src").glob("*/*.h")):
		if any(part in header.name for part in for_tests):
			continue
		found = re.findall(r"\b(\w+_(?:parse|decode|read))\(", header.read_text())
		missing += [f"{header.relative_to(ROOT)}: {function}" for function in found if function not in named]
	assert not missing
