#!/usr/bin/env python3
"""Every configuration in README.md and docs/ passes `tidegate check`; those that people copy as a whole are whole.

  tests/docs/configurations_test.py PROGRAM
"""
import re
import sys
import tempfile
import unittest
from pathlib import Path

import configurations

PROGRAM = ""


class Configurations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.material = configurations.Material(Path(cls.temporary.name))
        cls.blocks = configurations.blocks()

    def checked(self, text):
        return configurations.check(PROGRAM, self.material.configuration(text))

    def test_all_of_them_are_found(self):
        self.assertGreater(len(self.blocks), 20)
        recipes = {block.place.split(":")[0] for block in self.blocks if "/recipes/" in block.place}
        there = {f"docs/recipes/{file.name}" for file in (configurations.TOP / "docs/recipes").glob("*.md")}
        self.assertEqual(there - {"docs/recipes/README.md"}, recipes, "each recipe has a configuration")

    def test_each_is_valid(self):
        for block in self.blocks:
            with self.subTest(block.place):
                done = self.checked(block.text)
                self.assertEqual(0, done.returncode, f"{block.place}\n{done.stdout}{done.stderr}")

    def test_those_that_are_copied_are_whole_and_without_warnings(self):
        for block in self.blocks:
            if not block.place.startswith(configurations.WHOLE):
                continue
            with self.subTest(block.place):
                self.assertRegex(block.text, r"(?m)^\[gateway\]")
                self.assertRegex(block.text, r"(?m)^ *\[\[driver\.")
                self.assertRegex(block.text, r"(?m)^ *\[\[uplink\.")
                self.assertNotIn("warning:", self.checked(block.text).stderr, block.place)

    def test_files_of_toml_are_valid(self):
        for file in sorted((configurations.TOP / "docs").rglob("*.toml")):
            with self.subTest(file.name):
                done = self.checked(file.read_text(encoding="utf-8"))
                self.assertEqual(0, done.returncode, done.stderr)

    def test_what_the_package_and_its_manual_show_is_valid(self):
        """The configuration as installed with what it has in comments, and the example of tidegate.toml(5)."""
        package = configurations.TOP / "systemd/package"
        installed = re.sub(r"(?m)^# (?= *(?:\[|\w+ = ))", "", (package / "tidegate.toml").read_text(encoding="utf-8"))
        page = (package / "tidegate.toml.5").read_text(encoding="utf-8").replace("\\-", "-")
        for text in (installed, page.split("\n.nf\n", 1)[1].split("\n.fi\n", 1)[0]):
            done = self.checked(text)
            self.assertEqual((0, ""), (done.returncode, done.stderr))
            self.assertIn("[[uplink.mqtt]]\n", text)

    def test_a_mistake_would_be_found(self):
        text = next(block.text for block in self.blocks if block.place.startswith("README.md"))
        done = self.checked(text.replace("broker =", "brokr ="))
        self.assertEqual(78, done.returncode)
        self.assertIn("brokr: is not a known key", done.stderr)

    def test_a_block_that_goes_on_is_joined_to_the_one_before(self):
        text = "```toml\n[[a.b]]\nx = 1\n```\n\nand\n\n```toml\n  [a.b.c]\n  y = 2\n```\n"
        blocks = list(configurations.blocks_of(text, "d.md"))
        self.assertEqual(["d.md:1", "d.md:8"], [block.place for block in blocks])
        self.assertTrue(re.search(r"x = 1.*y = 2", blocks[1].text, re.S))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
