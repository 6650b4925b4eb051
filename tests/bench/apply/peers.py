"""The peers: Ansible, Ansible with mitogen, pyinfra, bare ssh. Each gets the very files that smtpctl renders.

What they have to do beside copying (users, checkers, reloads) is one shell script on each host, given the paths that
changed: less than smtpctl does, since nothing is staged, journalled, probed or led back.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import venv
from collections.abc import Mapping
from pathlib import Path

from smtpctl.model.artifacts import Action, DesiredHost
from tests.bench.apply.stage import REPOSITORY, Run, Stage

HOME = REPOSITORY / ".bench" / "apply"

PACKAGES = {
    "ansible": ("ansible-core==2.19.*",),
    "mitogen": ("ansible-core==2.19.*", "mitogen==0.3.54"),
    "pyinfra": ("pyinfra==3.10",),
}

_PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: folders
      ansible.builtin.command: "mkdir -p {{ folders | join(' ') }}"
      when: make_folders is defined
    - name: descriptions of users
      ansible.builtin.copy: &copy
        src: "{{ item.source }}"
        dest: "{{ item.path }}"
        mode: "{{ item.mode }}"
        owner: "{{ item.owner }}"
        group: "{{ item.group }}"
      loop: "{{ managed | selectattr('first') }}"
      loop_control: &label {label: "{{ item.path }}"}
      register: first
    - name: users
      ansible.builtin.command: systemd-sysusers
      when: first is changed
    - name: files
      ansible.builtin.copy: *copy
      loop: "{{ managed | rejectattr('first') }}"
      loop_control: *label
      register: rest
    - name: checkers and units
      ansible.builtin.shell: "{{ reload_script }} {{ changed | map(attribute='item.path') | join(' ') }}"
      vars: {changed: "{{ rest.results | selectattr('changed') }}"}
      when: rest is changed
"""

_DEPLOY = """
from pyinfra import host
from pyinfra.operations import files, server

changed = []

def put(file):
    operation = files.put(
        src=file["source"], dest=file["path"], mode=file["mode"], user=file["owner"], group=file["group"]
    )
    if operation.will_change:
        changed.append(file["path"])

for file in host.loop([file for file in host.data.managed if file["first"]]):
    put(file)
if changed:
    server.shell(name="users", commands=["systemd-sysusers"])
for file in host.loop([file for file in host.data.managed if not file["first"]]):
    put(file)
if changed:
    server.shell(name="checkers and units", commands=[host.data.reload_script + " " + " ".join(changed)])
"""


