"""Rules that look at one C++ file: each is a function (path, text, code) -> findings.

`path` is relative to the tree, `text` the file, `code` the file with comments and the insides of string literals blanked
out, so that line and column still agree.
"""
import re
from typing import Iterator, NamedTuple


class Finding(NamedTuple):
    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
FILE_LINES_THINK = 450

# Who may include whom: a folder and the folders that it may name.
MAY_INCLUDE = {
    "core": {"core"},
    "mqtt": {"core", "mqtt"},
    "buffer": {"core", "buffer"},
    "drivers": {"core", "mqtt", "drivers"},
    "rules": {"core", "rules"},
    "uplink": {"core", "mqtt", "uplink"},
    "daemon": {"core", "mqtt", "buffer", "drivers", "rules", "uplink", "daemon"},
}
FOLDERS = set(MAY_INCLUDE)

# A library's headers (a pattern of what stands between < and >) and the places that may include them.
THIRD_PARTY = [
    ("Paho", r"(mqtt/|MQTT).*", ("tests/bench/null_subscriber.cc", "tests/integration/paho_c_publisher.cc")),
    ("Protobuf", r"(google/protobuf/.*|.*\.pb\.h)", ("mqtt/",)),
    ("libmodbus", r"modbus(/.*|\.h)", ("drivers/modbus/", "tests/")),
    ("SQLite", r"sqlite3\.h", ("buffer/", "tests/")),
    ("toml++", r"toml(\+\+/.*|\.hpp)", ("daemon/",)),
    ("Boost", r"boost/.*", ("mqtt/", "daemon/", "drivers/mqtt_listener/", "drivers/mqtt_subscriber/", "tests/daemon/", "tests/drivers/", "tests/mqtt/")),
    ("CLI11", r"CLI/.*", ("daemon/",)),
    ("spdlog", r"spdlog/(?!fmt/).*", ("core/",)),
    ("simdjson", r"simdjson.*", ("drivers/mqtt/", "rules/", "uplink/", "daemon/", "tests/")),
    ("zstd", r"zstd.*", ("buffer/", "uplink/", "tests/")),
    ("libcurl", r"curl/.*", ("uplink/",)),
    ("zlib", r"zlib\.h", ("uplink/",)),
    ("OpenSSL", r"openssl/.*", ("mqtt/", "drivers/mqtt_listener/", "daemon/", "tests/")),
    ("librdkafka", r"librdkafka/.*", ("uplink/kafka/", "tests/")),
    ("libpq", r"(postgresql/)?libpq.*", ("uplink/postgresql/", "tests/")),
    ("libmosquitto", r"mosquitto.*", ("tests/",)),
    ("GoogleTest", r"(gtest|gmock)/.*", ("tests/",)),
    ("Google Benchmark", r"benchmark/.*", ("tests/",)),
]

LIBRARIES = tuple(f"{folder}/" for folder in sorted(FOLDERS - {"daemon"}))
EVERYWHERE = ("",)


class Forbidden(NamedTuple):
    rule: str
    pattern: str
    where: tuple
    but_not: tuple
    advice: str


FORBIDDEN = [
    Forbidden("sleep", r"\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\(", EVERYWHERE, (),
              "wait for the state that you need, with a deadline"),
    Forbidden("wall-clock", r"\bsystem_clock\s*::\s*now\b|(?<![\w.>:])(?:std::)?time\s*\(\s*(?:nullptr|NULL|0|&)"
              r"|\bgettimeofday\s*\(|\bclock_gettime\s*\(", EVERYWHERE,
              ("core/clock.cc", "tests/integration/clock_shim.cc"),
              "the time comes from core/clock.h"),
    Forbidden("print", r"(?<!\w)(?:std::)?(?:f?printf|f?puts|putchar)\s*\(|\bstd::(?:cout|cerr|clog)\b", LIBRARIES, (),
              "libraries speak through core/log.h"),
    Forbidden("views", r"\bstd::(?:ranges::)?views\b", EVERYWHERE, (), "clang 14 cannot read libstdc++ 12's views"),
    Forbidden("using-namespace", r"\busing\s+namespace\s+std\s*;", EVERYWHERE, (), "name what is used"),
    Forbidden("coroutine", r"\bco_(?:await|return|yield)\b", EVERYWHERE, (),
              "GCC 12 destroys temporaries of a co_await expression twice"),
    Forbidden("unchecked-number", r"\b(?:std::)?(?:atoi|atol|atoll|atof)\s*\(", EVERYWHERE, (),
              "text that is no number must be an error: std::from_chars"),
    Forbidden("processor", r"\b__(?:x86_64|i386|amd64|aarch64|arm|ARM_\w+|SSE\w*|AVX\w*|LP64|ILP32|SIZEOF_\w+|WORDSIZE)(?:__)?\b|\b__u?int128(?:_t)?\b"
              r"|<(?:\w*mmintrin|x86intrin|cpuid|arm_\w+)\.h>", EVERYWHERE, ("core/crc32c.cc",),
              "amd64, arm64 and armhf are built: what one processor does goes beside the same in plain C++, as in core/crc32c.cc"),
    Forbidden("disabled-test", r"\bDISABLED_\w*|\bGTEST_SKIP\s*\(", ("tests/",), (), "fix the test or remove it"),
    Forbidden("cannot-fail", r"\b(?:EXPECT|ASSERT)_TRUE\s*\(\s*true\s*\)|\bSUCCEED\s*\(\s*\)", ("tests/",), (),
              "a test that cannot fail shows nothing"),
]

