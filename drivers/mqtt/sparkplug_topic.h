#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"

namespace tidegate::drivers {

/// `other`: what a host application neither takes nor complains about: commands, and the state of other hosts.
enum class SparkplugMessage : std::uint8_t { nbirth, dbirth, ndata, ddata, ndeath, ddeath, other };

/// "spBv1.0/GROUP/TYPE/NODE[/DEVICE]" (Sparkplug 3.0 specification, section 4.2). The views point into the topic.
struct SparkplugTopic {
  SparkplugMessage message = SparkplugMessage::other;
  std::string_view group;
  std::string_view node;
  std::string_view device;  // empty where the message is the node's own
};

/// Nothing when it is no such topic.
std::optional<SparkplugTopic> parse_sparkplug_topic(std::string_view topic);

/// Whether a filter brings whole nodes: births, data and deaths of one, of a group, or of all. The error says what
/// would have been right.
Result<void> check_sparkplug_filter(const std::string& filter);

}  // namespace tidegate::drivers