class Peers:
    """The peers' own files below a folder of the stage, made anew from what smtpctl renders now."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.folder = stage.folder / "peers"
        self.folder.mkdir()

    def describe(self) -> None:
        """Write what is to be on the hosts for every peer."""
        hosts = {name: self._host(desired) for name, desired in self.stage.rendered().items()}
        state = self.stage.state
        addresses = self.stage.lab.addresses
        common = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(state.identity),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={state.known_hosts} -o IdentitiesOnly=yes",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        members = {name: {**data, "ansible_host": addresses[name], **common} for name, data in hosts.items()}
        (self.folder / "hosts.json").write_text(json.dumps({"all": {"hosts": members}}))
        (self.folder / "site.yml").write_text(_PLAYBOOK)
        sign_in = {"ssh_user": "root", "ssh_key": str(state.identity), "ssh_known_hosts_file": str(state.known_hosts)}
        listed = [(name, {**data, **sign_in, "ssh_hostname": addresses[name]}) for name, data in hosts.items()]
        (self.folder / "inventory.py").write_text(f"hosts = {listed!r}\n")
        (self.folder / "deploy.py").write_text(_DEPLOY)

    def _host(self, desired: DesiredHost) -> dict[str, object]:
        managed = []
        for path, file in sorted(desired.files.items(), key=lambda item: "sysusers.d" not in item[0]):
            source = self.folder / "files" / desired.host / path.lstrip("/")
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_bytes(file.content)
            entry = {"path": path, "source": str(source), "mode": f"0{file.mode:o}", "first": "sysusers.d" in path}
            managed.append({**entry, "owner": file.owner, "group": file.group})
        folders = sorted({str(Path(path).parent) for path in desired.files})
        return {
            "managed": managed,
            "folders": folders,
            "reload_script": "sh -c " + shlex.quote(handlers(desired)) + " sh",
        }

    def ansible(self, *arguments: str, mitogen: bool = False) -> Run:
        """A playbook run with a cold connection, everything tuned that its manual knows."""
        home = HOME / ("mitogen" if mitogen else "ansible")
        environment = {
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "control"),
            "ANSIBLE_FORKS": "6",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "0",
        }
        if mitogen:
            plugins = next(home.glob("lib/python3*/site-packages/ansible_mitogen/plugins/strategy"))
            environment |= {"ANSIBLE_STRATEGY_PLUGINS": str(plugins), "ANSIBLE_STRATEGY": "mitogen_linear"}
        playbook = str(home / "bin" / "ansible-playbook")
        inventory = str(self.folder / "hosts.json")
        command = [playbook, "-i", inventory, str(self.folder / "site.yml"), *arguments]
        try:
            return self.stage.run(command, environment=environment)
        finally:
            self._forget_connections()

    def pyinfra(self, *arguments: str) -> Run:
        program = str(HOME / "pyinfra" / "bin" / "pyinfra")
        files = [str(self.folder / name) for name in ("inventory.py", "deploy.py")]
        return self.stage.run([program, *files, "--yes", *arguments])

    def bare_ssh(self, paths: Mapping[str, list[str]]) -> Run:
        """Six ssh at once, each asking one host for the hashes of its files."""
        commands = [
            f'ssh -F {self.stage.state.ssh_config} {host} sha256sum {" ".join(files)} & jobs="$jobs $!"; '
            for host, files in paths.items()
        ]
        return self.stage.run(["sh", "-c", f"{''.join(commands)} for job in $jobs; do wait $job || exit 1; done"])

    def _forget_connections(self) -> None:
        """End the masters that ControlPersist left, so that every run begins cold."""
        for socket in (self.folder / "control").glob("*"):
            self.stage.run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "any"], codes=(0, 255))


def handlers(desired: DesiredHost) -> str:
    """A script that is told which paths changed, and checks and reloads what smtpctl would."""
    lines = ['for f in "$@"; do case "$f" in /etc/systemd/system/*) d=1;; esac; done']
    for check in desired.checks:
        lines.append(_when(check.paths, shlex.join(check.command) + " >/dev/null 2>&1"))
    lines.append('[ -z "$d" ] || systemctl daemon-reload')
    lines.append(_when(("*/tmpfiles.d/*",), "systemd-tmpfiles --create"))
    lines.append(_when(("/etc/systemd/system/*",), "systemctl mask --now " + " ".join(desired.masked_units) or "true"))
    for service in desired.services:
        lines.append(f"systemctl is-enabled -q {service.unit} || systemctl enable -q {service.unit}")
        restart = tuple(pattern for pattern, action in service.triggers if action is Action.RESTART)
        reload = tuple(pattern for pattern, action in service.triggers if action is Action.RELOAD)
        lines.append(_when(restart, f"systemctl restart {service.unit}"))
        lines.append(_when(reload, f"systemctl reload-or-restart {service.unit}"))
    return "\n".join(line for line in lines if line)


def _when(patterns: tuple[str, ...], command: str) -> str:
    """Shell that runs ``command`` once if one of the changed paths matches."""
    if not patterns:
        return ""
    return f'for f in "$@"; do case "$f" in {"|".join(patterns)}) {command}; break;; esac; done'


def install() -> dict[str, str]:
    """Install every peer into an environment of its own, once. Peers that are missing, with the reason."""
    missing = {}
    for name, packages in PACKAGES.items():
        done = HOME / name / "done"
        if done.exists():
            continue
        venv.create(HOME / name, with_pip=True, clear=True)
        command = [str(HOME / name / "bin" / "pip"), "install", "--quiet", *packages]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            missing[name] = result.stderr.strip().splitlines()[-1]
        else:
            done.touch()
    return missing