_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^()\s\\]{0,16})\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"'
                    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.S)


def blank_out(text: str) -> str:
    """The same text with comments and string contents as spaces; #include lines keep their names."""
    def blank(match: re.Match) -> str:
        token = match.group(0)
        line_start = text.rfind("\n", 0, match.start()) + 1
        if token.startswith('"') and re.match(r"\s*#\s*include", text[line_start:match.start()]):
            return token
        return re.sub(r"[^\n]", " ", token)
    return _TOKEN.sub(blank, text)


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def includes(code: str) -> Iterator[tuple]:
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', code, re.M):
        yield line_of(code, match.start()), match.group(1) == "<", match.group(2)


def check_include_direction(path: str, _text: str, code: str) -> Iterator[Finding]:
    folder = path.split("/")[0]
    for line, angled, name in includes(code):
        target = name.split("/")[0]
        if angled or target not in FOLDERS | {"tests"}:
            if not angled:
                yield Finding(path, line, "include-path", f'"{name}": paths begin at the top of the tree')
            continue
        if folder in FOLDERS and target not in MAY_INCLUDE[folder]:
            allowed = ", ".join(sorted(MAY_INCLUDE[folder]))
            yield Finding(path, line, "include-direction", f'{folder}/ includes "{name}"; it may include {allowed}')


def check_third_party(path: str, _text: str, code: str) -> Iterator[Finding]:
    for line, angled, name in includes(code):
        for library, pattern, places in THIRD_PARTY:
            if angled and re.fullmatch(pattern, name) and not path.startswith(places):
                yield Finding(path, line, "third-party", f"<{name}>: {library} belongs to {', '.join(places)} only")


def check_forbidden(path: str, _text: str, code: str) -> Iterator[Finding]:
    for rule, pattern, where, but_not, advice in FORBIDDEN:
        if not path.startswith(where) or path in but_not:
            continue
        for match in re.finditer(pattern, code):
            yield Finding(path, line_of(code, match.start()), rule, f"{match.group(0).strip()}: {advice}")


_NO_FUNCTION = re.compile(r"^\s*(?:(?:inline|extern|export|typedef|template\s*<.*?>)\s+)*"
                          r"(?:namespace|class|struct|union|enum|extern)\b", re.S)


def _without_groups(head: str) -> str:
    """The head with the contents of all brackets taken out; an initialiser in braces counts as one in parentheses."""
    while True:
        shorter = re.sub(r"\([^(){}]+\)|\{[^(){}]*\}", "()", head)
        shorter = re.sub(r"\([^(){}]*(?:\(\)[^(){}]*)+\)", "()", shorter)
        if shorter == head:
            return head
        head = shorter


def _opens_function(head: str) -> bool:
    """Whether the text between the last end of a declaration and a "{" is the head of a function."""
    head = re.sub(r"->[^(){}]*$", "", _without_groups(head))
    head = re.sub(r"\b(?:const|noexcept|override|final|mutable|try)\b|&+", " ", head).rstrip()
    return head.endswith(")") and not re.search(r"(?<!operator)(?<!operator[=!<>])=", head)


def functions(code: str) -> Iterator[tuple]:
    """(first line, last line) of the body of each function that is not inside another one."""
    code = re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", lambda match: re.sub(r"[^\n]", " ", match.group(0)), code, flags=re.M)
    depth = begin = head_start = 0
    in_function = False
    for match in re.finditer(r"[{};]|\b(?:public|private|protected)\s*:", code):
        mark, head = match.group(0), code[head_start:match.start()]
        if depth:
            depth += {"{": 1, "}": -1}.get(mark, 0)
            if depth == 0 and in_function:
                yield line_of(code, begin), line_of(code, match.start())
                head_start = match.end()
            continue
        if mark == "{" and "(" in head and not _NO_FUNCTION.match(head):
            # The body of a function, or an initialiser inside its head, which the head goes on behind.
            depth, begin, in_function = 1, match.start(), _opens_function(head)
        else:
            head_start = match.end()


def check_sizes(path: str, text: str, code: str) -> Iterator[Finding]:
    for first, last in functions(code):
        if last - first + 1 > FUNCTION_LINES_MAX:
            yield Finding(path, first, "function-length",
                          f"{last - first + 1} lines; {FUNCTION_LINES_MAX} at most, 30 is the habit")
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        yield Finding(path, lines, "file-length", f"{lines} lines; {FILE_LINES_MAX} at most, 150 is the habit")


def check_header(path: str, text: str, _code: str) -> Iterator[Finding]:
    if path.endswith(".h") and not text.startswith("#pragma once\n"):
        yield Finding(path, 1, "pragma-once", "a header begins with #pragma once")


def check_name(path: str, _text: str, _code: str) -> Iterator[Finding]:
    if not re.fullmatch(r"[a-z0-9_]+\.(h|cc)", path.rsplit("/", 1)[-1]):
        yield Finding(path, 1, "file-name", "files are snake_case.h and snake_case.cc")


RULES = [check_include_direction, check_third_party, check_forbidden, check_sizes, check_header, check_name]


def check_source(path: str, text: str) -> list:
    code = blank_out(text)
    return [finding for rule in RULES for finding in rule(path, text, code)]
