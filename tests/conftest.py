"""What the tests share: servers that live as long as a module, and the programs that tests need."""

import os
import re
import shutil
import subprocess

import pytest

from harness import BUILD, LONG, ROOT


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


@pytest.fixture(scope="session")
def optimised():
	"""The program as ./dev build makes it; kept in the build folder, so that only the first time takes long."""
	need("meson")
	folder = BUILD / "optimised"
	environment = {name: value for name, value in os.environ.items() if name not in ("CFLAGS", "LDFLAGS")}
	options = re.search(r"setup build (.*)$", (ROOT / "dev").read_text(), re.M).group(1).split()
	if not (folder / "build.ninja").exists():
		subprocess.run(["meson", "setup", str(folder), str(ROOT), *options], check=True, capture_output=True, env=environment)
	subprocess.run(["ninja", "-C", str(folder), "packetboat"], check=True, capture_output=True, env=environment, timeout=900)
	return folder / "packetboat"


def pytest_collection_modifyitems(items):
	if not LONG:
		for item in items:
			if item.get_closest_marker("long"):
				item.add_marker(pytest.mark.skip(reason="long: ./dev test --long runs it"))


def pytest_configure(config):
	config.addinivalue_line("markers", "long: only with --long")
