#include "mqtt/topic_filter.h"

namespace tidegate::mqtt {
namespace {

// Takes the first level off; `rest` loses it and its separator. `had_more` says whether there was one.
std::string_view take_level(std::string_view& rest, bool& had_more) {
  const std::size_t slash = rest.find('/');
  had_more = slash != std::string_view::npos;
  const std::string_view level = rest.substr(0, slash);
  rest.remove_prefix(had_more ? slash + 1 : rest.size());
  return level;
}

bool begins_with_wildcard(std::string_view filter) { return filter.starts_with('+') || filter.starts_with('#'); }

constexpr std::string_view kShare = "$share/";

bool is_share_group(std::string_view group) {
  return !group.empty() && group.find_first_of("+#") == std::string_view::npos;
}

}  // namespace

bool is_topic_name(std::string_view topic) {
  return !topic.empty() && topic.find_first_of("+#") == std::string_view::npos;
}

bool is_shared(std::string_view filter) { return filter.starts_with(kShare); }

std::string_view without_share(std::string_view filter) {
  const auto group_end = is_shared(filter) ? filter.find('/', kShare.size()) : std::string_view::npos;
  return group_end == std::string_view::npos ? filter : filter.substr(group_end + 1);
}

bool is_topic_filter(std::string_view filter) {
  if (is_shared(filter)) {
    filter.remove_prefix(kShare.size());
    bool had_more = false;
    if (!is_share_group(take_level(filter, had_more)) || !had_more) return false;
  }
  if (filter.empty()) return false;
  for (bool more = true; more;) {
    const std::string_view level = take_level(filter, more);
    if (level.find_first_of("+#") == std::string_view::npos) continue;
    if (level.size() != 1 || (level == "#" && more)) return false;
  }
  return true;
}

bool filter_matches(std::string_view filter, std::string_view topic) {
  if (topic.starts_with('$') && begins_with_wildcard(filter)) return false;
  for (;;) {
    bool filter_more = false;
    bool topic_more = false;
    const std::string_view wanted = take_level(filter, filter_more);
    if (wanted == "#") return true;
    const std::string_view level = take_level(topic, topic_more);
    if (wanted != "+" && wanted != level) return false;
    if (!topic_more) return !filter_more || filter == "#";  // "a/#" matches "a" too
    if (!filter_more) return false;
  }
}

bool filter_covers(std::string_view wide, std::string_view narrow) {
  if (narrow.starts_with('$') && begins_with_wildcard(wide)) return false;
  for (;;) {
    bool wide_more = false;
    bool narrow_more = false;
    const std::string_view allowed = take_level(wide, wide_more);
    if (allowed == "#") return true;
    const std::string_view level = take_level(narrow, narrow_more);
    if (level == "#" || (allowed != "+" && allowed != level)) return false;
    if (!narrow_more) return !wide_more || wide == "#";
    if (!wide_more) return false;
  }
}

bool filters_meet(std::string_view one, std::string_view other) {
  if (one.starts_with('$') && begins_with_wildcard(other)) return false;
  if (other.starts_with('$') && begins_with_wildcard(one)) return false;
  for (;;) {
    bool one_more = false;
    bool other_more = false;
    const std::string_view level = take_level(one, one_more);
    const std::string_view other_level = take_level(other, other_more);
    if (level == "#" || other_level == "#") return true;
    if (level != "+" && other_level != "+" && level != other_level) return false;
    if (!one_more || !other_more) return one_more == other_more || one == "#" || other == "#";
  }
}

}  // namespace tidegate::mqtt
