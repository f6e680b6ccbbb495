// What a configuration takes from other files and the environment, and files that are no configuration.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <random>
#include <string>

#include "tests/daemon/config_fixture.h"
#include "tests/support/seed.h"

namespace tidegate::daemon {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ConfigFilesTest : public ConfigTest {
 protected:
  // Good or not: it is read to its end, and nothing is refused without a word.
  void expect_no_crash(const std::string& text) {
    const auto loaded = load(text);
    const std::size_t problems = loaded ? loaded->warnings.size() : all(loaded.error()).size();
    EXPECT_TRUE(loaded || problems > 0);
  }
  static std::string simulator(const std::string& name) { return "[[driver.simulator]]\nname = \"" + name + "\"\n"; }
  static std::string login(const std::string& password) {
    return "[[uplink.mqtt]]\nname = \"u\"\nbroker = \"mqtt://a\"\nusername = \"me\"\npassword = " + password + "\n";
  }
  std::string password_of(const std::string& password) {
    const Config config = load_good(login(password));
    return config.mqtt_uplinks.empty() ? "" : config.mqtt_uplinks[0].broker.password;
  }
};

TEST_F(ConfigFilesTest, a_problem_is_shown_as_compilers_show_theirs) {
  const auto problems = load_bad("[gateway]\nid = 5\n");
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_THAT(format_problem(problems[0]),
              StartsWith(path("tidegate.toml") + ":2:6: error: gateway.id: must be a name of 1 to 64 bytes"));
  EXPECT_THAT(format_problem(problems[0]), EndsWith(", found 5"));
}

TEST_F(ConfigFilesTest, a_file_that_is_not_there_is_named) {
  const auto loaded = load_config(path("absent.toml"));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(all(loaded.error()),
            path("absent.toml") + ":1:1: error: cannot open " + path("absent.toml") + ": No such file or directory\n");
}

TEST_F(ConfigFilesTest, what_is_no_regular_file_is_not_waited_for) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  for (const std::string& name : {path("fifo"), path(""), std::string("/dev/zero")}) {
    const auto loaded = load_config(name);
    ASSERT_FALSE(loaded);
    EXPECT_THAT(all(loaded.error()), HasSubstr("is not a regular file"));
  }
}

TEST_F(ConfigFilesTest, a_syntax_error_has_its_place) {
  const auto problems = load_bad("[gateway]\nid = \"plant\ndata_dir = 5\n");
  ASSERT_EQ(problems.size(), 1U) << all(problems);
  EXPECT_EQ(problems[0].line, 2U);
  EXPECT_GT(problems[0].column, 5U);
  EXPECT_THAT(problems[0].message, StartsWith("not TOML: "));
}

