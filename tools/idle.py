#!/usr/bin/python3
"""idle [--connections N] [--tls]: so many idle connections at once, in a virtual machine where the limits are ours to set.

Many systems forbid more than 20,000 descriptors, also to root. In the machine (tests/guest.py) the server and the clients
(bench/idle.c, spread over 127.0.1.x, each as far as EHLO) have none but limits.connections. Prints what each connection
costs our processes and the kernel (its two ends together), and how long a new client waits for the banner: on an
emulated processor, some 10 to 20 times slower than a real one. Exit status 0 only if all are held and new ones served.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
from guest import Guest, Missing, need_guest  # noqa: E402
from harness import ROOT  # noqa: E402

PORT = 2500
MEMORY_MIB = 3072
SCRIPT = """
ulimit -n 200000
echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range
echo 4096 > /proc/sys/net/core/somaxconn
mount -t tmpfs -o mode=755 none /data
cat >/tmp/c <<'END'
{config}
END
figures() {{
	for p in /proc/[0-9]*; do
		case "$(cat $p/comm 2>/dev/null)" in
		packetboat*|idle) echo "figure: $1 $(tr '\\0' ' ' <$p/cmdline | cut -d' ' -f3) $(awk '/^Pss:/ {{ print $2 }}' $p/smaps_rollup)" ;;
		esac
	done
	echo "figure: $1 free $(awk '/^MemFree:/ {{ print $2 }}' /proc/meminfo)"
}}
/packetboat serve --config /tmp/c &
until /packetboat status --config /tmp/c >/dev/null 2>&1; do sleep 1; done
mkfifo /tmp/go
figures before
/idle {mode} {port} {count} </tmp/go >/tmp/held &
exec 5>/tmp/go
until [ -s /tmp/held ]; do sleep 1; done
sleep 5
figures after
echo >&5
wait %2
sed 's/^/figure: idle /' /tmp/held
"""


def main():
	parser = argparse.ArgumentParser(prog="idle", description=__doc__.splitlines()[0])
	parser.add_argument("--connections", type=int, default=50000)
	parser.add_argument("--tls", action="store_true")
	options = parser.parse_args()
	try:
		need_guest()
	except Missing as missing:
		print(f"not possible here: {missing}", file=sys.stderr)
		return 77
	config = {"hostname": "mail.test", "data_dir": "/data", "log": {"level": "error"},
		"listeners": [{"port": PORT, "role": "relay", "address": "127.0.0.1"}],
		"limits": {"connections": options.connections + 10000, "connections_per_address": 20000, "idle_time": "1h"}}
	before, after, fared = {}, {}, {}
	with tempfile.TemporaryDirectory() as folder:
		idle = pathlib.Path(folder, "idle")
		subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-o", idle, ROOT / "bench" / "idle.c", "-lssl", "-lcrypto"],
			check=True)
		script = SCRIPT.format(config=json.dumps(config), mode="tls" if options.tls else "plain", port=PORT, count=options.connections)
		with Guest(script, {"idle": idle}, memory_mib=MEMORY_MIB) as guest:
			for line in guest.lines():
				print(line, file=sys.stderr, flush=True)
				_, found, words = line.partition("figure: ")
				when, *rest = words.split() if found else [""]
				if when in ("before", "after"):
					name = {"--config": "supervisor", str(PORT): "clients"}.get(rest[0], rest[0])
					(before if when == "before" else after)[name] = int(rest[1])
				elif when == "idle":
					fared.update(word.split("=") for word in rest)
	return report(options, before, after, fared)


def report(options, before, after, fared):
	if "dropped" not in fared:
		print("the machine ended before the measurement did")
		return 1
	held = int(fared["open"]) - int(fared["dropped"])
	ours = {name: after[name] - before[name] for name in before if name != "free"}
	kernel = before["free"] - after["free"] - sum(ours.values()) - after["clients"]
	print(f"held {held} of {options.connections}, {fared['served']} of {fared['of']} new clients served")
	print("per connection: " + ", ".join(f"{name} {value / held:.2f} KiB" for name, value in ours.items()) +
		f", the kernel {kernel / held:.2f} KiB for both ends")
	print(f"banner of a new client: mean {fared['mean_ms']} ms, worst {fared['worst_ms']} ms, on an emulated processor")
	return 0 if held == options.connections and fared["served"] == fared["of"] else 1


if __name__ == "__main__":
	sys.exit(main())
