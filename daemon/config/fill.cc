#include "daemon/config/fill.h"

#include <utility>

#include "core/text.h"
#include "daemon/config/files.h"

namespace tidegate::daemon {
namespace {

std::string join(const std::string& path, std::string_view name) {
  return (path.empty() ? "" : path + ".") + clip(name);
}

// "driver.modbus[0].device" as a header is written: "driver.modbus.device".
std::string header_of(const std::string& path) {
  std::string header;
  bool is_index = false;
  for (const char c : path) {
    if (c == '[') is_index = true;
    if (!is_index) header += c;
    if (c == ']') is_index = false;
  }
  return header;
}

class Filler {
 public:
  Filler(const Section& section, void* self, const Node& node, std::string path, LoadState& state)
      : section_(section), self_(self), node_(node), path_(std::move(path)), state_(state) {}

  void run() {
    refuse_unknown();
    if (const Key* selector = section_.key(section_.selector); selector != nullptr) {
      fill_key(*selector);
      if (!selector_is_sound()) return;
    }
    for (const Key& key : section_.keys) {
      if (key.name != section_.selector) fill_key(key);
    }
    for (const Section& section : section_.sections) fill_section(section);
    if (section_.finish) section_.finish(self_, Scope(state_, node_, path_));
  }

 private:
  bool selector_is_sound() const {
    const Member* member = node_.find(section_.selector);
    return member != nullptr && state_.wrong.count(&member->node) == 0;
  }

  void refuse_unknown() {
    const auto known = section_.known();
    std::size_t told = 0;
    for (const Member& member : node_.members) {
      if (section_.key(member.name) != nullptr || section_.section(member.name) != nullptr) continue;
      if (told++ >= LoadState::kProblemsMax) return;  // a file of something else, of megabytes maybe
      const std::string near = nearest_word(member.name, known);
      std::string message = "is not a known key" + (near.empty() ? "" : "; did you mean \"" + near + "\"?");
      message += near.empty() ? "; known here: " : " Known here: ";
      for (std::size_t i = 0; i < known.size(); ++i) message += (i > 0 ? ", " : "") + std::string(known[i]);
      state_.report(ProblemKind::error, member.place, join(path_, member.name), std::move(message));
    }
  }

  void wrong(const Node& node, const std::string& key, std::string message) {
    state_.wrong.insert(&node);
    state_.report(ProblemKind::error, node.place, key, std::move(message));
  }

  void fill_key(const Key& key) {
    const Member* member = node_.find(key.name);
    if (member == nullptr) {
      fill_missing(key);
    } else if (!key.later.empty()) {
      refuse_later(key, *member);
    } else {
      store(key, member->node);
    }
  }

  void fill_missing(const Key& key) {
    if (key.fallback) {
      store(key, *key.fallback);
    } else if (key.is_required) {
      std::string message = "is missing; it must be " + allowed(key);
      if (!key.example_toml.empty()) message += ", such as " + key.example_toml;
      state_.report(ProblemKind::error, node_.place, join(path_, key.name), std::move(message));
    }
  }

  // One complaint for each table of an array of tables.
  void refuse_later(const Key& key, const Member& member) {
    const std::string message = "is not available in this version; " + key.later;
    if (!member.node.is_array_of_tables()) return wrong(member.node, join(path_, key.name), message);
    for (std::size_t i = 0; i < member.node.items.size(); ++i) {
      wrong(member.node.items[i], join(path_, key.name) + "[" + std::to_string(i) + "]", message);
    }
  }

  void store(const Key& key, const Node& node) {
    if (state_.leaves_secrets && (key.type == KeyType::secret || key.type == KeyType::secret_file)) return;
    if (state_.leaves_secrets && key.type == KeyType::file && node.kind == Node::Kind::text) {
      Setting unopened = beside(node.place, node.text);
      (void)key.store(self_, unopened);
      return;
    }
    auto setting = convert(key, node);
    if (!setting) return wrong(node, join(path_, key.name), setting.error().message);
    if (const auto stored = key.store(self_, *setting); !stored) {
      // What is wrong stands in another file then.
      const std::string source = key.type == KeyType::secret ? secret_source(node) + ": " : "";
      wrong(node, join(path_, key.name), source + stored.error().message);
    }
  }

  void fill_section(const Section& section) {
    const Member* member = node_.find(section.name);
    const std::string path = join(path_, section.name);
    if (section.is_list) {
      fill_list(section, member, path);
    } else if (member == nullptr) {
      Node nothing;
      nothing.place = node_.place;
      fill(section, section.open(self_), nothing, path, state_);
    } else if (member->node.kind == Node::Kind::table) {
      fill(section, section.open(self_), member->node, path, state_);
    } else {
      wrong(member->node, path, "must be a table, [" + header_of(path) + "], found " + describe_shape(member->node));
    }
  }

  void fill_list(const Section& section, const Member* member, const std::string& path) {
    const std::string header = "[[" + header_of(path) + "]]";
    if (member == nullptr) {
      if (section.needs_one) {
        state_.report(ProblemKind::error, node_.place, path, "is missing; there must be at least one " + header);
      }
      return;
    }
    const Node& list = member->node;
    // Looked at all the same: else the next mistakes show only when this one is mended.
    if (list.kind == Node::Kind::table) {
      wrong(list, path, "must be an array of tables: write " + header + " instead of [" + header_of(path) + "]");
      return fill(section, section.open(self_), list, path, state_);
    }
    if (list.kind != Node::Kind::array || (section.needs_one && list.items.empty())) {
      return wrong(list, path, "must be an array of tables, " + header + ", found " + describe_shape(list));
    }
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      // Opened also for what is no table, so that the i-th element stays the i-th of the file.
      void* element = section.open(self_);
      const std::string element_path = path + "[" + std::to_string(i) + "]";
      if (list.items[i].kind == Node::Kind::table) {
        fill(section, element, list.items[i], element_path, state_);
      } else {
        wrong(list.items[i], element_path, "must be a table, found " + describe_shape(list.items[i]));
      }
    }
  }

  const Section& section_;
  void* self_;
  const Node& node_;
  std::string path_;
  LoadState& state_;
};

}  // namespace

void fill(const Section& section, void* self, const Node& node, const std::string& path, LoadState& state) {
  Filler(section, self, node, path, state).run();
}

}  // namespace tidegate::daemon
