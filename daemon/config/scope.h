#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/config/document.h"

namespace tidegate::daemon {

/// What one load of a configuration knows so far: the settings, the problems, and who has taken which name.
struct LoadState {
  struct Owner {
    std::string name;  // of who has it
    std::string key;   // where it says so
    Place place;
  };

  static constexpr std::size_t kProblemsMax = 1000;  // that anybody is told of

  Config config;
  const Config* running = nullptr;  // whose [gateway] and [buffer] are taken instead
  std::vector<Problem> problems;
  std::set<const Node*> wrong;         // nodes with a problem, so that one mistake is reported once
  std::map<std::string, Owner> taken;  // "kind\nvalue" to who has it
  std::vector<std::string> tags;       // paths that are known beforehand
  bool has_open_tags = false;          // a driver makes tags of what arrives
  bool leaves_secrets = false;         // unread, and files that keys name unopened

  void report(ProblemKind kind, const Place& place, std::string key, std::string message);
};

/// One table of the file, for checks that look at several keys. Valid while the file is being read.
class Scope {
 public:
  Scope(LoadState& state, const Node& node, std::string path) : state_(&state), node_(&node), path_(std::move(path)) {}

  LoadState& state() const { return *state_; }
  const Place& place() const { return node_->place; }
  const std::string& path() const { return path_; }

  /// The key is written in the file.
  bool has(std::string_view key) const { return node_->find(key) != nullptr; }
  /// The key is written and nothing was found wrong with it so far, or it is not written.
  bool is_sound(std::string_view key) const;
  /// The value as it is written.
  std::string found(std::string_view key) const;

  /// An error at the key, or at the table when the key is not written.
  void wrong(std::string_view key, std::string message) const;
  void odd(std::string_view key, std::string message) const;

  /// Takes `value` for this table; an error at the key when another has it. `what` says what is unique, `advice` what
  /// to do.
  void claim(const std::string& what, const std::string& value, std::string_view key, const std::string& advice) const;

  /// Takes the value of the key `name` for this table, among drivers, rules or uplinks.
  void claim_name(const std::string& kind) const;
  /// Takes the tag path for a driver; an error at the key when another driver has it.
  void claim_tag(const std::string& path, const std::string& driver, std::string_view key) const;

  /// The table `key`; it is there.
  Scope table(std::string_view key) const;
  /// The i-th table of the array of tables `key`.
  Scope item(std::string_view key, std::size_t index) const;

 private:
  void report(ProblemKind kind, std::string_view key, std::string message) const;
  std::string key_path(std::string_view key) const;
  std::pair<const LoadState::Owner*, bool> take(const std::string& what, const std::string& value,
                                                const std::string& name, std::string_view key) const;

  LoadState* state_;
  const Node* node_;
  std::string path_;
};

}  // namespace tidegate::daemon
