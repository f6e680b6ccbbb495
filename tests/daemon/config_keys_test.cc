// Drives the checks of single keys from the table of keys itself, so that no key is left out.
#include <gmock/gmock.h>

#include <algorithm>
#include <cinttypes>
#include <cmath>

#include "core/text.h"
#include "tests/daemon/config_fixture.h"
#include "tests/daemon/config_snippets.h"
#include "tests/support/tls_texts.h"

namespace tidegate::daemon {
namespace {

// Made by mosquitto_passwd 2.0.11.
constexpr const char* kUsers =
    "boiler:$7$101$j7dZ1jYq7Bk1wFvW$3HXQZrHmU/R4ymDd7mDNZ+NnvG0H"
    "nBpbCxqFAK17Et9qqmRvppHZVz9D01rwPKxEPrkPBkBu8YcJwyy/8fneBA==\n";

class ConfigKeysTest : public ConfigTest {
 protected:
  ConfigKeysTest() {
    for (const char* name : {"ca.pem", "client.pem", "gateway.pem"}) write(name, testing::tls_texts().certificate);
    for (const char* name : {"client.key", "gateway.key"}) write(name, testing::tls_texts().key);
    write("secret", "content\n");
    write("admin-token", "5f0c2b8e71d94a36\n");
    write("users", kUsers);
  }

  template <class Visit>
  void for_each_key(Visit visit) {
    int visited = 0;
    for (const PlacedSection& placed : all_sections()) {
      for (const Key& key : placed.section->keys) {
        SCOPED_TRACE(placed.path + "." + key.name);
        visit(placed, key);
        ++visited;
      }
    }
    EXPECT_GT(visited, 100);
  }

  void expect_good(const PlacedSection& placed, const Key& key, const std::string& value) {
    load_good(around(placed, key.name, key.name + " = " + value).text);
  }

