"""Zipapps: deterministic, runnable, and no more inside than was asked for."""

from __future__ import annotations

import io
import zipfile

import pytest

from smtpctl.errors import TemplateError
from smtpctl.render.programs import build_zipapp


def test_the_same_sources_give_the_same_bytes() -> None:
    assert build_zipapp("smtpctl.errors:x", ["smtpctl.errors"]) == build_zipapp("smtpctl.errors:x", ["smtpctl.errors"])


def test_a_module_brings_its_parents_and_nothing_else() -> None:
    archive = build_zipapp("smtpctl.errors:x", ["smtpctl.errors"])
    assert archive.startswith(b"#!/usr/bin/python3\n")
    with zipfile.ZipFile(io.BytesIO(archive)) as bundle:
        assert bundle.namelist() == ["__main__.py", "smtpctl/__init__.py", "smtpctl/errors.py"]


def test_a_package_that_does_not_exist_is_named() -> None:
    with pytest.raises(TemplateError, match=r"smtpctl\.nothing is not part"):
        build_zipapp("smtpctl.nothing:main", ["smtpctl.nothing"])
