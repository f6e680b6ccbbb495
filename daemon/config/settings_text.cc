#include "daemon/config/settings_text.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "core/text.h"
#include "daemon/config/files.h"
#include "daemon/config/schema.h"

namespace tidegate::daemon {
namespace {

// SectionSettings::keys has a line "PATH\tVALUE" for each key. Parts of a path may have dots; neither they nor values
// have control characters. Behind kDigest stands what tells one content of a secret from another, in this process.
constexpr char kPart = '\x1f';
constexpr char kDigest = '\x1e';
constexpr std::size_t kShownMax = 200;
constexpr const char* kNotSet = "(not set)";

std::string inline_text(const Node& node) {
  if (node.kind != Node::Kind::table) return to_toml(node);
  std::string out = "{";
  for (const Member& member : node.members) {
    out += (out.size() > 1 ? ", " : " ") + member.name + " = " + inline_text(member.node);
  }
  return out + " }";
}

bool is_kept_secret(KeyType type) { return type == KeyType::secret; }

// Where the value differs and its source does not, this shows it.
std::string digest_of(const Node& node) {
  const auto secret = resolve_secret(node);
  return kDigest + (secret ? std::to_string(std::hash<std::string>{}(*secret)) : std::string());
}

std::string value_text(const Key& key, const Node& node) {
  if (key.type == KeyType::size && node.kind == Node::Kind::text) {
    if (const auto bytes = parse_size(node.text)) return "\"" + format_size(*bytes) + "\"";
  }
  if (key.type == KeyType::duration && node.kind == Node::Kind::text) {
    if (const auto duration = parse_duration(node.text)) return "\"" + format_duration(*duration) + "\"";
  }
  if (key.type == KeyType::number && node.kind == Node::Kind::integer) {
    Node real = node;
    real.kind = Node::Kind::real;
    real.real = static_cast<double>(node.integer);
    return to_toml(real);
  }
  return inline_text(node) + (is_kept_secret(key.type) ? digest_of(node) : std::string());
}

// By the name that people gave it, so that one more in front of it makes it no other.
std::string name_of_item(const Node& item, std::size_t index, std::set<std::string>& used) {
  for (const char* const key : {"name", "topic", "user"}) {
    const Member* const member = item.find(key);
    if (member == nullptr || member->node.kind != Node::Kind::text) continue;
    if (has_control(member->node.text) || !used.insert(member->node.text).second) break;
    return member->node.text;
  }
  return "[" + std::to_string(index) + "]";
}

void append_keys(const Section& section, const Node& table, const std::string& path, std::string& out) {
  for (const Key& key : section.keys) {
    const Member* const member = table.find(key.name);
    if (member == nullptr) continue;
    const std::string value = value_text(key, member->node);
    if (key.fallback && value == value_text(key, *key.fallback)) continue;
    out += path + key.name + '\t' + value + '\n';
  }
  for (const Section& each : section.sections) {
    const Member* const member = table.find(each.name);
    if (member == nullptr) continue;
    if (!each.is_list) {
      append_keys(each, member->node, path + each.name + kPart, out);
      continue;
    }
    std::set<std::string> used;
    for (std::size_t i = 0; i < member->node.items.size(); ++i) {
      const Node& item = member->node.items[i];
      append_keys(each, item, path + each.name + kPart + name_of_item(item, i, used) + kPart, out);
    }
  }
}

SectionSettings settings_of_table(const Section& section, const std::string& path, const Node& table) {
  SectionSettings settings;
  settings.section = path;
  const Member* const name = table.find("name");
  if (section.is_list && name != nullptr) settings.name = name->node.text;
  if (table.place.file) settings.file = *table.place.file;
  settings.line = table.place.line;
  append_keys(section, table, "", settings.keys);
  settings.keys.shrink_to_fit();
  return settings;
}

// [gateway] is a section itself, [driver] is one of sections.
void collect(const Section& section, const std::string& path, const Node& node, std::vector<SectionSettings>& into) {
  if (section.is_list) {
    for (const Node& item : node.items) into.push_back(settings_of_table(section, path, item));
    return;
  }
  if (!section.keys.empty()) return into.push_back(settings_of_table(section, path, node));
  for (const Section& each : section.sections) {
    const Member* const member = node.find(each.name);
    if (member != nullptr) collect(each, path + "." + each.name, member->node, into);
  }
}

using Lines = std::map<std::string_view, std::string_view>;

Lines lines_of(const SectionSettings* settings) {
  Lines lines;
  if (settings == nullptr) return lines;
  for (const std::string_view line : split(settings->keys, '\n')) {
    const auto tab = line.find('\t');
    if (tab != std::string_view::npos) lines.emplace(line.substr(0, tab), line.substr(tab + 1));
  }
  return lines;
}

std::string shown(std::string_view value) { return clip(value.substr(0, value.find(kDigest)), kShownMax); }

const Section* find_section(const std::string& path) {
  const Section* section = &key_table();
  for (const std::string_view part : split(path, '.')) {
    if (section != nullptr) section = section->section(part);
  }
  return section;
}

std::string default_of(const std::string& section_path, std::string_view path) {
  const Section* section = find_section(section_path);
  const auto parts = split(path, kPart);
  for (std::size_t i = 0; section != nullptr && i + 1 < parts.size(); ++i) {
    section = section->section(parts[i]);
    if (section != nullptr && section->is_list) ++i;  // the item's name
  }
  const Key* const key = section != nullptr ? section->key(parts.back()) : nullptr;
  if (key == nullptr) return kNotSet;
  if (key->fallback) return value_text(*key, *key->fallback);
  return key->fallback_note.empty() ? kNotSet : "(" + key->fallback_note + ")";
}

std::string key_of(std::string_view path) {
  std::string key(path);
  std::replace(key.begin(), key.end(), kPart, '.');
  return clip(key, kShownMax);
}

}  // namespace

std::vector<SectionSettings> settings_of(const Node& document) {
  std::vector<SectionSettings> sections;
  for (const Section& each : key_table().sections) {
    const Member* const member = document.find(each.name);
    if (member != nullptr) collect(each, each.name, member->node, sections);
  }
  return sections;
}

std::vector<KeyChange> compare_settings(const SectionSettings* before, const SectionSettings* after) {
  const std::string section = before != nullptr ? before->section : after != nullptr ? after->section : "";
  const Lines then = lines_of(before);
  const Lines now = lines_of(after);
  std::map<std::string_view, std::pair<std::optional<std::string_view>, std::optional<std::string_view>>> both;
  for (const auto& [path, value] : then) both[path].first = value;
  for (const auto& [path, value] : now) both[path].second = value;
  std::vector<KeyChange> changes;
  for (const auto& [path, values] : both) {
    if (values.first == values.second) continue;
    KeyChange change;
    change.key = key_of(path);
    change.before = values.first ? shown(*values.first) : default_of(section, path);
    change.after = values.second ? shown(*values.second) : default_of(section, path);
    if (change.before == change.after) change.after += " (other content)";
    changes.push_back(std::move(change));
  }
  return changes;
}

}  // namespace tidegate::daemon
