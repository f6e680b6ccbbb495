#include "drivers/mqtt/topic_template.h"

#include "core/text.h"

namespace tidegate::drivers {
namespace {

constexpr std::size_t kTopicBytesMax = 65'535;
constexpr std::string_view kRestDots = "...";
constexpr std::string_view kShare = "$share/";

tl::unexpected<Error> refuse(const std::string& text, const std::string& why) {
  return fail(ErrorCode::invalid, "topic \"" + clip(text) + "\": " + why);
}

bool is_name(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const bool fits =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!fits) return false;
  }
  return true;
}

// "$share/GROUP/" of a text that begins with "$share/"; the group as in MQTT 5, section 4.8.2, and without braces,
// which would fill nothing.
Result<std::string> take_share(const std::string& text, std::string_view& rest) {
  const auto slash = rest.find('/', kShare.size());
  const std::string_view group = rest.substr(kShare.size(), slash - kShare.size());
  if (slash == std::string_view::npos || slash + 1 == rest.size()) {
    return refuse(text, "a shared subscription is $share/GROUP/TOPIC");
  }
  if (group.empty()) return refuse(text, "the group between $share/ and the topic has one character at the least");
  if (group.find_first_of("+#{}") != std::string_view::npos) {
    return refuse(text, "the group \"" + std::string(group) + "\" behind $share/ is a plain name: no +, #, { or }");
  }
  std::string share(rest.substr(0, slash + 1));
  rest.remove_prefix(share.size());
  return share;
}

}  // namespace

Result<TopicTemplate::Level> TopicTemplate::parse_level(const std::string& text, std::string_view level, bool is_last) {
  if (level.find('+') != std::string_view::npos || level.find('#') != std::string_view::npos) {
    return refuse(text, "write {name} for a +, and a trailing {name...} for a #");
  }
  const bool has_brace = level.find('{') != std::string_view::npos || level.find('}') != std::string_view::npos;
  if (!has_brace) return Level{Level::Kind::literal, std::string(level)};
  if (level.size() < 2 || level.front() != '{' || level.back() != '}') {
    return refuse(text, "a {name} fills a whole level between slashes, \"" + std::string(level) + "\" does not");
  }
  std::string_view name = level.substr(1, level.size() - 2);
  Level::Kind kind = Level::Kind::one;
  if (name.size() > kRestDots.size() && name.substr(name.size() - kRestDots.size()) == kRestDots) {
    if (!is_last) return refuse(text, "{name...} takes the rest and can only stand at the end");
    name.remove_suffix(kRestDots.size());
    kind = Level::Kind::rest;
  }
  if (!is_name(name)) return refuse(text, "\"" + std::string(level) + "\": a name has letters, digits, _ and -");
  return Level{kind, std::string(name)};
}

Result<TopicTemplate> TopicTemplate::parse(const std::string& text) {
  if (text.empty() || text.size() > kTopicBytesMax) return refuse(text, "a topic has 1 to 65535 bytes");
  if (!is_valid_utf8(text)) return refuse(text, "a topic is valid UTF-8");
  if (text.find('\0') != std::string::npos) return refuse(text, "a topic has no zero byte");
  TopicTemplate made;
  std::string_view topics = text;
  if (topics.starts_with(kShare)) {
    auto share = take_share(text, topics);
    if (!share) return tl::unexpected(share.error());
    made.share_ = std::move(*share);
  }
  const auto parts = split(topics, '/');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto level = parse_level(text, parts[i], i + 1 == parts.size());
    if (!level) return tl::unexpected(level.error());
    if (level->kind != Level::Kind::literal) {
      for (const Level& other : made.levels_) {
        if (other.kind != Level::Kind::literal && other.text == level->text) {
          return refuse(text, "{" + level->text + "} stands there twice");
        }
      }
      made.has_device_ = made.has_device_ || level->text == "device";
      made.has_tag_ = made.has_tag_ || level->text == "tag";
    }
    made.levels_.push_back(std::move(*level));
  }
  return made;
}

std::string TopicTemplate::filter() const {
  std::string filter = share_;
  for (const Level& level : levels_) {
    if (&level != &levels_.front()) filter += '/';
    filter += level.kind == Level::Kind::literal ? level.text : level.kind == Level::Kind::one ? "+" : "#";
  }
  return filter;
}

std::optional<TopicTemplate::Names> TopicTemplate::match(std::string_view topic) const {
  Names names;
  std::string_view left = topic;
  bool at_end = false;
  for (const Level& level : levels_) {
    if (at_end) return std::nullopt;
    const auto slash = left.find('/');
    std::string_view part = left.substr(0, slash);
    if (level.kind == Level::Kind::rest) part = left;
    at_end = slash == std::string_view::npos || level.kind == Level::Kind::rest;
    if (!at_end) left.remove_prefix(slash + 1);
    if (level.kind == Level::Kind::literal) {
      if (part != level.text) return std::nullopt;
    } else if (part.empty()) {
      return std::nullopt;
    } else if (level.text == "device") {
      names.device = part;
    } else if (level.text == "tag") {
      names.tag = part;
    }
  }
  if (!at_end) return std::nullopt;
  // A wildcard in the first level does not match the broker's own topics (MQTT 3.1.1, section 4.7.2).
  if (!topic.empty() && topic.front() == '$' && levels_.front().kind != Level::Kind::literal) return std::nullopt;
  return names;
}

}  // namespace tidegate::drivers
