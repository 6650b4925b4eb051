"""The base image: one tree of Debian 13 with every server installed, built once and read-only from then on.

Its name carries a hash of the package list and of the preparation, so a change of either builds a new one beside the
old. Nothing in it identifies a machine: host keys, machine-id and names are made for each host before it boots.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import subprocess
from pathlib import Path

from smtpctl.errors import LabError
from smtpctl.lab.files import put_tree
from smtpctl.lab.state import Report, StateFolder, locked

RECIPE = Path(__file__).parent / "base"
SUITE = "trixie"

#: Units that have no place in a container, or reach for the world.
MASKED = (
    "console-getty.service",
    "getty@tty1.service",
    "systemd-pstore.service",
    "e2scrub_reap.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "systemd-networkd.service",
    "dev-hugepages.mount",
)

#: What the installation wrote down about the machine that built the image, and what it downloaded.
REMOVED = ("etc/mailname", "etc/resolv.conf", "etc/hostname", "etc/ssh/ssh_host_*", "var/lib/systemd/random-seed")


def packages() -> list[str]:
    """Package names of the base image."""
    lines = (RECIPE / "packages.txt").read_text().splitlines()
    return [name for line in lines if not line.startswith("#") for name in line.split()]


def image_name() -> str:
    """Name of the image that this version of smtpctl needs."""
    steps = [inspect.getsource(step) for step in (_prepare, _forget_build_machine)]
    digest = hashlib.sha256(repr([SUITE, packages(), MASKED, REMOVED, steps]).encode())
    for path in sorted(RECIPE.rglob("*")):
        if path.is_file() and path.name != "packages.txt":
            digest.update(f"{path.relative_to(RECIPE)}\n".encode() + path.read_bytes())
    return f"{SUITE}-{digest.hexdigest()[:12]}"


def images_folder(state: StateFolder) -> Path:
    """Where images lie: SMTPCTL_LAB_IMAGES (to share them between labs), else ``images`` of the state folder."""
    return Path(os.environ.get("SMTPCTL_LAB_IMAGES") or state.root / "images").absolute()


def find_image(state: StateFolder) -> Path | None:
    """The image this version needs, when it is built. SMTPCTL_LAB_BASE names a tree to use in its place."""
    if override := os.environ.get("SMTPCTL_LAB_BASE"):
        return Path(override).absolute()
    image = images_folder(state) / image_name()
    return image if image.is_dir() else None


def ensure_image(state: StateFolder, report: Report) -> Path:
    """The image this version needs, built now unless it exists. Labs that share their images build it once."""
    if (found := find_image(state)) is not None:
        return found
    # set-user-id programs in there are not for this machine's users
    images_folder(state).mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(images_folder(state), report):
        return find_image(state) or _build(images_folder(state) / image_name(), report)


def _build(image: Path, report: Report) -> Path:
    """Build ``image`` under another name and rename it when it is whole: an interrupted build leaves nothing that
    counts."""
    unfinished = image.with_name(image.name + ".unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    report(f"building the base image {image} once: Debian {SUITE} and {len(packages())} packages, one to three minutes")
    _bootstrap(unfinished, image.with_name(image.name + ".log"), report)
    report("compiling rspamd's expressions once")
    _warm_rspamd(unfinished)
    _prepare(unfinished)
    unfinished.rename(image)
    return image


def _bootstrap(tree: Path, log: Path, report: Report) -> None:
    """Install the packages into ``tree``; all that mmdebstrap says goes to ``log``, its headlines are reported."""
    command = ["mmdebstrap", "--variant=minbase", "--skip=check/empty", f"--include={','.join(packages())}"]
    with (
        log.open("w") as record,
        subprocess.Popen([*command, SUITE, str(tree)], stderr=subprocess.PIPE, text=True, errors="replace") as process,
    ):
        for line in process.stderr or ():
            record.write(line)
            if line.startswith("I:"):
                report(f"  {line.rstrip()}")
    if process.returncode != 0:
        raise LabError(
            f"mmdebstrap ended with status {process.returncode}; its words are in {log}",
            hint="it needs a Debian mirror; on Ubuntu also: apt-get install debian-archive-keyring",
        )


def _warm_rspamd(tree: Path) -> None:
    namespaces = ["--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child=KILL", "--propagation=private"]
    _run(["unshare", *namespaces, "bash", str(RECIPE / "warm-rspamd.sh"), str(tree)], "compiling rspamd's expressions")


def _prepare(tree: Path) -> None:
    """The rules of every image: nothing but ssh and the log start by themselves, and no identity is shared."""
    put_tree(tree, RECIPE / "files")
    _run(["systemctl", f"--root={tree}", "preset-all"], "setting the units' presets")
    _run(["systemctl", f"--root={tree}", "mask", "--quiet", *MASKED], "masking units")
    for pattern in REMOVED:
        for path in tree.glob(pattern):
            path.unlink()
    (tree / "etc/machine-id").write_text("")
    # newer than /usr: no host rebuilds caches and users at its first boot (systemd-update-done.service(8))
    for marker in ("etc/.updated", "var/.updated"):
        (tree / marker).touch()
    _forget_build_machine(tree / "etc/postfix/main.cf")


def _forget_build_machine(main_cf: Path) -> None:
    """Postfix's installation writes the build machine's name into main.cf."""
    lines = main_cf.read_text().splitlines(keepends=True)
    main_cf.write_text("".join(line for line in lines if not line.startswith(("myhostname", "mydestination"))))


def _run(command: list[str], what: str) -> None:
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if result.returncode != 0:
        raise LabError(f"{what} failed with status {result.returncode}: {result.stdout.strip()[-500:]}")
