"""Letting a deploy user in, for ``smtpctl bootstrap``: a log-in by key, and one right, the fixed command of the agent.

What stands already is left as it is. Nothing is taken away: a user who may do more is refused, not cut down.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from typing import Any

from . import StepError, packages, processes
from .store import sync_folder, write_durably

SUDOERS = Path("/etc/sudoers.d/smtpctl")

#: Appends a line to the user's own file, as the user: root follows no link in a folder of somebody else's.
_ADD_KEY = """
umask 077
mkdir -p "$1/.ssh"
grep -qsxF -- "$2" "$1/.ssh/authorized_keys" || { printf '%s\\n' "$2" >> "$1/.ssh/authorized_keys" && echo added; }
"""


def admit(request: dict[str, Any]) -> list[str]:
    """Make ``user`` able to sign in with ``key`` and to run ``command`` (its path, its text) as root, and nothing
    else; what changed, in words."""
    user, (path, text) = request["user"], request["command"]
    changed = _require_sudo()
    changed += _make_user(user)
    changed += _add_key(user, request["key"])
    changed += _install(Path(path), text, 0o755)
    changed += _permit(f"{user} ALL=(root) NOPASSWD: {path}\n")
    _require_one_right(user, path)
    return changed


def require_debian_13() -> None:
    """The release whose packages and settings smtpctl renders for (os-release(5))."""
    lines = Path("/etc/os-release").read_text(errors="replace").splitlines()
    values = dict(line.replace('"', "").split("=", 1) for line in lines if "=" in line)
    if (values.get("ID"), values.get("VERSION_ID")) != ("debian", "13"):
        raise StepError("system", f"this is {values.get('PRETTY_NAME', 'no system that names itself')}, not Debian 13")


def _require_sudo() -> list[str]:
    if Path("/usr/sbin/visudo").exists():
        return []
    packages.install(["sudo"])
    return ["package sudo"]


def _make_user(user: str) -> list[str]:
    """An ordinary user with a home and no password: ``*`` lets nobody in and, unlike ``!``, is no locked account."""
    try:
        known = pwd.getpwnam(user)
    except KeyError:
        _run("user", "useradd", "--create-home", "--shell", "/bin/sh", "--password", "*", user)
        return [f"user {user}"]
    if known.pw_uid == 0:
        raise StepError("user", f"{user} is root by another name (user id 0)")
    return []


def _add_key(user: str, key: str) -> list[str]:
    home = pwd.getpwnam(user).pw_dir
    words = _run("key", "runuser", "--user", user, "--", "sh", "-c", _ADD_KEY, "sh", home, key)
    return [f"{home}/.ssh/authorized_keys"] if words else []


def _install(path: Path, text: str, mode: int) -> list[str]:
    """``text`` at ``path``, root's own, in folders that only root can change."""
    for folder in path.parents:
        status = folder.stat()
        if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise StepError("command", f"somebody else than root may write to {folder}, where {path} has to be")
    if _stands(path, text, mode):
        return []
    write_durably(path, text.encode())
    path.chmod(mode)
    os.chown(path, 0, 0)
    sync_folder(path.parent)
    return [str(path)]


def _permit(text: str) -> list[str]:
    """``text`` as a file of sudo's, which would refuse everybody for one bad file: so it is checked under a name that
    sudo does not read (with a dot, sudoers(5)), and with all others when it is in place."""
    if _stands(SUDOERS, text, 0o440):
        return []
    trial = SUDOERS.with_name("smtpctl.new")
    before = SUDOERS.read_bytes() if SUDOERS.exists() else None
    _install(trial, text, 0o440)
    try:
        _run("sudo", "visudo", "-c", "-f", str(trial))
        trial.replace(SUDOERS)
        _run("sudo", "visudo", "-c")
    except StepError:
        _bring_back(before)
        raise
    finally:
        trial.unlink(missing_ok=True)
    sync_folder(SUDOERS.parent)
    return [str(SUDOERS)]


def _bring_back(before: bytes | None) -> None:
    if before is None:
        SUDOERS.unlink(missing_ok=True)
    else:
        write_durably(SUDOERS, before)
        SUDOERS.chmod(0o440)


def _require_one_right(user: str, path: str) -> None:
    """sudo itself says what the user may; other files, groups and aliases count for it, too."""
    _, _, listed = _run("sudo", "sudo", "-n", "-l", "-U", user).partition("may run the following commands")
    rights = [line.strip() for line in listed.splitlines()[1:] if line.strip()]
    if not rights:
        raise StepError("sudo", f"sudo does not read {SUDOERS}: /etc/sudoers lacks `@includedir {SUDOERS.parent}`")
    others = [right for right in rights if right != f"(root) NOPASSWD: {path}"]
    if others:
        raise StepError("sudo", f"{user} may do more than run {path}: {'; '.join(others)}")


def _stands(path: Path, text: str, mode: int) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    attributes = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    return stat.S_ISREG(status.st_mode) and attributes == (mode, 0, 0) and path.read_bytes() == text.encode()


def _run(step: str, *command: str) -> str:
    result = processes.run(command, timeout=60)
    if result.code:
        raise StepError(step, f"{command[0]}: {result.output.strip()}")
    return result.output.strip()
