"""Code versions: a digest of the code that an asset's rows depend on.

Dagster shows an asset whose code version differs from that of its last materialization as unsynced, and its automation
condition materializes it again.
"""

import ast
import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from dlbug_assets.layout import PACKAGE

_DIGITS = 16
#: A name, with the attribute that follows it.
_NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?")

#: A module of the package and a name at its top level.
_Definition = tuple[str, str]


def text_version(*texts: str) -> str:
    """Return the code version of an asset that is defined by texts: a SQL model, the content of a seed."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:_DIGITS]


def source_version(function: Callable[..., Any], package: Path = PACKAGE) -> str:
    """Return the code version of assets that a function computes.

    It is a digest of the function's source and of every function, class and constant of ``package`` that it names,
    directly or through others. For a bound method that is the whole class; for a ``functools.partial`` the function
    and those of its arguments that are functions.
    """
    texts, references = [], []
    for part in _functions(function):
        if inspect.ismethod(part):
            owner = type(part.__self__)
            references.append((owner.__module__, owner.__name__))
        else:
            module = _Module.of(package, part.__module__)
            texts.append(module.source(module.nested(part.__qualname__.replace(".<locals>", "").split("."))))
            references += module.references(texts[-1])
    return _version(package, references, "".join(texts))


def unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function inside of ``functools.partial`` and of decorators such as ``functools.cache``."""
    if isinstance(function, functools.partial):
        return unwrapped(function.func)
    return inspect.unwrap(function)


def _functions(function: Callable[..., Any]) -> Iterator[Any]:
    yield unwrapped(function)
    if isinstance(function, functools.partial):
        for argument in (*function.args, *function.keywords.values()):
            if inspect.isroutine(unwrapped(argument)):
                yield from _functions(argument)


def _version(package: Path, first: Iterable[_Definition], text: str) -> str:
    reached: dict[_Definition, str] = {}
    pending = list(first)
    while pending:
        definition = pending.pop()
        if definition not in reached:
            reached[definition], references = _resolved(package, *definition)
            pending += references
    return text_version(text, *(f"{module}.{name}\n{reached[module, name]}" for module, name in sorted(reached)))


@functools.cache
def _resolved(package: Path, module_name: str, name: str) -> tuple[str, tuple[_Definition, ...]]:
    """Return the source of a top-level name and what it refers to; an imported name refers to its origin."""
    module = _Module.of(package, module_name)
    if name in module.definitions:
        source = "".join(map(module.source, module.definitions[name]))
        return source, tuple(module.references(source))
    return "", (module.imports[name],) if name in module.imports else ()


class _Module:
    """The top-level definitions of a module of the package, and its imports from the package."""

    def __init__(self, package: Path, name: str, path: Path) -> None:
        self.name = name
        text = path.read_text(encoding="utf-8")
        self._lines = text.splitlines(keepends=True)
        self._body = ast.parse(text).body
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, _Definition] = {}
        self.modules: dict[str, str] = {}
        for statement in self._body:
            for defined in _defined(statement):
                self.definitions.setdefault(defined, []).append(statement)
        for imported in _imports(self._body, package.name):
            for alias in imported.names:
                whole, known_as = f"{imported.module}.{alias.name}", alias.asname or alias.name
                if _path(package, whole) is not None:
                    self.modules[known_as] = whole
                else:
                    self.imports[known_as] = (str(imported.module), alias.name)

    @staticmethod
    @functools.cache
    def of(package: Path, name: str) -> "_Module":
        """Read a module of the package; raises ValueError if there is none of that name."""
        path = _path(package, name)
        if path is None:
            raise ValueError(f"{name} is not a module of {package.name}")
        return _Module(package, name, path)

    def nested(self, path: list[str]) -> ast.stmt:
        """Return the definition at a path such as ``["assets", "items"]``."""
        *outer, last = path
        body = self._body
        for name in outer:
            body = getattr(_find(body, name), "body", [])
        return _find(body, last)

    def source(self, statement: ast.stmt) -> str:
        """Return the lines of a statement, its decorators included."""
        decorators = [decorator.lineno for decorator in getattr(statement, "decorator_list", [])]
        return "".join(self._lines[min([statement.lineno, *decorators]) - 1 : statement.end_lineno])

    def references(self, source: str) -> Iterator[_Definition]:
        """Yield the definitions of the package that a piece of this module's source names."""
        for name, attribute in set(_NAME.findall(source)):
            if name in self.definitions:
                yield self.name, name
            elif name in self.imports:
                yield self.imports[name]
            elif name in self.modules and attribute:
                yield self.modules[name], attribute


@functools.cache
def _path(package: Path, module: str) -> Path | None:
    """Return the file of a module, None if there is no such module beside or in the package."""
    path = package.parent.joinpath(*module.split("."))
    return next((file for file in (path.with_name(f"{path.name}.py"), path / "__init__.py") if file.is_file()), None)


def _imports(body: list[ast.stmt], package: str) -> Iterator[ast.ImportFrom]:
    """Yield the imports from the package at the top level of a module, those for type checking included."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield from _imports(statement.body, package)
        elif isinstance(statement, ast.ImportFrom) and str(statement.module).split(".")[0] == package:
            yield statement


def _find(body: list[ast.stmt], name: str) -> ast.stmt:
    return next(statement for statement in body if name in _defined(statement))


def _defined(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return {name.id for target in targets if target for name in ast.walk(target) if isinstance(name, ast.Name)}
