"""The tree of templates: the built-in one, and over it a fleet's own folder, file by file.

``templates/LAYER/path/on/the/host.j2`` becomes ``/path/on/the/host``. A folder or file name may hold ``{pool}`` or
``{domain}``: the template is then rendered once for each pool of the host, or each sending domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2

from smtpctl.errors import TemplateError

SUFFIX = ".j2"


def template_root() -> Path:
    """Folder of the built-in templates: in the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    packed = package / "_data" / "templates"
    return packed if packed.is_dir() else package.parent / "templates"


class TemplateTree:
    """Templates by their path below the root, the overlay's in place of built-in ones of the same path."""

    def __init__(self, root: Path, overlay: Path | None = None, *, cache: Path | None = None) -> None:
        self.cache = cache
        self._files = dict(_files_below(root))
        self._targets: dict[str, tuple[tuple[str, str], ...]] = {}
        self._templates: dict[str, jinja2.Template] = {}
        if overlay is not None:
            self._files |= dict(_files_below(overlay))
        self._environment = jinja2.Environment(  # noqa: S701 - configuration files, not HTML
            loader=jinja2.FunctionLoader(self._source),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
            # Jinja names a compiled template by its path and holds it against a hash of the source.
            bytecode_cache=jinja2.FileSystemBytecodeCache(str(cache), "%s") if cache else None,
        )

    def _source(self, path: str) -> str | None:
        return self.read(path) if path in self._files else None

    def read(self, path: str) -> str:
        """Text of the file at ``path`` below the root. Raise TemplateError when there is none."""
        if path not in self._files:
            raise TemplateError(f"templates/{path} does not exist")
        return self._files[path].read_text(encoding="utf-8")

    def targets(self, layer: str) -> tuple[tuple[str, str], ...]:
        """(template path, absolute path on the host) of every template of a layer, sorted."""
        if layer not in self._targets:
            prefix = f"{layer}/"
            self._targets[layer] = tuple(
                (path, "/" + path[len(prefix) : -len(SUFFIX)])
                for path in sorted(self._files)
                if path.startswith(prefix) and path.endswith(SUFFIX)
            )
        return self._targets[layer]

    def _template(self, path: str) -> jinja2.Template:
        """The compiled template; Jinja's own cache asks a lock and a loader each time.

        Its globals are copied at every rendering, which takes ten times as long from the ChainMap that they come in.
        """
        if path not in self._templates:
            template = self._templates[path] = self._environment.get_template(path)
            template.globals = dict(template.globals)
        return self._templates[path]

    def add_filter(self, name: str, function: Callable[..., str]) -> None:
        self._environment.filters[name] = function

    def render(self, path: str, values: Mapping[str, Any]) -> str:
        """The template at ``path`` with ``values``. Raise TemplateError with file and line on any mistake in it."""
        try:
            return self._template(path).render(values)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(f"{self._files[path]}:{error.lineno}: {error.message}") from None
        except jinja2.TemplateError as error:
            raise TemplateError(f"{self._files[path]}:{_line_of(error)}: {error}") from None


def _files_below(root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield path.relative_to(root).as_posix(), path


def _line_of(error: Exception) -> int:
    """Line in the template where an error was raised: the last frame that Jinja rewrote to template lines."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith("<template"):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
