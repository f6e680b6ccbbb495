#!/usr/bin/env python3
"""Feeds the checker what it must report, and what it must leave alone."""
import tempfile
import unittest
from pathlib import Path

import source_rules
import tidy
import tree_rules


def rules_of(path, text):
    return [finding.rule for finding in source_rules.check_source(path, text)]


def function_of(lines):
    return "void f(int a) {\n" + "  ++a;\n" * (lines - 2) + "}\n"


REPORTED = [
    ("include-direction", "core/a.cc", '#include "mqtt/client.h"\n'),
    ("include-direction", "buffer/a.cc", '#include "mqtt/client.h"\n'),
    ("include-direction", "rules/a.h", '#pragma once\n#include "buffer/ring_log.h"\n'),
    ("include-direction", "uplink/a.cc", '#include "daemon/pipeline.h"\n'),
    ("include-direction", "daemon/a.cc", '#include "tests/support/manual_clock.h"\n'),
    ("include-path", "core/a.cc", '#include "error.h"\n'),
    ("third-party", "uplink/a.cc", "#include <mqtt/async_client.h>\n"),
    ("third-party", "drivers/a.cc", "#include <MQTTAsync.h>\n"),
    ("third-party", "daemon/a.cc", "#include <modbus.h>\n"),
    ("third-party", "daemon/a.cc", "#include <modbus/modbus.h>\n"),
    ("third-party", "daemon/a.cc", "#include <sqlite3.h>\n"),
    ("third-party", "drivers/a.cc", "#include <boost/asio.hpp>\n"),
    ("third-party", "core/a.cc", "#include <toml++/toml.h>\n"),
    ("third-party", "daemon/a.cc", "#include <gtest/gtest.h>\n"),
    ("sleep", "tests/core/a.cc", "void f() { std::this_thread::sleep_for(x); }\n"),
    ("sleep", "drivers/a.cc", "void f() { usleep(3); }\n"),
    ("sleep", "drivers/a.cc", "void f() { ::sleep(3); }\n"),
    ("wall-clock", "rules/a.cc", "auto t = std::chrono::system_clock::now();\n"),
    ("wall-clock", "rules/a.cc", "auto t = time(nullptr);\n"),
    ("wall-clock", "rules/a.cc", "auto t = std::time(nullptr);\n"),
    ("wall-clock", "rules/a.cc", "void f() { gettimeofday(&t, nullptr); }\n"),
    ("wall-clock", "daemon/a.cc", "void f() { ::clock_gettime(CLOCK_REALTIME, &t); }\n"),
    ("print", "mqtt/a.cc", 'void f() { printf("x"); }\n'),
    ("print", "buffer/a.cc", 'void f() { std::fprintf(stderr, "x"); }\n'),
    ("print", "uplink/a.cc", "void f() { std::cerr << 1; }\n"),
    ("views", "core/a.cc", "auto v = x | std::views::filter(f);\n"),
    ("views", "core/a.cc", "auto v = std::ranges::views::all(x);\n"),
    ("using-namespace", "core/a.cc", "using namespace std;\n"),
    ("coroutine", "daemon/a.cc", "void f() { co_await g(); }\n"),
    ("unchecked-number", "daemon/a.cc", "int f(const char* s) { return std::atoi(s); }\n"),
    ("processor", "buffer/a.cc", "#if defined(__x86_64__)\n"),
    ("processor", "buffer/a.cc", "#if __SIZEOF_POINTER__ == 8\n"),
    ("processor", "buffer/a.cc", "unsigned __int128 wide = 0;\n"),
    ("processor", "tests/buffer/a.cc", "#include <immintrin.h>\n"),
    ("disabled-test", "tests/core/a_test.cc", "TEST(A, DISABLED_b) {}\n"),
    ("disabled-test", "tests/core/a_test.cc", "TEST(A, b) { GTEST_SKIP(); }\n"),
    ("cannot-fail", "tests/core/a_test.cc", "TEST(A, b) { EXPECT_TRUE(true); }\n"),
    ("function-length", "core/a.cc", function_of(71)),
    ("function-length", "core/a.cc", "namespace a {\nclass B {\n public:\n  B() : c_(1), d_{2}\n" + function_of(80)[13:] + "};\n}\n"),
    ("function-length", "core/a.cc", "auto f(std::vector<int> a = {}) const -> int {\n" + "  ++a;\n" * 70 + "}\n"),
    ("function-length", "tests/core/a_test.cc", "TEST(A, b) {\n" + "  f();\n" * 70 + "}\n"),
    ("function-length", "core/a.cc", "int x = 1;\n#if A\n#define B \\\n  (1)\n#endif\n" + function_of(75)),
    ("file-length", "core/a.cc", "\n" * 601),
    ("pragma-once", "core/a.h", "#ifndef A\n#define A\n#endif\n"),
    ("file-name", "core/RingLog.cc", "\n"),
    ("file-name", "core/ring-log.cc", "\n"),
]

