"""tests/attacks.tsv says what is there: the tests exist, each guard stands once, and the items asked for are covered.

That each test notices the loss of its guard is shown by `./dev test --mutants`.
"""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import mutants  # noqa: E402

LINES = mutants.read_table()
UNTESTED = mutants.read_untested()


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.number}-{line.item}")
def test_guard_and_test_are_there(line):
	assert mutants.test_exists(line), f"no such test: {line.test}"
	spans = mutants.find_guard((ROOT / line.file).read_text(), line.guard)
	assert len(spans) == 1, f"found {len(spans)} times in {line.file}: {line.guard}"
	assert line.mutation.split() != line.guard.split()


@pytest.mark.parametrize("item", [f"A{number}" for number in range(1, 56)])
def test_item_has_a_mutant_or_a_reason(item):
	assert any(line.item == item for line in LINES) != (item in UNTESTED)


def test_no_line_stands_twice():
	lines = [line[1:] for line in LINES]
	assert [line for line in lines if lines.count(line) > 1] == []


def test_layout_does_not_matter_to_a_guard():
	assert mutants.find_guard("a;\n\tif (b) {\n\t\tc;\n\t}\n", "if (b) { c; }") == [(4, 20)]
	assert mutants.find_guard("if (x) if (x)", "if (x)") == [(0, 6), (7, 13)]
	assert mutants.find_guard("if (y)", "if (x)") == []
