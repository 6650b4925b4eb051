"""The name server that routing learns from."""

from tests.name_server import name_server

__all__ = ["name_server"]
