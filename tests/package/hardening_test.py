#!/usr/bin/env python3
"""Looks at programs, and at how their sources were compiled, for the flags of the OpenSSF hardening guide that the compiler knows.

    hardening_test.py [--commands build/NAME/compile_commands.json] PROGRAM ...
"""
import argparse
import json
import re
import subprocess
import sys
import unittest
from pathlib import Path

FLAGS = ["-Wall", "-Wextra", "-Wformat=2", "-Wconversion", "-Wsign-conversion", "-Wimplicit-fallthrough", "-Werror=format-security",
         "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3", "-D_GLIBCXX_ASSERTIONS", "-fstack-clash-protection", "-fstack-protector-strong",
         "-Wtrampolines", "-Wbidi-chars=any", "-fPIE", "-fno-delete-null-pointer-checks", "-fno-strict-overflow", "-fno-strict-aliasing",
         "-ftrivial-auto-var-init=zero"]
FLAGS_OF_MACHINE = {"x86_64": ["-fcf-protection=full"], "aarch64": ["-mbranch-protection=standard"]}
# In the guide, and of later compilers: one that knows them is to be given them.
LATER = ["-fstrict-flex-arrays=3", "-fzero-init-padding-bits=all"]
FOLDERS = ("core", "mqtt", "buffer", "drivers", "rules", "uplink", "daemon")
LANDING_PADS_LEAST = 50
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--commands", type=Path)
parser.add_argument("programs", nargs="+", type=Path)
ARGUMENTS = parser.parse_args()


def readelf(program, *options):
    return subprocess.run(["readelf", *options, str(program)], check=True, capture_output=True, text=True).stdout


class Programs(unittest.TestCase):
    def test_are_placed_anywhere(self):
        for program in ARGUMENTS.programs:
            self.assertRegex(readelf(program, "-hW"), r"Type:\s+DYN")
            self.assertRegex(readelf(program, "-dW"), r"FLAGS_1\).*\bPIE\b")

    def test_are_bound_before_they_start_and_read_only_then(self):
        for program in ARGUMENTS.programs:
            self.assertRegex(readelf(program, "-dW"), r"\(FLAGS\).*\bBIND_NOW\b")
            self.assertIn("GNU_RELRO", readelf(program, "-lW"))
            self.assertNotIn("TEXTREL", readelf(program, "-dW"))

    def test_have_no_memory_that_is_written_and_run(self):
        for program in ARGUMENTS.programs:
            segments = re.findall(r"^\s+(\w+)\s+(?:0x\w+\s+){5}([R ][W ][E ])", readelf(program, "-lW"), re.MULTILINE)
            self.assertIn("GNU_STACK", [kind for kind, _ in segments])
            for kind, rights in segments:
                self.assertFalse("W" in rights and "E" in rights, f"{kind} is {rights}")

    def test_look_for_libraries_where_the_system_has_them(self):
        for program in ARGUMENTS.programs:
            self.assertNotRegex(readelf(program, "-dW"), r"\((RPATH|RUNPATH)\)")

    def test_check_their_stack_and_their_buffers(self):
        checked = 0
        for program in ARGUMENTS.programs:
            symbols = readelf(program, "--dyn-syms", "-W")
            self.assertIn("__stack_chk_fail", symbols)
            checked += len(re.findall(r"__(?!stack_)\w+_chk@", symbols))
            # What _FORTIFY_SOURCE always replaces.
            self.assertEqual([], re.findall(r"\s(sprintf|snprintf|printf|fprintf)@", symbols))
        self.assertGreater(checked, 0)  # the smallest program calls nothing of the kind

    def test_have_landing_pads(self):
        """The mark of the whole program (IBT, SHSTK) is not there, because the start files of Debian 12's C library have none."""
        for program in ARGUMENTS.programs:
            if "X86-64" in readelf(program, "-hW"):
                self.assertGreater(program.read_bytes().count(b"\xf3\x0f\x1e\xfa"), LANDING_PADS_LEAST)


@unittest.skipIf(ARGUMENTS.commands is None, "no compile_commands.json was given")
class Commands(unittest.TestCase):
    def setUp(self):
        entries = json.loads(ARGUMENTS.commands.read_text(encoding="utf-8"))
        self.commands = {}
        for entry in entries:
            name = entry.get("output") or re.search(r" -o (\S+)", entry["command"]).group(1)
            if name.split("/", 1)[0] in FOLDERS:
                self.commands[name] = entry["command"].split()
        self.compiler = next(word for word in next(iter(self.commands.values())) if re.search(r"(g\+\+|c\+\+)[-0-9]*$", word))

    def machine(self):
        shown = subprocess.run([self.compiler, "-dumpmachine"], check=True, capture_output=True, text=True).stdout
        return shown.split("-", 1)[0]

    def test_every_source_has_every_flag(self):
        self.assertGreater(len(self.commands), 100)
        wanted = FLAGS + FLAGS_OF_MACHINE.get(self.machine(), [])
        for name, words in self.commands.items():
            is_generated = name.endswith(".pb.cc.o")  # whose warnings are not ours
            missing = [flag for flag in wanted if flag not in words and not (is_generated and flag.startswith("-W"))]
            self.assertEqual([], missing, name)
            # The guide wants -O2; what it is for, _FORTIFY_SOURCE, works with -Os as well.
            self.assertIn([flag for flag in words if re.fullmatch(r"-O\w*", flag)][-1], ("-O2", "-Os"), name)
            self.assertLess(words.index("-U_FORTIFY_SOURCE"), words.index("-D_FORTIFY_SOURCE=3"), name)

    def test_the_compiler_knows_none_of_the_flags_that_are_left_out(self):
        for flag in LATER:
            done = subprocess.run([self.compiler, flag, "-x", "c++", "-fsyntax-only", "/dev/null"], check=False, capture_output=True)
            self.assertNotEqual(0, done.returncode, f"{self.compiler} knows {flag}: add it to CMakeLists.txt and to FLAGS here")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
