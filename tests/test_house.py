"""The house itself: layout rules that the compiler cannot check, and formatting."""

import pathlib
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
