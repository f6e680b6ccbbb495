#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "daemon/config/config.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::daemon {

/// Configuration files in a directory of their own.
class ConfigTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return directory_ / name; }

  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    // Not over the old one: file systems that flush what is replaced would make thousands of rounds slow.
    std::filesystem::remove(path(name));
    testing::write_file(path(name), text);
  }

  tl::expected<Config, std::vector<Problem>> load(const std::string& text) {
    write("tidegate.toml", text);
    return load_config(path("tidegate.toml"));
  }

  /// The settings; a failure with all problems when there are any.
  Config load_good(const std::string& text) {
    auto loaded = load(text);
    if (loaded) return *loaded;
    ADD_FAILURE() << text << "\n" << all(loaded.error());
    return Config{};
  }

  /// The errors; a failure when there is none.
  std::vector<Problem> load_bad(const std::string& text) {
    auto loaded = load(text);
    if (!loaded) return loaded.error();
    ADD_FAILURE() << "no error in:\n" << text;
    return {};
  }

  /// "LINE KEY: MESSAGE" of the only problem of `text`.
  std::string only_problem(const std::string& text) {
    const auto problems = load_bad(text);
    if (problems.size() != 1) return "not one problem but:\n" + all(problems);
    return short_form(problems.front());
  }

  std::string only_warning(const std::string& text) {
    const Config config = load_good(text);
    if (config.warnings.size() != 1) return "not one warning but:\n" + all(config.warnings);
    return short_form(config.warnings.front());
  }

  static std::string short_form(const Problem& problem) {
    return std::to_string(problem.line) + " " + problem.key + ": " + problem.message;
  }

  static std::string all(const std::vector<Problem>& problems) {
    std::string out;
    for (const Problem& problem : problems) out += format_problem(problem) + "\n";
    return out;
  }

  testing::TemporaryDirectory directory_;
};

/// An environment variable with a value, until the end of the scope.
class ScopedVariable {
 public:
  ScopedVariable(std::string name, const std::string& value) : name_(std::move(name)) {
    ::setenv(name_.c_str(), value.c_str(), 1);
  }
  ~ScopedVariable() { ::unsetenv(name_.c_str()); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  std::string name_;
};

}  // namespace tidegate::daemon
