"""What the tests read from the units in systemd/."""
import subprocess
from pathlib import Path

UNITS = Path(__file__).resolve().parents[2] / "systemd"


def text_of(name):
    return (UNITS / name).read_text(encoding="utf-8")


def values_of(text, key):
    """What stands behind KEY= on each line that has it."""
    return [line.split("=", 1)[1].strip() for line in text.splitlines() if line.startswith(key + "=")]


def listed_calls(text):
    """The system calls that a unit names, in its order."""
    return [call for value in values_of(text, "SystemCallFilter") for call in value.split()]


def members_of(group):
    """The system calls of a group of systemd's, such as "@default", groups inside it too."""
    shown = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", group], check=True, capture_output=True, text=True)
    words = [line.strip() for line in shown.stdout.splitlines()[1:]]
    names = [word for word in words if word and not word.startswith("#")]
    return {call for name in names for call in (members_of(name) if name.startswith("@") else {name})}