LEFT_ALONE = [
    ("daemon/a.cc", '#include "core/a.h"\n#include "uplink/b.h"\n#include <boost/asio.hpp>\n#include <toml++/toml.h>\n'),
    ("tests/bench/null_subscriber.cc", "#include <mqtt/async_client.h>\n"),
    ("uplink/a.cc", '#include "mqtt/client.h"\n#include <vector>\n'),
    ("core/clock.cc", "void f() { ::clock_gettime(CLOCK_BOOTTIME, &t); }\n"),
    ("core/a.cc", "// never sleep_for(1) here, nor time(nullptr)\nint x = 1'000'000; /* printf(1) */\n"),
    ("core/a.cc", 'auto s = "usleep(1)"; auto r = R"(system_clock::now)";\n'),
    ("core/a.cc", 'void f() { reading.time(0); boot_time(0); record->time(0); snprintf(b, 1, "x"); }\n'),
    ("daemon/a.cc", 'void f() { std::printf("x"); }\n'),
    ("core/a.cc", function_of(70)),
    ("core/a.cc", "constexpr Row kRows[] = {\n" + "  {f(1), 2},\n" * 100 + "};\n"),
    ("core/a.cc", "struct A {\n" + "  int f() { return 1; }\n" * 100 + "};\n"),
    ("core/a.cc", "namespace {\n" + (function_of(20) + "\n") * 10 + "}\n"),
]


class SourceRules(unittest.TestCase):
    def test_every_bad_snippet_is_reported_by_its_rule(self):
        for rule, path, text in REPORTED:
            with self.subTest(rule=rule, path=path, text=text[:80]):
                self.assertIn(rule, rules_of(path, text))

    def test_every_rule_is_shown_red_by_a_snippet(self):
        known = {forbidden.rule for forbidden in source_rules.FORBIDDEN}
        known |= {"include-direction", "include-path", "third-party", "function-length", "file-length", "pragma-once", "file-name"}
        self.assertEqual(known, {rule for rule, _, _ in REPORTED})

    def test_what_is_allowed_is_left_alone(self):
        for path, text in LEFT_ALONE:
            with self.subTest(path=path, text=text[:80]):
                self.assertEqual([], rules_of(path, text))

    def test_a_finding_names_the_line(self):
        findings = source_rules.check_source("rules/a.cc", '\n/* a\n b */\nauto s = "x";\nvoid f() { usleep(1); }\n')
        self.assertEqual([5], [finding.line for finding in findings])


class TextRules(unittest.TestCase):
    def rules_of(self, text, path="docs/a.md"):
        return [finding.rule for finding in tree_rules.check_text(path, text)]

    def test_marks_paths_and_white_space_are_reported(self):
        for rule, text in [("whitespace", "a \n"), ("tab", "a\tb\n"), ("unfinished", "// TODO: b\n"), ("unfinished", "FIXME\n"),
                           ("machine-path", "see /home/ann/x\n"), ("machine-path", '"/root/x"\n'), ("end-of-file", "a")]:
            with self.subTest(text=text):
                self.assertEqual([rule], self.rules_of(text))

    def test_ordinary_text_is_left_alone(self):
        self.assertEqual([], self.rules_of("In /var/lib/tidegate; core/home/x; ${HOME}/home/x; mastodon\n"))


