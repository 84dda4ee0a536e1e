"""Power cuts in a virtual machine's disk (tools/powercut.py). Attack item A55. Long: the machine is emulated."""

import os
import re
import subprocess
import sys

import pytest

from conftest import need
from harness import ROOT, SEED

pytestmark = pytest.mark.long


def powercut(*options):
	if os.geteuid() != 0:
		pytest.skip("needs root: the disks are mounted")
	need("mkfs.ext4")
	command = [sys.executable, str(ROOT / "tools" / "powercut.py"), "--seed", str(SEED), *options]
	result = subprocess.run(command, capture_output=True, text=True, timeout=1800)
	if result.returncode == 77:
		pytest.skip(result.stderr.strip())
	found = re.search(r"(\d+) cuts, (\d+) messages accepted, (\d+) repeated, (\d+) lost\n$", result.stdout)
	assert found, result.stderr[-4000:]
	return [int(number) for number in found.groups()], result


def test_a55_power_lost_at_any_moment_loses_nothing():
	(cuts, accepted, _, lost), result = powercut("--cuts", "60")
	assert (cuts, lost, result.returncode) == (60, 0, 0), result.stderr[-4000:]
	assert accepted > 200


def test_a_disk_that_lies_about_its_flushes_is_found_out():
	(_, _, _, lost), result = powercut("--cuts", "10", "--forgets", "50")
	assert lost > 0 and result.returncode == 1
