"""The simulator itself: it runs what the program runs, repeats a run from its seed, and finds what is planted."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("PACKETBOAT_BUILD", ROOT / "build-test"))
SIM = BUILD / "sim"
SEEDS_TO_FIND = 40  # each planted fault is found within so many
PLANTS = ["reply-before-sync", "folder-not-synced", "outcome-lost", "body-damaged"]
SIMULATED_ROOMS = ["base", "mail", "smtp", "trust", "policy", "config", "spool", "link", "receive", "deliver"]


def sim(*arguments):
	return subprocess.run([SIM, *arguments], capture_output=True, text=True, timeout=300)


def archives_of(program):
	"""The libraries of ours that a program is linked from, by the build's own book."""
	text = (BUILD / "build.ninja").read_text()
	inputs = re.search(rf"^build {program}: c_LINKER (.*)$", text, re.M).group(1)
	return set(re.findall(r"\blib(\w+)\.a\b", inputs))


def test_it_links_the_archives_of_the_program_but_for_os():
	program, simulator = archives_of("packetboat"), archives_of("sim")
	assert simulator - program == {"os_sim"}
	assert "os" not in simulator
	assert set(SIMULATED_ROOMS) <= simulator & program


@pytest.mark.parametrize("room", SIMULATED_ROOMS)
def test_an_archive_holds_the_sources_of_its_room_and_nothing_of_the_simulation(room):
	listing = subprocess.run(["ar", "t", BUILD / f"lib{room}.a"], capture_output=True, text=True, check=True)
	members = [pathlib.PurePath(line).name for line in listing.stdout.splitlines()]

	for member in members:
		source = ROOT / "src" / room / re.fullmatch(rf"src_{room}_(\w+\.c)\.o", member).group(1)
		assert source.is_file()
		assert "os/sim/" not in source.read_text()


def test_plants_are_listed():
	listing = sim("--plant", "list")
	assert listing.returncode == 0
	assert [line.split()[0] for line in listing.stdout.splitlines()] == PLANTS
	assert sim("--plant", "nonsense").returncode == 64


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_fault_is_found(plant):
	result = sim("--seeds", str(SEEDS_TO_FIND), "--plant", plant)
	last = result.stdout.splitlines()[-1]
	assert result.returncode == 1, last
	assert re.fullmatch(r"\d+ seeds, \d+ faults, [1-9]\d* violations", last)
	assert f"--plant {plant}" in result.stdout  # how to run it again
	assert "the story of letter" in result.stdout or "messages stay" in result.stdout


def test_a_seed_repeats_its_run_event_by_event():
	first, second = sim("--trace", "7"), sim("--trace", "7")
	assert first.stdout == second.stdout
	assert len(first.stdout.splitlines()) > 100


def test_the_last_line_counts():
	result = sim("--seeds", "3", "--start", "11")
	assert re.fullmatch(r"3 seeds, \d+ faults, 0 violations", result.stdout.splitlines()[-1])
	assert result.returncode == 0
