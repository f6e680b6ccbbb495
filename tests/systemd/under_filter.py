#!/usr/bin/python3 -B
"""Runs a program as the unit lets it run: a system call that is not on the unit's list kills it (SIGSYS).

    TIDEGATE_UNDER_FILTER=PROGRAM tests/systemd/under_filter.py ARGUMENT ...

The service gets EPERM there, which a library may take for something else or try to live with: a test wants to see it. Tests run
as root or not, and ask the kernel of the clock themselves; what that takes is let through (EXTRA). A command that the unit does not run,
such as "top", is run as it is.
"""
import ctypes
import os
import sys

from unit_files import listed_calls, members_of, text_of, values_of

KILL_PROCESS, ALLOW, ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
EAFNOSUPPORT = 97
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
FAMILIES_MAX = 46
EQUAL = 4
EXTRA = {"fchown",  # SQLite, as root only
         "adjtimex", "clock_adjtime",  # the service reads what tidegate-clock has found out
         "personality", "ptrace"}  # sanitizers


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("first", ctypes.c_uint64), ("second", ctypes.c_uint64)]


class Filter:
    def __init__(self):
        self.library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self.library.seccomp_init.restype = ctypes.c_void_p
        self.library.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
        self.library.seccomp_load.argtypes = [ctypes.c_void_p]
        self.context = self.library.seccomp_init(ctypes.c_uint32(KILL_PROCESS))

    def add(self, action, name, *comparisons):
        number = self.library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # of another architecture
            return
        array = (Comparison * len(comparisons))(*comparisons)
        done = self.library.seccomp_rule_add_array(self.context, action, number, len(comparisons), array)
        if done != 0:
            raise SystemExit(f"under_filter: no rule can be made for {name}: {os.strerror(-done)}")

    def load(self):
        done = self.library.seccomp_load(self.context)
        if done != 0:
            raise SystemExit(f"under_filter: the filter cannot be loaded: {os.strerror(-done)}")


def run_by_unit(unit):
    """The commands of the program that the unit runs: the word behind it."""
    lines = [line.split() for key in ("ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop") for line in values_of(unit, key)]
    return {words[1] for words in lines if words[0] == "/usr/bin/tidegate"}


def main():
    unit = text_of("tidegate.service")
    program = os.environ["TIDEGATE_UNDER_FILTER"]
    if sys.argv[1:2] and sys.argv[1] not in run_by_unit(unit):
        os.execv(program, [program, *sys.argv[1:]])
    allowed = {FAMILIES[family] for value in values_of(unit, "RestrictAddressFamilies") for family in value.split()}
    rules = Filter()
    for name in sorted((set(listed_calls(unit)) | members_of("@default") | EXTRA) - {"socket"}):
        rules.add(ALLOW, name)
    for family in range(FAMILIES_MAX):
        # As RestrictAddressFamilies= has it: an error that libraries know, since kernels differ in what they support.
        rules.add(ALLOW if family in allowed else ERRNO | EAFNOSUPPORT, "socket", Comparison(0, EQUAL, family, 0))
    rules.load()
    os.execv(program, [program, *sys.argv[1:]])


if __name__ == "__main__":
    main()
