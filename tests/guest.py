"""A small virtual machine that runs our program: Debian's kernel, busybox, and what the program links, from memory.

	with Guest("serve", script="ip link ...; /packetboat serve --config /data/packetboat.yaml", disks=[...]) as guest:
		for line in guest.lines(): ...

Software emulation, so that it needs no rights and no /dev/kvm; everything in it is some 10 to 20 times slower. The script
is busybox sh, run as root of the guest; when it ends the machine is switched off. Nothing leaves the host but by
`network`, which is qemu's own (user mode): the guest sees the host's loopback as 10.0.2.2.
"""

import pathlib
import re
import shutil
import stat
import subprocess
import tempfile

from harness import PROGRAM, ROOT, USERS, make_users

KERNEL_PACKAGE = "linux-image-cloud-amd64"
CACHE = ROOT / "build-guest"
QEMU = "qemu-system-x86_64"
BUSYBOX = "/usr/bin/busybox"
# In the order in which they need each other; a kernel that has one built in has no file of it.
MODULES = ["virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk", "failover",
	"net_failover", "virtio_net"]
INIT = """#!/busybox sh
export PATH=/bin
mkdir -p /bin /proc /sys /dev /tmp /run /etc /data
/busybox --install -s /bin
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev; mount -t tmpfs none /tmp; mount -t tmpfs none /run
for module in {modules}; do insmod /modules/$module.ko 2>/dev/null; done
ip link set lo up
{script}
echo guest: over
poweroff -f
"""


class Missing(Exception):
	"""What is needed for a guest and is not here, in words."""


def command(*words, **options):
	result = subprocess.run([str(word) for word in words], capture_output=True, text=True, **options)
	if result.returncode != 0:
		raise Missing(f"{words[0]}: {result.stderr.strip() or result.returncode}")
	return result.stdout


def kernel():
	"""The folder with Debian's kernel unpacked; fetched once."""
	if not any(CACHE.glob("boot/vmlinuz-*")):
		CACHE.mkdir(exist_ok=True)
		name = re.search(r"Depends: (linux-image-\S+)", command("apt-cache", "depends", KERNEL_PACKAGE))
		if not name:
			raise Missing(f"apt knows no {KERNEL_PACKAGE}")
		command("apt-get", "download", name.group(1), cwd=CACHE)
		for package in CACHE.glob("linux-image-*.deb"):
			command("dpkg", "-x", package, CACHE)
			package.unlink()
	return CACHE


def need_guest():
	"""Raises Missing where no guest can be run."""
	for program in (QEMU, BUSYBOX):
		if not shutil.which(program):
			raise Missing(f"{program} is not installed")
	kernel()


def entry(number, name, mode, data=b""):
	"""One file of a cpio archive ("newc")."""
	path = name.encode() + b"\0"
	fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0]
	head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
	return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def archive(files):
	"""A cpio archive of path -> bytes, with the folders that they lie in; all executable."""
	folders = sorted({str(parent) for path in files for parent in pathlib.PurePosixPath(path).parents} - {"."})
	parts = [entry(i, name, stat.S_IFDIR | 0o755) for i, name in enumerate(folders, 1)]
	parts += [entry(i, name, stat.S_IFREG | 0o755, data) for i, (name, data) in enumerate(files.items(), len(folders) + 1)]
	return b"".join([*parts, entry(0, "TRAILER!!!", 0)])


def libraries(program):
	"""What a program links, by path, with the loader."""
	return re.findall(r"(?:=> )?(/\S+) \(0x", command("ldd", program))


def initial_files(script, programs):
	files = {"busybox": pathlib.Path(BUSYBOX).read_bytes()}
	for name, path in programs.items():
		files[name] = pathlib.Path(path).read_bytes()
		files.update({library.lstrip("/"): pathlib.Path(library).read_bytes() for library in libraries(path)})
	for module in MODULES:
		for path in kernel().glob(f"lib/modules/*/kernel/**/{module}.ko"):
			files[f"modules/{module}.ko"] = path.read_bytes()
	for name in ("passwd", "group"):
		lines = pathlib.Path("/etc", name).read_text().splitlines()
		files[f"etc/{name}"] = "".join(f"{line}\n" for line in lines if line.split(":")[0] in ["root", *USERS]).encode()
	files["init"] = INIT.format(modules=" ".join(MODULES), script=script).encode()
	return files


class Guest:
	def __init__(self, script, programs=(), memory_mib=512, network="", arguments=()):
		"""programs: more of them, name in / -> path here. network: more options of qemu's -netdev user."""
		need_guest()
		make_users()
		self.folder = pathlib.Path(tempfile.mkdtemp(prefix="packetboat-guest-", dir="/var/tmp"))
		initial = self.folder / "initial"
		initial.write_bytes(archive(initial_files(script, {"packetboat": PROGRAM, **dict(programs)})))
		line = [QEMU, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", f"{memory_mib}M", "-nodefaults",
			"-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", str(next(kernel().glob("boot/vmlinuz-*"))),
			"-initrd", str(initial), "-append", "console=ttyS0 quiet panic=-1 mitigations=off", *arguments]
		if network:
			line += ["-netdev", f"user,id=n,{network}", "-device", "virtio-net-pci,netdev=n,romfile="]
		self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
			text=True, errors="replace", start_new_session=True)

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.cut()
		shutil.rmtree(self.folder, ignore_errors=True)

	def lines(self):
		"""What the guest writes to its console, until it is over."""
		for line in self.process.stdout:
			yield line.rstrip("\r\n")

	def cut(self):
		"""Switches it off, as a power cut does."""
		self.process.kill()
		self.process.wait()