class TreeRules(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)

    def write(self, path, text="\n"):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def findings(self):
        return {(finding.rule, finding.path) for finding in tidy.check_tree(self.root)}

    def test_a_test_that_is_not_listed_is_reported(self):
        self.write("tests/CMakeLists.txt", "foreach(folder core)\n")
        self.write("tests/core/CMakeLists.txt", "tidegate_test(core SOURCES a_test.cc # b_test.cc\n)\n")
        self.write("tests/core/a_test.cc")
        self.write("tests/core/b_test.cc")
        self.write("tests/new/c_test.cc")
        self.write("tests/new/CMakeLists.txt", "tidegate_test(new SOURCES c_test.cc)\n")
        self.assertEqual({("unlisted-test", "tests/core/b_test.cc"), ("unlisted-test", "tests/new/c_test.cc")}, self.findings())

    def test_a_test_in_python_that_nobody_calls_is_reported(self):
        self.write("tests/docs/CMakeLists.txt", "documents_test(words docs)\n")
        for name in ("words", "sentences", "boots"):
            self.write(f"tests/docs/{name}_test.py")
        self.write("scripts/test", "python3 -B tests/docs/boots_test.py  # and not sentences\n")
        self.assertEqual({("unlisted-test", "tests/docs/sentences_test.py")}, self.findings())

    def test_a_source_that_is_not_listed_is_reported(self):
        self.write("drivers/CMakeLists.txt", "tidegate_library(drivers SOURCES modbus/a.cc)\n")
        self.write("drivers/modbus/a.cc")
        self.write("drivers/modbus/b.cc")
        self.write("drivers/mqtt/CMakeLists.txt", "target_sources(tidegate_drivers PRIVATE c.cc)\n")
        self.write("drivers/mqtt/c.cc")
        self.assertEqual({("unlisted-source", "drivers/modbus/b.cc")}, self.findings())

    def test_a_library_that_links_a_sibling_is_reported(self):
        self.write("rules/CMakeLists.txt", "tidegate_library(rules SOURCES x LINKS tidegate_core tidegate_buffer)\n")
        self.write("uplink/CMakeLists.txt", "tidegate_library(uplink SOURCES x LINKS tidegate_mqtt)\n")
        self.assertEqual({("link-direction", "rules/CMakeLists.txt")}, self.findings())

    def test_a_decision_that_is_not_listed_is_reported(self):
        self.write("docs/architecture.md", "* [0001: a log](adr/0001-log.md)\n")
        self.write("docs/adr/0001-log.md")
        self.write("docs/adr/0002-new.md")
        self.assertEqual({("unlisted-decision", "docs/adr/0002-new.md")}, self.findings())

    def test_an_unknown_top_folder_and_a_dead_link_are_reported(self):
        self.write("misc/x.txt")
        self.write("README.md", "[a](docs/a.md) [b](docs/b.md) [c](https://example.org/x)\n")
        self.write("docs/a.md")
        self.assertEqual({("top-folder", "misc/"), ("link", "README.md")}, self.findings())

    def test_a_header_that_hides_one_of_paho_is_reported(self):
        self.write("mqtt/topic.h")
        self.write("mqtt/client.h")
        self.write("system/mqtt/client.h", '#include "mqtt/topic.h"\n')
        findings = tree_rules.check_shadowed_headers(self.root, self.root / "system")
        self.assertEqual(["mqtt/topic.h"], [finding.path for finding in findings])

    def test_text_is_looked_at_whatever_its_file_is_called(self):
        for path in ("systemd/a.bash", "systemd/a.1", "docs/a.yml", "daemon/a.html", "scripts/a"):
            with self.subTest(path):
                self.write(path, "ends in a blank \n")
                self.assertIn(("whitespace", path), self.findings())

    def test_what_git_and_builds_leave_is_left_alone(self):
        self.write(".git", "gitdir: /home/somebody/tree\n")
        self.write("build/notes.txt", "/root/x \n")
        self.assertEqual(set(), self.findings())

    def test_a_file_of_wrong_format_is_reported(self):
        self.write(".clang-format", "BasedOnStyle: Google\n")
        self.write("core/a.cc", "int x = 1;\n")
        self.assertEqual(0, tidy.check_format(self.root))
        self.write("core/a.cc", "int   x=1;\n")
        self.assertNotEqual(0, tidy.check_format(self.root))


if __name__ == "__main__":
    unittest.main()
