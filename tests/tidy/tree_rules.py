"""Rules that look at any text file, and rules that look at the tree as a whole."""
import re
from pathlib import Path
from typing import Iterator

from source_rules import FOLDERS, MAY_INCLUDE, Finding

TOP_FOLDERS = FOLDERS | {"systemd", "toolchains", "tests", "docs", "scripts", ".ci"}
# In a linked work tree of git, `.git` is a file.
IGNORED_NAMES = {"build", ".git", ".cache", ".vscode", ".idea", "__pycache__"}
# These files speak of the very words that they look for.
SPEAKS_OF_RULES = ("tests/tidy/",)

_MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
_MACHINE_PATHS = re.compile(r"(?<![\w.$}])/(?:home|root|work|Users)/[\w.]")


def check_text(path: str, text: str) -> Iterator[Finding]:
    speaks_of_rules = path.startswith(SPEAKS_OF_RULES)
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            yield Finding(path, number, "whitespace", "ends in white space")
        if "\t" in line:
            yield Finding(path, number, "tab", "a tab character")
        if not speaks_of_rules and (mark := _MARKS.search(line)):
            yield Finding(path, number, "unfinished", f"{mark.group(0)}: finish it, or write it down as a limit in the docs")
        if not speaks_of_rules and (found := _MACHINE_PATHS.search(line)):
            yield Finding(path, number, "machine-path", f"{found.group(0)}...: a path of one machine")
    if text and not text.endswith("\n"):
        yield Finding(path, text.count("\n") + 1, "end-of-file", "the last line has no end")


def check_links(root: Path, path: str, text: str) -> Iterator[Finding]:
    """Relative links of the documentation lead somewhere."""
    for match in re.finditer(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", text):
        if not ((root / path).parent / match.group(1)).exists():
            yield Finding(path, text.count("\n", 0, match.start()) + 1, "link", f"{match.group(1)} does not exist")


def _listed(cmake_file: Path) -> str:
    if not cmake_file.exists():
        return ""
    return re.sub(r"#[^\n]*", "", cmake_file.read_text(encoding="utf-8"))


def _names(listing: str) -> set:
    return set(re.findall(r"[\w./+-]+\.cc\b", listing))


def check_registration(root: Path) -> Iterator[Finding]:
    """Every source is compiled, every test is run."""
    for folder in sorted(FOLDERS):
        for source in sorted((root / folder).rglob("*.cc")):
            if not any(source.relative_to(above).as_posix() in _names(_listed(above / "CMakeLists.txt"))
                       for above in source.parents if above.is_relative_to(root / folder)):
                yield Finding(source.relative_to(root).as_posix(), 1, "unlisted-source",
                              f"no CMakeLists.txt of {folder}/ names it")
    added = _listed(root / "tests/CMakeLists.txt")
    for source in sorted((root / "tests").rglob("*.cc")):
        folder, relative = source.parent, source.relative_to(root).as_posix()
        if source.name not in _names(_listed(folder / "CMakeLists.txt")):
            yield Finding(relative, 1, "unlisted-test", f"{folder.relative_to(root).as_posix()}/CMakeLists.txt does not name it")
        if folder != root / "tests" and not re.search(rf"\b{re.escape(folder.name)}\b", added):
            yield Finding(relative, 1, "unlisted-test", f"tests/CMakeLists.txt does not add {folder.name}")


def check_python_tests(root: Path) -> Iterator[Finding]:
    """Every test in Python is run: by the name that a CMakeLists.txt or scripts/test calls it, with or without its ending."""
    for test in sorted((root / "tests").rglob("*_test.py")):
        callers = _listed(test.parent / "CMakeLists.txt") + _listed(root / "scripts/test")
        if not re.search(rf"\b{re.escape(test.stem.removesuffix('_test'))}(?:_test)?\b", callers):
            yield Finding(test.relative_to(root).as_posix(), 1, "unlisted-test", "neither the CMakeLists.txt beside it nor scripts/test names it")


def check_link_graph(root: Path) -> Iterator[Finding]:
    """The libraries link what their folder may include, so that a wrong include does not link."""
    for folder in sorted(FOLDERS - {"daemon"}):
        for path in sorted((root / folder).rglob("CMakeLists.txt")):
            for name in re.findall(r"\btidegate_([a-z]+)\b", _listed(path)):
                if name in FOLDERS - MAY_INCLUDE[folder]:
                    yield Finding(path.relative_to(root).as_posix(), 1, "link-direction", f"{folder} links tidegate_{name}")


def check_top(root: Path) -> Iterator[Finding]:
    for entry in sorted(root.iterdir()):
        if entry.is_dir() and entry.name not in TOP_FOLDERS | IGNORED_NAMES:
            yield Finding(f"{entry.name}/", 1, "top-folder", "a new top-level folder needs a reason, and a line here")


def check_shadowed_headers(root: Path, system: Path = Path("/usr/include")) -> Iterator[Finding]:
    """Paho's headers include each other as "mqtt/NAME.h", and would find ours of that name: the top folder comes first."""
    wanted = {name for header in (system / "mqtt").glob("*.h")
              for name in re.findall(r'#include "mqtt/(\w+\.h)"', header.read_text(encoding="utf-8", errors="replace"))}
    for header in sorted((root / "mqtt").glob("*.h")):
        if header.name in wanted:
            yield Finding(header.relative_to(root).as_posix(), 1, "shadowed-header", "Paho includes a header of this name: take another")


def check_decisions(root: Path) -> Iterator[Finding]:
    """Every decision is listed where people look for it."""
    overview = root / "docs/architecture.md"
    listed = overview.read_text(encoding="utf-8") if overview.exists() else ""
    for decision in sorted((root / "docs/adr").glob("*.md")):
        if f"(adr/{decision.name})" not in listed:
            yield Finding(decision.relative_to(root).as_posix(), 1, "unlisted-decision", "docs/architecture.md does not list it")


TREE_RULES = [check_decisions, check_shadowed_headers, check_registration, check_python_tests, check_link_graph, check_top]