// More warnings than anybody is told of, and megabytes of keys of something else.
TEST_F(ConfigFilesTest, an_unknown_key_is_an_error_behind_however_many_problems) {
  std::string tags;
  for (int i = 0; i < 1'100; ++i) {
    tags += "{ name = \"t" + std::to_string(i) + "\", address = \"holding:" + std::to_string(i) +
            "\", writable = true },\n";
  }
  const std::string bus =
      "[[driver.modbus]]\nname = \"b\"\nurl = \"tcp://127.0.0.1:1\"\n[[driver.modbus.device]]\n"
      "name = \"d\"\ntags = [\n" +
      tags + "]\n";
  const auto behind_warnings = load_bad(bus + "[[uplink.file]]\nname = \"f\"\npath = \"f.ndjson\"\nfoo = 1\n");
  EXPECT_THAT(all(behind_warnings), HasSubstr("uplink.file[0].foo: is not a known key"));
  std::string others = "[gateway]\n";
  for (int i = 0; i < 5'000; ++i) others += "k" + std::to_string(i) + " = 1\n";
  EXPECT_EQ(load_bad(others + "[buffer]\nfoo = 1\n").size(), 1'000U);
}

TEST_F(ConfigFilesTest, a_key_that_is_written_twice_is_an_error) {
  EXPECT_THAT(only_problem("[gateway]\nid = \"a\"\nid = \"b\"\n"), StartsWith("3 : not TOML: "));
}

TEST_F(ConfigFilesTest, included_arrays_of_tables_are_appended_in_order) {
  write("devices.d/20.toml", simulator("c"));
  write("devices.d/10.toml", simulator("b") + "[buffer]\nsize = \"8MiB\"\n");
  write("devices.d/30.txt", "not read");
  const Config config = load_good("include = [\"devices.d/*.toml\"]\n" + simulator("a"));
  ASSERT_EQ(config.simulators.size(), 3U);
  EXPECT_EQ(config.simulators[0].name, "a");
  EXPECT_EQ(config.simulators[1].name, "b");
  EXPECT_EQ(config.simulators[2].name, "c");
  EXPECT_EQ(config.buffer.ring.size_max_bytes[0], 8U << 20);
}

TEST_F(ConfigFilesTest, errors_in_an_included_file_name_that_file) {
  write("devices.d/a.toml", "\n" + simulator("s") + "tags = 0\n");
  const auto problems = load_bad("include = [\"devices.d/*.toml\"]\n" + simulator("s") + "gateway.id = 5\n");
  ASSERT_EQ(problems.size(), 3U) << all(problems);
  EXPECT_THAT(format_problem(problems[0]), StartsWith(path("tidegate.toml") + ":4:"));
  EXPECT_THAT(format_problem(problems[1]),
              StartsWith(path("devices.d/a.toml") + ":3:8: error: driver.simulator[1].name: driver name \"s\""));
  EXPECT_THAT(problems[1].message, HasSubstr(path("tidegate.toml") + ":3"));
  EXPECT_THAT(format_problem(problems[2]),
              StartsWith(path("devices.d/a.toml") + ":4:8: error: driver.simulator[1].tags: "));
}

TEST_F(ConfigFilesTest, a_key_is_set_in_one_file) {
  write("more.toml", "[gateway]\nid = \"b\"\n");
  const auto problems = load_bad("include = [\"more.toml\"]\n[gateway]\nid = \"a\"\n");
  ASSERT_EQ(problems.size(), 1U) << all(problems);
  EXPECT_EQ(format_problem(problems[0]),
            path("more.toml") + ":2:1: error: gateway.id: is already set at " + path("tidegate.toml") + ":3");
}

TEST_F(ConfigFilesTest, a_syntax_error_in_an_included_file_comes_with_the_other_errors) {
  write("more.toml", "a = \n");
  const auto problems = load_bad("include = [\"more.toml\"]\ngateway.id = 5\n");
  ASSERT_EQ(problems.size(), 2U) << all(problems);
  EXPECT_EQ(problems[0].key, "gateway.id");
  EXPECT_EQ(problems[1].file, path("more.toml"));
}

TEST_F(ConfigFilesTest, a_file_that_is_included_by_name_must_be_there) {
  EXPECT_EQ(only_problem("include = [\"*.d/x.toml\", \"absent.toml\"]\n"),
            "1 include[1]: there is no file " + path("absent.toml"));
}

TEST_F(ConfigFilesTest, includes_do_not_nest_nor_repeat) {
  write("more.toml", "include = [\"other.toml\"]\n");
  write("other.toml", "");
  EXPECT_THAT(only_problem("include = [\"more.toml\"]\n"), StartsWith("1 include: is allowed only in "));
  EXPECT_THAT(only_problem("include = [\"other.toml\", \"*.toml\"]\n"), HasSubstr("is read twice"));
}

TEST_F(ConfigFilesTest, a_secret_comes_from_a_file_without_its_newline) {
  write("secret", "pass word\n");
  EXPECT_EQ(password_of("{ file = \"secret\" }"), "pass word");
  EXPECT_EQ(password_of("{ file = \"" + path("secret") + "\" }"), "pass word");
  write("secret", "a\n\n");
  EXPECT_EQ(password_of("{ file = \"secret\" }"), "a\n");
}

TEST_F(ConfigFilesTest, a_secret_comes_from_a_credential_of_the_service) {
  write("credentials/broker", "from systemd");
  const ScopedVariable directory("CREDENTIALS_DIRECTORY", path("credentials"));
  EXPECT_EQ(password_of("{ credential = \"broker\" }"), "from systemd");
  EXPECT_THAT(only_problem(login("{ credential = \"../secret\" }")),
              HasSubstr("is not the name of a systemd credential"));
  EXPECT_THAT(only_problem(login("{ credential = \"other\" }")), HasSubstr("No such file"));
}

TEST_F(ConfigFilesTest, a_credential_without_a_service_says_what_is_missing) {
  EXPECT_THAT(only_problem(login("{ credential = \"broker\" }")), HasSubstr("CREDENTIALS_DIRECTORY is not set"));
}

TEST_F(ConfigFilesTest, a_secret_comes_from_the_environment) {
  const ScopedVariable variable("TIDEGATE_TEST_SECRET", "from outside");
  EXPECT_EQ(password_of("{ env = \"TIDEGATE_TEST_SECRET\" }"), "from outside");
  EXPECT_THAT(only_problem(login("{ env = \"TIDEGATE_TEST_ABSENT\" }")),
              HasSubstr("the environment variable TIDEGATE_TEST_ABSENT is not set"));
}

TEST_F(ConfigFilesTest, a_secret_that_is_written_out_is_refused_and_not_shown) {
  for (const char* literal : {"\"hunter2\"", "\"\"\"hunter2\"\"\"", "4711", "[\"hunter2\"]"}) {
    const std::string problem = only_problem(login(literal));
    EXPECT_THAT(problem, StartsWith("5 uplink.mqtt[0].password: is a secret and must not be written here"));
    EXPECT_EQ(problem.find("hunter2"), std::string::npos) << problem;
    EXPECT_EQ(problem.find("4711"), std::string::npos) << problem;
  }
}

TEST_F(ConfigFilesTest, a_secret_that_is_empty_or_too_large_is_refused) {
  write("secret", "\n");
  EXPECT_THAT(only_problem(login("{ file = \"secret\" }")), HasSubstr("is empty"));
  write("secret", std::string("hunter\0two\n", 11));
  EXPECT_THAT(only_problem(login("{ file = \"secret\" }")),
              AllOf(HasSubstr("has a zero byte, its byte 7"), Not(HasSubstr("hunter"))));
  write("secret", std::string(70000, 'x'));
  EXPECT_THAT(only_problem(login("{ file = \"secret\" }")), HasSubstr("is larger than 64KiB"));
}

TEST_F(ConfigFilesTest, commands_find_the_daemon_without_its_secrets) {
  write("tidegate.toml", "[gateway]\nadmin = \"127.0.0.1:99\"\n" + login("{ file = \"absent\" }"));
  const auto gateway = load_gateway_options(path("tidegate.toml"));
  ASSERT_TRUE(gateway);
  EXPECT_EQ(gateway->admin.port, 99);
  write("tidegate.toml", "[gateway]\nadmin = 5\n");
  EXPECT_FALSE(load_gateway_options(path("tidegate.toml")));
  write("tidegate.toml", "gateway = 5\n");
  EXPECT_FALSE(load_gateway_options(path("tidegate.toml")));
  EXPECT_FALSE(load_gateway_options(path("absent.toml")));
}

TEST_F(ConfigFilesTest, a_value_of_a_mebibyte_is_an_error_and_shown_short) {
  const auto problems = load_bad("gateway.data_dir = \"" + std::string(std::size_t{1} << 20, 'x') + "\"\n");
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_LT(problems[0].message.size(), 300U);
  EXPECT_THAT(problems[0].message, HasSubstr("found 1048576 bytes"));
  const auto unknown = load_bad(std::string(std::size_t{1} << 20, 'k') + " = 1\n");
  ASSERT_EQ(unknown.size(), 1U);
  EXPECT_LT(format_problem(unknown[0]).size(), 700U);
}

TEST_F(ConfigFilesTest, a_file_that_is_too_large_is_an_error) {
  EXPECT_THAT(only_problem(std::string((std::size_t{16} << 20) + 1, '\n')), HasSubstr("is larger than 16MiB"));
}

TEST_F(ConfigFilesTest, deep_nesting_is_an_error) {
  constexpr std::size_t kDepth = 200000;
  const auto times = [](const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < kDepth; ++i) out += text;
    return out;
  };
  EXPECT_FALSE(load("a = " + times("[") + times("]") + "\n"));
  EXPECT_FALSE(load("a = " + times("{a=") + "1" + times("}") + "\n"));
  EXPECT_FALSE(load("a." + times("a.") + "a = 1\n"));
  EXPECT_FALSE(load("[a." + times("a.") + "a]\n"));
  EXPECT_FALSE(load("[[a." + times("'='.") + "a]]\n"));
  EXPECT_FALSE(load("a = " + times("[{ a." + std::string(40, '.') + "a = ") + "\n"));
  // Dots in texts are none of a key.
  EXPECT_THAT(only_problem("x = '" + times(".") + "'\n"), HasSubstr("is not a known key"));
  EXPECT_THAT(only_problem("x = '''\n\"" + times(".") + "'''''\n"), HasSubstr("is not a known key"));
  EXPECT_THAT(only_problem("# " + times(".") + "\nx = \"\\\"" + times(".") + "\"\n"), HasSubstr("is not a known key"));
}

TEST_F(ConfigFilesTest, many_errors_are_cut_and_errors_come_before_warnings) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "unknown" + std::to_string(i) + " = 1\n";
  EXPECT_EQ(load_bad(text).size(), 1000U);
}

