"""What a desired host holds: one owner a path, secrets declared, every trigger and check pointing at something."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from smtpctl.errors import TemplateError
from smtpctl.model.artifacts import Action
from smtpctl.model.fleet import Fleet
from smtpctl.model.secrets import Secrets
from smtpctl.render import render_fleet


def test_every_host_has_the_base_layer(any_fleet: Fleet, no_secrets: Secrets) -> None:
    for host in render_fleet(any_fleet, no_secrets).values():
        assert "/etc/nftables.conf" in host.files
        assert "/usr/local/lib/smtpctl/shipper.pyz" in host.files


def test_every_trigger_and_check_names_a_file_that_exists(any_fleet: Fleet, no_secrets: Secrets) -> None:
    for host in render_fleet(any_fleet, no_secrets).values():
        patterns = [pattern for service in host.services for pattern, _ in service.triggers]
        patterns += [pattern for check in host.checks for pattern in check.paths]
        for pattern in patterns:
            matches = fnmatch.filter(host.files, pattern)
            optional = "keepalived" in pattern or pattern in {"/etc/resolv.conf", "/etc/unbound/*"}
            assert matches or optional, f"{host.host}: {pattern} matches no file"


def test_files_that_hold_secrets_are_declared_and_closed(any_fleet: Fleet, no_secrets: Secrets) -> None:
    for host in render_fleet(any_fleet, no_secrets).values():
        for file in host.files.values():
            text = unquote(file.content.decode("utf-8", "replace"))
            private = [part for part in text.split("PLACEHOLDER(")[1:] if not _is_public(part)]
            assert bool(private) == file.secret, file.path
            if file.secret:
                assert file.mode & 0o007 == 0, f"{file.path} is readable by everyone"


def _is_public(part: str) -> bool:
    return part.partition(")")[0].endswith(("/public", "/certificate"))


def test_a_template_that_leaks_a_secret_is_refused(reference: Fleet, tmp_path: Path) -> None:
    overlay = tmp_path / "balancer" / "etc" / "leak.j2"
    overlay.parent.mkdir(parents=True)
    overlay.write_text('{{ secret("database/reader/password") }}\n')
    secrets = Secrets({"database/reader/password": "hunter2-hunter2"}, placeholders=True)
    with pytest.raises(TemplateError, match=r"/etc/leak holds a secret") as caught:
        render_fleet(reference, secrets, overlay=tmp_path)
    assert "hunter2" not in str(caught.value)


def test_compiled_templates_render_the_same_and_notice_a_change(
    reference: Fleet, no_secrets: Secrets, tmp_path: Path
) -> None:
    overlay, compiled = tmp_path / "overlay", tmp_path / "compiled"
    template = overlay / "base" / "etc" / "resolv.conf.j2"
    template.parent.mkdir(parents=True)
    compiled.mkdir()
    for text in ("nameserver 192.0.2.53\n", "nameserver 192.0.2.54\n"):
        template.write_text(text)
        fresh = render_fleet(reference, no_secrets, overlay=overlay, hosts=["relay1"])
        for _ in range(2):
            again = render_fleet(reference, no_secrets, overlay=overlay, hosts=["relay1"], cache=compiled)
            assert again == fresh
        assert fresh["relay1"].files["/etc/resolv.conf"].content.decode() == text
    assert any(compiled.iterdir())


def test_an_overlay_replaces_the_built_in_template_of_its_path(
    reference: Fleet, no_secrets: Secrets, tmp_path: Path
) -> None:
    overlay = tmp_path / "base" / "etc" / "resolv.conf.j2"
    overlay.parent.mkdir(parents=True)
    overlay.write_text("nameserver 192.0.2.53\n")
    host = render_fleet(reference, no_secrets, overlay=tmp_path, hosts=["relay1"])["relay1"]
    assert host.files["/etc/resolv.conf"].content == b"nameserver 192.0.2.53\n"


def test_a_mistake_in_a_template_names_file_and_line(reference: Fleet, no_secrets: Secrets, tmp_path: Path) -> None:
    overlay = tmp_path / "base" / "etc" / "resolv.conf.j2"
    overlay.parent.mkdir(parents=True)
    overlay.write_text("nameserver 127.0.0.1\nsearch {{ flete.domains }}\n")
    with pytest.raises(TemplateError, match=r"resolv\.conf\.j2:2: 'flete' is undefined"):
        render_fleet(reference, no_secrets, overlay=tmp_path)


def test_extra_parameters_reach_their_instance_and_replace_ours(reference: Fleet, no_secrets: Secrets) -> None:
    changed = replace(reference, parameters={"submission": {"message_size_limit": "1000", "smtpd_timeout": "10s"}})
    host = render_fleet(changed, no_secrets, hosts=["edge1"])["edge1"]
    main_cf = host.files["/etc/postfix-submission/main.cf"].content.decode()
    assert "message_size_limit = 1000\n" in main_cf
    assert main_cf.count("message_size_limit") == 1
    assert main_cf.endswith("smtpd_timeout = 10s\n")


def test_a_change_of_one_pool_reloads_only_its_instance(reference: Fleet, no_secrets: Secrets) -> None:
    host = render_fleet(reference, no_secrets, hosts=["relay1"])["relay1"]
    triggered = {
        service.unit
        for service in host.services
        for pattern, action in service.triggers
        if action is Action.RELOAD and fnmatch.fnmatch("/etc/postfix-transactional/main.cf", pattern)
    }
    assert triggered == {"postfix@transactional.service"}


def test_json_files_are_json(any_fleet: Fleet, no_secrets: Secrets) -> None:
    for host in render_fleet(any_fleet, no_secrets).values():
        for path, file in host.files.items():
            if path.endswith(".json"):
                json.loads(file.content)
