"""The unit of packaging/ under a real systemd, booted in a container over the files of this machine; what it changes goes with it."""

import json
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from conftest import need, need_namespace
from harness import ROOT, USERS

BOOT_S = 120
PACKAGING = ROOT / "packaging"
CONFIG = "hostname: mail.test\ndomains:\n  example.org: {deliver: maildir}\n"
PID = "systemctl show --property MainPID --value packetboat"

# In a mount namespace of its own: $1 holds the steps, $2 becomes the container's root. /run hides the manager of this machine.
BOOT = """set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$2/upper,workdir=$2/work" "$2/root"
rm -rf "$2"/root/etc/systemd/system/*
cp -r "$1/files/." "$2/root/"
SYSTEMD_SECCOMP=0 exec systemd-nspawn --quiet --directory="$2/root" --register=no --keep-unit --private-network --bind="$1:/steps" \\
	/lib/systemd/systemd --unit=steps.service
"""

STEPS_UNIT = """[Unit]
Requires=basic.target
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/bash /steps/steps
ExecStopPost=/bin/systemctl poweroff --force
"""


class Steps:
	"""Shell commands that run one after the other in the booted machine; then their output and status, by name."""

	def __init__(self, program, separate_users):
		self.folder = pathlib.Path(tempfile.mkdtemp(prefix="packetboat-test-", dir="/var/tmp"))
		files = self.folder / "files"
		units = files / "etc/systemd/system"
		for folder in (files / "usr/sbin", files / "etc/packetboat", units / "packetboat.service.d"):
			folder.mkdir(parents=True)
		shutil.copy(program, files / "usr/sbin/packetboat")
		shutil.copy(PACKAGING / "packetboat.service", units)
		if separate_users:
			shutil.copy(PACKAGING / "separate-users.conf", units / "packetboat.service.d")
		(units / "steps.service").write_text(STEPS_UNIT)
		(files / "etc/packetboat/packetboat.yaml").write_text(CONFIG)
		self.script = "".join(f"id {user} || useradd --system --user-group --no-create-home {user}\n" for user in USERS)

	def add(self, name, command):
		self.script += f"(\n{command}\n) >/steps/{name} 2>&1 </dev/null; echo $? >/steps/{name}.status\n"

	def run(self):
		(self.folder / "steps").write_text(self.script)
		root = self.folder / "root"
		root.mkdir()
		self.console = subprocess.run(["timeout", "--kill-after=10", str(BOOT_S), "unshare", "--mount", "bash", "-c", BOOT, "boot",
			str(self.folder), str(root)], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")

	def __getitem__(self, name):
		path = self.folder / name
		if not path.exists():
			raise AssertionError(f"the step {name} was not reached: {self.console.stdout[-2000:]}{self.console.stderr[-500:]}")
		return path.read_text()

	def succeeds(self, name):
		assert self[f"{name}.status"].strip() == "0", self[name]
		return self[name]


@pytest.fixture(scope="module", params=[False, True], ids=["one-user", "separate-users"])
def steps(request, optimised):
	need_namespace("a machine to boot")
	need("systemd-nspawn")
	need("swaks")
	steps = Steps(optimised, request.param)
	steps.separate_users = request.param
	send = "swaks --server 127.0.0.1 --port 587 --tls --auth PLAIN --auth-user a@example.org --auth-password secret-Pass-1" \
		" --from a@example.org --to a@example.org --header 'Subject: {}'"
	filed = "/var/lib/packetboat/mail/example.org/a/Maildir/new"
	await_mail = f"for i in $(seq 300); do grep -qs 'Subject: {{}}' {filed}/* && exit 0; sleep 0.1; done; exit 1"
	steps.add("start", "systemctl start packetboat")
	steps.add("user", "printf 'secret-Pass-1\\n' | packetboat user add a@example.org")
	steps.add("send", send.format("first"))
	steps.add("filed", await_mail.format("first"))
	steps.add("status", "packetboat status --json")
	steps.add("exposure", "systemd-analyze security --no-pager packetboat")
	steps.add("reload", "systemctl reload packetboat")
	steps.add("bad-reload", "cp /etc/packetboat/packetboat.yaml /root/good; echo 'hostnam: x' >> /etc/packetboat/packetboat.yaml\n"
		"systemctl reload packetboat; code=$?; cp /root/good /etc/packetboat/packetboat.yaml; exit $code")
	steps.add("after-bad-reload", "packetboat status --json")
	steps.add("killed", f"before=$({PID}); kill -9 $before\n"
		f"for i in $(seq 300); do now=$({PID}); [ $now != 0 ] && [ $now != $before ] && packetboat status && exit 0; sleep 0.1; done; exit 1")
	steps.add("send-again", send.format("second"))
	steps.add("filed-again", await_mail.format("second"))
	steps.add("stop", "systemctl stop packetboat")
	steps.add("result", "systemctl show --property Result,ActiveState packetboat")
	steps.add("bad-start", "echo 'hostnam: x' >> /etc/packetboat/packetboat.yaml; systemctl start packetboat")
	steps.add("bad-start-journal", "systemctl show --property SubState packetboat; journalctl --no-pager --unit packetboat --lines 20")
	try:
		steps.run()
		yield steps
	finally:
		shutil.rmtree(steps.folder, ignore_errors=True)


def test_it_starts_and_carries_mail(steps):
	for name in ("start", "user", "send", "filed"):
		steps.succeeds(name)
	status = json.loads(steps.succeeds("status"))
	assert status["separate_users"] is steps.separate_users
	assert [process["state"] for process in status["processes"]] == ["ready"] * 4
	for process in status["processes"]:
		assert "no_new_privs" in process["sandbox"] and "seccomp" in process["sandbox"]


def test_its_exposure_is_what_the_handbook_says(steps):
	assert f"Overall exposure level for packetboat.service: {2.7 if steps.separate_users else 1.5}" in steps.succeeds("exposure")


def test_reload_is_told_what_is_wrong_and_the_server_goes_on(steps):
	steps.succeeds("reload")
	assert steps["bad-reload.status"].strip() != "0"
	assert json.loads(steps.succeeds("after-bad-reload"))["processes"][0]["state"] == "ready"


def test_killed_it_is_started_again_and_stops_in_order(steps):
	for name in ("killed", "send-again", "filed-again", "stop"):
		steps.succeeds(name)
	assert steps.succeeds("result").split() == ["Result=success", "ActiveState=inactive"]


def test_a_configuration_that_is_no_good_is_not_tried_again_and_the_journal_says_where(steps):
	assert steps["bad-start.status"].strip() != "0"
	said = steps.succeeds("bad-start-journal")
	assert "SubState=failed" in said  # auto-restart, if it were to be tried again
	assert "/etc/packetboat/packetboat.yaml:4:1" in said, said