  // One of the errors is at the line, names the key, and shows what was found in it.
  std::string expect_error(const PlacedSection& placed, const Key& key, const std::string& value) {
    const Snippet snippet = around(placed, key.name, key.name + " = " + value);
    const auto problems = load_bad(snippet.text);
    for (const Problem& problem : problems) {
      const bool names_key = problem.key.rfind(snippet.key_prefix + key.name, 0) == 0;
      if (problem.line != snippet.line || !names_key || problem.file != path("tidegate.toml")) continue;
      EXPECT_GT(problem.column, 1U);
      EXPECT_FALSE(problem.message.empty());
      return problem.message;
    }
    ADD_FAILURE() << "no error at line " << snippet.line << " for " << snippet.key_prefix << key.name << " in\n"
                  << snippet.text << all(problems);
    return "";
  }
};

std::vector<std::string> wrong_values(KeyType type) {
  std::vector<std::string> values{"1979-05-27", "{ nonsense = 1 }", "[[1]]"};
  const auto add = [&](std::initializer_list<const char*> more) {
    values.insert(values.end(), more.begin(), more.end());
  };
  switch (type) {
    case KeyType::text:
    case KeyType::file:
      add({"5", "true", "0.5", "[\"a\"]", "\"a\\u0000b\"", "\"a\\nb\""});
      break;
    case KeyType::boolean:
      add({"0", "\"true\"", "\"yes\""});
      break;
    case KeyType::integer:
      add({"\"5\"", "1.5", "true", "9223372036854775807", "-9223372036854775808"});
      break;
    case KeyType::number:
      add({"\"5\"", "nan", "inf", "-inf", "true"});
      break;
    case KeyType::size:
      add({"5000000", "\"5\"", "\"5 MiB\"", "\"5MB\"", "\"-5MiB\"", "\"MiB\"", "\"99999999999999999999MiB\"", "\"\""});
      break;
    case KeyType::duration:
      add({"5", "\"5\"", "\"5 s\"", "\"-5s\"", "\"5sec\"", "\"1e3s\"", "\"99999999999999999999s\"", "\"\""});
      break;
    case KeyType::word:
      add({"5", "\"\"", "\"nonsense\"", "true", "[]"});
      break;
    case KeyType::texts:
    case KeyType::words:
      add({"5", "\"readings\"", "[]", "[5]", "[\"\"]"});
      break;
    case KeyType::secret:
    case KeyType::kept_secret:
    case KeyType::secret_file:
      add({"5", "\"a literal\"", "{ file = \"absent\" }", "{ file = 5 }", "{ file = \"a\", env = \"b\" }",
           "{ credential = \"c\" }"});
      break;
    case KeyType::text_or_secret:
      add({"5", "\"\"", "{ file = \"absent\" }", "{ file = 5 }", "{ file = \"a\", env = \"b\" }",
           "{ credential = \"c\" }"});
      break;
    case KeyType::headers:
      add({"5", "\"x\"", "{}", "{ X-Site = 5 }", "{ X-Site = \"\" }", "{ X-Site = \"a\\nb\" }", "{ \"a b\" = \"x\" }",
           "{ Authorization = \"Bearer x\" }", "{ X-Api-Key = \"x\" }", "{ Content-Length = \"5\" }",
           "{ tidegate-epoch = \"1\" }", "{ X-A = \"1\", x-a = \"2\" }", "{ X-A = { file = \"absent\" } }"});
      break;
    case KeyType::pointers:
      add({"5", "\"x\"", "{}", "{ temp = 5 }", "{ temp = \"no-slash\" }", "{ \"a+b\" = \"/t\" }"});
      break;
    case KeyType::named_texts:
      add({"5", "\"x\"", "{ temp = 5 }", "{ temp = [\"a\"] }", "{ temp = \"a\\nb\" }"});
      break;
  }
  return values;
}

TEST_F(ConfigKeysTest, every_key_takes_its_default_and_its_example) {
  for_each_key([&](const PlacedSection& placed, const Key& key) {
    if (!key.later.empty()) return;
    EXPECT_FALSE(key.doc.empty());
    EXPECT_TRUE(key.fallback || !key.example_toml.empty()) << "nothing shows how the key is written";
    if (key.fallback) expect_good(placed, key, to_toml(*key.fallback));
    if (!key.example_toml.empty()) expect_good(placed, key, key.example_toml);
  });
}

TEST_F(ConfigKeysTest, every_word_of_every_key_is_taken) {
  for_each_key([&](const PlacedSection& placed, const Key& key) {
    for (const std::string& word : key.words) {
      // A rule of another type needs other keys: that is a check of its own.
      if (placed.path == "rule" && key.name == "type" && word != "threshold") continue;
      expect_good(placed, key, key.type == KeyType::words ? "[\"" + word + "\"]" : "\"" + word + "\"");
    }
  });
}

TEST_F(ConfigKeysTest, every_key_refuses_values_of_another_type) {
  for_each_key([&](const PlacedSection& placed, const Key& key) {
    if (!key.later.empty()) return;
    for (const std::string& value : wrong_values(key.type)) {
      SCOPED_TRACE(value);
      expect_error(placed, key, value);
    }
  });
}

std::string as_toml(const Key& key, double quantity) {
  if (key.type == KeyType::duration) {
    return "\"" + std::to_string(static_cast<std::int64_t>(quantity)) + "ns\"";
  }
  if (key.type == KeyType::size) return "\"" + std::to_string(static_cast<std::int64_t>(quantity)) + "B\"";
  if (key.type == KeyType::integer) return std::to_string(static_cast<std::int64_t>(quantity));
  std::string text;
  append_number(text, quantity);
  return text;
}

TEST_F(ConfigKeysTest, every_key_with_a_range_keeps_to_it) {
  for_each_key([&](const PlacedSection& placed, const Key& key) {
    const bool is_whole = key.type == KeyType::integer || key.type == KeyType::size || key.type == KeyType::duration;
    if (!key.later.empty() || (!is_whole && key.type != KeyType::number)) return;
    const double step = is_whole ? 1 : 0.01;
    constexpr double kUnlimited = 1e300;
    if (key.most < kUnlimited) {
      // A limit of years in nanoseconds has more digits than a double.
      const double above = std::max(key.most + step, std::nextafter(key.most, kUnlimited));
      expect_good(placed, key, as_toml(key, key.most));
      EXPECT_NE(expect_error(placed, key, as_toml(key, above)).find(allowed(key)), std::string::npos);
    }
    if (key.least > -kUnlimited) {
      expect_good(placed, key, as_toml(key, key.least));
      EXPECT_NE(expect_error(placed, key, as_toml(key, key.least - step)).find(allowed(key)), std::string::npos);
    }
  });
}

TEST_F(ConfigKeysTest, every_text_has_a_length_that_it_keeps_to) {
  for_each_key([&](const PlacedSection& placed, const Key& key) {
    if (key.type != KeyType::text || !key.later.empty()) return;
    if (!key.is_empty_allowed) expect_error(placed, key, "\"\"");
    expect_error(placed, key, "\"" + std::string(5000, 'x') + "\"");
  });
}

TEST_F(ConfigKeysTest, every_required_key_is_missed) {
  int required = 0;
  for_each_key([&](const PlacedSection& placed, const Key& key) {
    if (!key.is_required) return;
    ++required;
    const Snippet snippet = around(placed, key.name, "");
    const auto problems = load_bad(snippet.text);
    ASSERT_EQ(problems.size(), 1U) << all(problems);
    EXPECT_EQ(problems[0].key, snippet.key_prefix + key.name);
    EXPECT_EQ(problems[0].line, snippet.header_line);
    EXPECT_NE(problems[0].message.find("is missing; it must be " + allowed(key)), std::string::npos);
  });
  EXPECT_GT(required, 10);
}

TEST_F(ConfigKeysTest, every_key_that_is_misspelt_is_an_error_that_names_the_right_one) {
  for_each_key([&](const PlacedSection& placed, const Key& key) {
    const std::string misspelt = key.name + "x";
    const Snippet snippet = around(placed, "", misspelt + " = 1");
    const auto problems = load_bad(snippet.text);
    ASSERT_EQ(problems.size(), 1U) << all(problems);
    EXPECT_EQ(problems[0].key, snippet.key_prefix + misspelt);
    EXPECT_EQ(problems[0].line, snippet.line);
    EXPECT_EQ(problems[0].column, 1U);
    EXPECT_NE(problems[0].message.find("did you mean \"" + key.name + "\"?"), std::string::npos) << problems[0].message;
  });
}

TEST_F(ConfigKeysTest, every_key_and_word_of_a_later_version_is_refused_with_what_to_use_instead) {
  int refused = 0;
  for_each_key([&](const PlacedSection& placed, const Key& key) {
    const auto expect_refused = [&](const std::string& value, const std::string& instead) {
      const std::string message = expect_error(placed, key, value);
      EXPECT_NE(message.find("is not available in this version; " + instead), std::string::npos) << message;
      ++refused;
    };
    if (!key.later.empty()) {
      for (const char* value : {"\"x\"", "1", "{ x = 1 }", "[1]", "[]"}) expect_refused(value, key.later);
    }
    for (const LaterWord& later : key.later_words) {
      expect_refused(later.word == "true" ? later.word : "\"" + later.word + "\"", later.instead);
    }
  });
  EXPECT_GT(refused, 25);
}

TEST_F(ConfigKeysTest, all_errors_of_a_file_come_at_once) {
  std::string text;
  std::vector<std::string> keys;
  for (const PlacedSection& placed : all_sections()) {
    const Snippet snippet = around(placed, "", "");
    if (!placed.path.empty())
      text += (placed.section->is_list ? "[[" : "[") + placed.path + (placed.section->is_list ? "]]\n" : "]\n");
    for (const Key& key : placed.section->keys) {
      // A selector that is wrong silences its section.
      if (key.name == placed.section->selector) {
        text += "type = \"threshold\"\n";
      } else {
        text += key.name + " = 1979-05-27\n";
        keys.push_back(snippet.key_prefix + key.name);
      }
    }
  }
  const auto problems = load_bad(text);
  for (const std::string& key : keys) {
    const bool is_named =
        std::any_of(problems.begin(), problems.end(), [&](const Problem& problem) { return problem.key == key; });
    EXPECT_TRUE(is_named) << key << " is not among\n" << all(problems);
  }
  const auto is_before = [](const Problem& a, const Problem& b) { return a.line < b.line; };
  EXPECT_TRUE(std::is_sorted(problems.begin(), problems.end(), is_before));
}

TEST_F(ConfigKeysTest, a_size_by_another_name_is_answered_with_the_right_one) {
  const auto told = [&](const std::string& text) { return only_problem("[buffer]\nsize = \"" + text + "\"\n"); };
  for (const char* meant : {"16MB", "16mb", "16M", "16m", "16 MiB", "16mib", "16Mi"}) {
    EXPECT_THAT(told(meant), ::testing::EndsWith(", found \"" + std::string(meant) + "\"; did you mean \"16MiB\"?"));
  }
  EXPECT_THAT(told("2000kB"), ::testing::EndsWith("did you mean \"2000KiB\"?"));
  EXPECT_THAT(told("2gb"), ::testing::EndsWith("did you mean \"2GiB\"?"));
  for (const char* unclear : {"16", "MB", "1.5MB", "-1MB", "16TB", "16MBx", "999999999999999999GB"}) {
    EXPECT_THAT(told(unclear), ::testing::EndsWith(", found \"" + std::string(unclear) + "\"")) << unclear;
  }
}

}  // namespace
}  // namespace tidegate::daemon
