#!/usr/bin/env python3
"""Compares the manual pages and the completion of the shell with what the program says of itself.

    manual_test.py PROGRAM
"""
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "systemd/package"
PROGRAM = Path(sys.argv[1]).resolve()
OF_EVERY_CLIENT = {"--admin", "--config", "--token-file", "--admin-ca"}  # the manual says it once for all that speak to the daemon


def help_of(*command):
    return subprocess.run([PROGRAM, *command, "--help"], check=True, capture_output=True, text=True).stdout


def subcommands_of(text):
    return re.findall(r"^  ([a-z-]+) ", text.split("Subcommands:", 1)[1], re.MULTILINE) if "Subcommands:" in text else []


def options_of(text):
    return set(re.findall(r"^ +(?:-h,)?(--[a-z-]+)", text.split("Subcommands:", 1)[0], re.MULTILINE)) - {"--help", "--version"}


def commands(*above):
    """Every command that is one by itself, with its options."""
    text = help_of(*above)
    below = subcommands_of(text)
    if not below:
        yield above, options_of(text)
    for name in below:
        yield from commands(*above, name)


def sections_of_manual():
    """The options that the manual names, by command."""
    page = (PACKAGE / "tidegate.1").read_text(encoding="utf-8").replace("\\-", "-")
    body = page.split(".SH COMMANDS", 1)[1].split("\n.SH ", 1)[0]
    found = {}
    for section in body.split("\n.SS ")[1:]:
        heading, _, text = section.partition("\n")
        found[tuple(re.match(r"[a-z ]+", heading).group(0).split())] = set(re.findall(r"^\.BI? (--[a-z-]+)", text, re.MULTILINE))
    return found


def completed(*words, options=None):
    """The words that are offered; what the shell is told of them (compopt) goes into `options`."""
    script = f"""compopt() {{ echo "$*" >&2; }}
        source {PACKAGE}/tidegate.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tidegate; printf "%s\\n" "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script, "bash", "tidegate", *words], check=True, capture_output=True, text=True,
                          env={"PATH": f"{PROGRAM.parent}:/usr/bin:/bin"})
    if options is not None:
        options += done.stderr.splitlines()
    return set(done.stdout.splitlines()) - {""}


class Manual(unittest.TestCase):
    def test_every_command_is_in_the_manual_with_its_options(self):
        told, there = sections_of_manual(), dict(commands())
        self.assertEqual(set(there), set(told))
        for command, options in there.items():
            is_client = "--admin" in options
            self.assertEqual(options - (OF_EVERY_CLIENT if is_client else set()), told[command], " ".join(command))

    def test_every_table_of_the_configuration_is_in_the_manual(self):
        page = (PACKAGE / "tidegate.toml.5").read_text(encoding="utf-8")
        reference = subprocess.run([PROGRAM, "config-reference"], check=True, capture_output=True, text=True).stdout
        tables = [table for table in re.findall(r"^## `(\[+[a-z_.]+\]+)`", reference, re.MULTILINE)
                  if table.count(".") == table.count("[[") and table not in ("[driver]", "[uplink]") or table in ("[[rule]]",)]
        self.assertGreater(len(tables), 8)
        self.assertEqual([], [table for table in tables if table not in page])

    def test_pages_have_no_mistakes_of_form(self):
        for name in ("tidegate.1", "tidegate.toml.5"):
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", str(PACKAGE / name)], check=False, capture_output=True, text=True)
            self.assertEqual("", done.stderr)
            # A bare one is set as a hyphen, which is another character for whoever copies an option or a time.
            page = (PACKAGE / name).read_text(encoding="utf-8")
            self.assertEqual([], re.findall(r"^.*(?:\d-\d|(?<![\w\\])-[-\w]).*$", page, re.MULTILINE), name)

    def test_completion_knows_commands_and_options(self):
        self.assertEqual(set(subcommands_of(help_of())), {word for word in completed("") if not word.startswith("-")})
        for command, options in commands():
            words = completed(*command, "--")
            self.assertLessEqual(options | {"--help"}, words, " ".join(command))
            self.assertIn(command[-1], completed(*command[:-1], command[-1][:2]))

    def test_completion_knows_words_that_options_take(self):
        self.assertEqual({"readings"}, completed("tail", "--stream", "r"))
        self.assertEqual({"warning"}, completed("run", "--log-level", "w"))
        self.assertEqual({"flat"}, completed("simulate", "mqtt", "--payload", "f"))

    def test_completion_tells_the_shell_what_is_the_name_of_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "a folder").mkdir()
            (Path(folder) / "a.toml").touch()
            for option, expected in (("--config", {f"{folder}/a folder", f"{folder}/a.toml"}), ("--data-dir", {f"{folder}/a folder"})):
                told = []
                self.assertEqual(expected, completed("rules", "test", option, f"{folder}/a", options=told))
                self.assertEqual(["-o filenames"], told)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
