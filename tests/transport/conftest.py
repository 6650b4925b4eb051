"""The hosts of ``tests/deploy``: the transport is tested against the same real sshd."""

from __future__ import annotations

from tests.deploy.conftest import bench, own_lab

__all__ = ["bench", "own_lab"]
