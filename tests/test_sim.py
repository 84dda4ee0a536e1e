"""The simulator itself: it runs what the program runs, repeats a run from its seed, finds what is planted, and makes it small."""

import os
import pathlib
import re
import signal
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("PACKETBOAT_BUILD", ROOT / "build-test"))
# The optimised build that ./dev makes; without it the one at hand, and fewer seeds.
SIM_BUILD = pathlib.Path(os.environ.get("PACKETBOAT_SIM", BUILD))
SIM = SIM_BUILD / "sim"
SEEDS = 2000 if SIM_BUILD != BUILD else 100
SIMULATED_ROOMS = ["base", "mail", "smtp", "trust", "policy", "config", "spool", "link", "receive", "deliver"]
NAMED_BY_THE_ISSUE = {"sync-left-out", "reply-early", "journal-skipped", "epoch-unchecked"}
PROMISES = {"kept", "bytes", "once", "refused", "told", "order", "bounds", "quiet", "sound"}


def sim(*arguments):
	return subprocess.run([SIM, *arguments], capture_output=True, text=True, timeout=600)


def plants():
	"""Name and number of seeds within which it is found, as the program says."""
	listing = subprocess.run([SIM, "--plant", "list"], capture_output=True, text=True).stdout if SIM.exists() else ""
	return re.findall(r"^(\S+) +within +(\d+) seeds: .+$", listing, re.M)


def archives_of(program):
	"""The libraries of ours that a program is linked from, by the build's own book."""
	text = (SIM_BUILD / "build.ninja").read_text()
	inputs = re.search(rf"^build {program}: c_LINKER (.*)$", text, re.M).group(1)
	return set(re.findall(r"\blib(\w+)\.a\b", inputs))


def test_it_links_the_archives_of_the_program_but_for_os():
	program, simulator = archives_of("packetboat"), archives_of("sim")
	assert simulator - program == {"os_sim"}
	assert "os" not in simulator
	assert set(SIMULATED_ROOMS) <= simulator & program


def defined_in(file):
	"""The global functions that an archive or a program defines."""
	listing = subprocess.run(["nm", "--defined-only", "--extern-only", file], capture_output=True, text=True, check=True)
	return {line.split()[-1] for line in listing.stdout.splitlines() if re.match(r"\S+ T ", line)}


@pytest.mark.parametrize("room", SIMULATED_ROOMS)
def test_an_archive_holds_the_sources_of_its_room_and_nothing_of_the_simulation(room):
	listing = subprocess.run(["ar", "t", SIM_BUILD / f"lib{room}.a"], capture_output=True, text=True, check=True)
	members = [pathlib.PurePath(line).name for line in listing.stdout.splitlines()]

	for member in members:
		source = ROOT / "src" / room / re.fullmatch(rf"src_{room}_(\w+\.c)\.o", member).group(1)
		assert source.is_file()
		assert "os/sim/" not in source.read_text()


def test_the_calls_of_os_are_the_simulated_ones():
	"""By the linked program itself: what the two builds of os share, the simulator has once, and nothing of the real one."""
	real, simulated = defined_in(BUILD / "libos.a"), defined_in(SIM_BUILD / "libos_sim.a")
	linked = defined_in(SIM)
	assert {"os_file_sync_data", "os_socket_send", "os_clock_wall_ms", "os_random_u64"} <= real & simulated & linked
	assert not (real - simulated) & linked
	assert any(name.startswith("sim_disk_") for name in linked)


def test_there_are_plants_of_many_kinds():
	names = [name for name, _ in plants()]
	assert len(set(names)) == len(names) >= 12
	assert NAMED_BY_THE_ISSUE <= set(names)
	assert sim("--plant", "nonsense").returncode == 64


@pytest.mark.parametrize("plant, seeds", plants())
def test_a_planted_fault_is_found(plant, seeds):
	result = sim("--seeds", seeds, "--plant", plant, "--no-shrink")
	last = result.stdout.splitlines()[-1]
	assert result.returncode == 1, last
	assert re.fullmatch(r"\d+ seeds, \d+ faults, [1-9]\d* violations", last)
	assert set(re.findall(r"^VIOLATION \((\w+)\)", result.stdout, re.M)) <= PROMISES
	assert f"--plant {plant}" in result.stdout  # how to run it again


def test_a_failing_seed_becomes_a_short_story():
	result = sim("--seeds", "20", "--plant", "outcome-lost")
	small = result.stdout[result.stdout.index("made small in"):]
	again = re.search(r"^again: \./dev sim (.+)$", small, re.M).group(1)
	story = small[small.index("the life of letter"):small.index("again:")].splitlines()

	assert "--letters" in again and "--without" in again
	assert 5 <= len(story) <= 40
	assert all(re.match(r" *\d+\.\d{3}  ", line) for line in story[1:])
	assert any("VIOLATION" in line for line in story)
	# The command that it names shows the same.
	repeated = sim("--no-shrink", *again.split())
	assert repeated.returncode == 1
	assert set(story) <= set(repeated.stdout.splitlines())


def test_a_seed_repeats_its_run_event_by_event():
	first, second = sim("--trace", "7"), sim("--trace", "7")
	assert first.stdout == second.stdout
	assert len(first.stdout.splitlines()) > 100


def digests(*arguments):
	return dict(re.findall(r"^seed (\d+) digest (\w+)$", sim("--digests", *arguments).stdout, re.M))


def test_a_seed_has_one_digest_whoever_looks_on():
	first, second = digests("--seeds", "40"), digests("--seeds", "40")
	assert len(first) == 40 and len(set(first.values())) == 40
	assert first == second
	traced = re.search(r"^digest (\w+)$", sim("--trace", "5").stdout, re.M).group(1)
	assert traced == first["5"]


def test_promises_are_kept_in_thousands_of_seeds():
	result = sim("--seeds", str(SEEDS))
	last = result.stdout.splitlines()[-1]
	assert re.fullmatch(rf"{SEEDS} seeds, \d+ faults, 0 violations", last), result.stdout
	# Nothing passes for proven that was never tried.
	deeds = re.findall(r"^ *(\d+)  (\S.*)$", result.stdout, re.M)
	assert len(deeds) > 30
	assert [name for count, name in deeds if count == "0"] == []
	assert result.returncode == 0


def test_the_last_line_counts():
	result = sim("--seeds", "3", "--start", "11")
	assert re.fullmatch(r"3 seeds, \d+ faults, 0 violations", result.stdout.splitlines()[-1])
	assert result.returncode == 0


def test_forever_ends_with_the_first_violation_and_its_story():
	result = sim("--forever", "--plant", "recipient-lost")
	assert result.returncode == 1
	assert "made small in" in result.stdout


def test_forever_ends_when_it_is_interrupted_with_its_totals():
	run = subprocess.Popen([SIM, "--forever", "--digests"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
	first = run.stdout.readline()
	run.send_signal(signal.SIGINT)
	rest, _ = run.communicate(timeout=60)
	assert first.startswith("seed ")
	assert re.fullmatch(r"\d+ seeds, \d+ faults, 0 violations", rest.splitlines()[-1])
	assert run.returncode == 0