TEST_F(ConfigFilesTest, texts_that_the_parser_itself_would_stumble_over_are_errors) {
  for (const char* text : {"[=]\n",
                           "[ ;a]\n",
                           "[[ ,",
                           "a = ]\n",
                           "a = }",
                           "a = [ } ]\n",
                           "a = ,\n",
                           "\r",
                           "[a]\r[b]",
                           "ä = 1\n",
                           "a = ä\n",
                           "a = -\"ä\"\n",
                           "[ä]\n",
                           "\xc3\n",
                           "a = \"\xff\"\n",
                           "a = 1\xc2\xa0\n",
                           "{",
                           "\"",
                           "'''",
                           "a.",
                           "a = 0x",
                           "a = 1e",
                           "a = 99999999999999999999",
                           "a = 1979-",
                           "a = 24:00:00"}) {
    SCOPED_TRACE(text);
    const auto problems = load_bad(text);
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_THAT(problems[0].message, StartsWith("not TOML: "));
  }
}

TEST_F(ConfigFilesTest, random_bytes_never_crash) {
  const auto seed = testing::from_environment("TIDEGATE_SEED", 1);
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(static_cast<std::uint32_t>(seed));
  for (int round = 0; round < 300; ++round) {
    std::string text(random() % 400, '\0');
    for (char& c : text) c = static_cast<char>(random());
    expect_no_crash(text);
  }
}

