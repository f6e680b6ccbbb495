#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace tidegate::drivers {

/// "plant/{device}/{tag}": which topics a subscription is for, and where device and tag stand in them. A {name} is one
/// level that is not empty; a trailing {name...} is all that is left, one level at least. Names other than device and
/// tag match and say nothing. In front may stand "$share/GROUP/", which makes it a shared subscription (MQTT 5, section
/// 4.8.2): for the broker only, since topics of messages do not have it.
class TopicTemplate {
 public:
  struct Names {
    std::string_view device;  // empty where the template has none
    std::string_view tag;
  };

  static Result<TopicTemplate> parse(const std::string& text);

  /// The filter to subscribe to, with $share/GROUP/: {name} as +, {name...} as #.
  std::string filter() const;
  bool is_shared() const { return !share_.empty(); }
  bool has_device() const { return has_device_; }
  bool has_tag() const { return has_tag_; }
  /// Device and tag, pointing into `topic`, when it is one of ours.
  std::optional<Names> match(std::string_view topic) const;

 private:
  struct Level {
    enum class Kind : std::uint8_t { literal, one, rest } kind = Kind::literal;
    std::string text;  // the literal, or the name
  };
  static Result<Level> parse_level(const std::string& text, std::string_view level, bool is_last);

  std::string share_;  // "$share/GROUP/", or empty
  std::vector<Level> levels_;
  bool has_device_ = false;
  bool has_tag_ = false;
};

}  // namespace tidegate::drivers
