#include "daemon/config/document.h"

#include <algorithm>

#include "core/text.h"

namespace tidegate::daemon {
namespace {

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string number_text(const Node& node) {
  std::string out;
  if (node.kind == Node::Kind::integer) {
    append_number(out, node.integer);
  } else if (node.real != node.real) {
    out = "nan";
  } else if (node.real > 1.7976931348623157e308 || node.real < -1.7976931348623157e308) {
    out = node.real > 0 ? "inf" : "-inf";
  } else {
    append_number(out, node.real);
  }
  return out;
}

}  // namespace

std::string to_string(const Place& place) {
  return (place.file ? *place.file : std::string()) + ":" + std::to_string(place.line);
}

const Member* Node::find(std::string_view name) const {
  const auto found =
      std::find_if(members.begin(), members.end(), [&](const Member& member) { return member.name == name; });
  return found == members.end() ? nullptr : &*found;
}

bool Node::is_array_of_tables() const {
  return kind == Kind::array && !items.empty() &&
         std::all_of(items.begin(), items.end(), [](const Node& item) { return item.kind == Kind::table; });
}

std::string describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::boolean:
      return node.boolean ? "true" : "false";
    case Node::Kind::integer:
    case Node::Kind::real:
      return number_text(node);
    case Node::Kind::text:
      return "\"" + clip(node.text) + "\"";
    case Node::Kind::date:
      return "the date or time " + clip(node.text);
    case Node::Kind::array:
      return node.items.empty() ? "an empty array" : "an array of " + std::to_string(node.items.size());
    case Node::Kind::table:
      return "a table";
  }
  return "";
}

std::string describe_shape(const Node& node) { return node.kind == Node::Kind::text ? "a text" : describe(node); }

std::string to_toml(const Node& node) {
  if (node.kind == Node::Kind::text) return quoted(node.text);
  if (node.kind != Node::Kind::array) return describe(node);
  std::string out = "[";
  for (const Node& item : node.items) out += (out.size() > 1 ? ", " : "") + to_toml(item);
  return out + "]";
}

}  // namespace tidegate::daemon