TEST_F(ConfigFilesTest, a_damaged_example_never_crashes) {
  const std::string example = testing::read_file(std::string(TIDEGATE_SOURCE_DIR) + "/docs/examples/tidegate.toml");
  ASSERT_GT(example.size(), 1000U);
  const auto seed = testing::from_environment("TIDEGATE_SEED", 1);
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(static_cast<std::uint32_t>(seed));
  const std::string alphabet =
      "[]{}=\".,#'\n0-:_ \\\xff\x01"
      "aeT";
  for (int round = 0; round < 1000; ++round) {
    std::string text = example;
    for (unsigned change = random() % 4 + 1; change > 0; --change) {
      const std::size_t at = random() % text.size();
      if (random() % 2 == 0)
        text[at] = alphabet[random() % alphabet.size()];
      else
        text.erase(at, random() % 40 + 1);
    }
    expect_no_crash(text);
  }
}

TEST_F(ConfigFilesTest, every_truncation_of_the_example_is_read_or_refused) {
  const std::string example = testing::read_file(std::string(TIDEGATE_SOURCE_DIR) + "/docs/examples/tidegate.toml");
  for (std::size_t size = 0; size < example.size(); ++size) {
    expect_no_crash(example.substr(0, size));
  }
}

}  // namespace
}  // namespace tidegate::daemon
