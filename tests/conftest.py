"""What the tests share: servers that live as long as a module, and the programs that tests need."""

import os
import shutil
import subprocess

import pytest

from harness import LONG


def need(program):
	"""Skips, saying so, where a program is missing."""
	if not shutil.which(program):
		pytest.skip(f"{program} is not installed")


def need_namespace(what):
	"""Skips, saying so, where no mount namespace can be had, as in many containers."""
	if os.geteuid() != 0:
		pytest.skip(f"needs root: {what}")
	result = subprocess.run(["unshare", "-m", "mount", "--make-rprivate", "/"], capture_output=True, text=True)
	if result.returncode != 0:
		pytest.skip(f"needs a mount namespace: {what} ({result.stderr.strip()})")


def pytest_collection_modifyitems(items):
	if not LONG:
		for item in items:
			if item.get_closest_marker("long"):
				item.add_marker(pytest.mark.skip(reason="long: ./dev test --long runs it"))


def pytest_configure(config):
	config.addinivalue_line("markers", "long: only with --long")
