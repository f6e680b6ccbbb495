// What others tell the node to do: to be born again, and to write tags.
#include <utility>

#include "core/text.h"
#include "mqtt/sparkplug_value.h"
#include "uplink/sparkplug/sparkplug_session.h"

namespace tidegate::uplink {
namespace {

using mqtt::SparkplugMetric;
using mqtt::SparkplugType;

constexpr std::size_t kCommandMetricsMost = 1000;
constexpr Duration kCommandAgeMost = std::chrono::seconds(60);

std::string shown_name(const SparkplugMetric& metric) {
  if (metric.name) return clip(*metric.name, 300);
  if (metric.alias) return "alias " + std::to_string(*metric.alias);
  return "a metric without a name";
}

bool is_rebirth(const SparkplugMetric& metric) { return metric.name == kRebirthMetric; }

// How much older than `now` a time in milliseconds is; nothing for what is newer.
Duration age_of(std::uint64_t timestamp, WallTime now) {
  const auto passed = std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch()).count();
  if (passed <= 0 || timestamp >= static_cast<std::uint64_t>(passed)) return {};
  return std::chrono::milliseconds(passed - static_cast<std::int64_t>(timestamp));
}

}  // namespace

// What the metrics of one command have in common.
struct SparkplugSession::Command {
  const Message& message;
  std::string device;                      // empty: the node
  std::optional<std::uint64_t> timestamp;  // of the payload
};

void SparkplugSession::take_node_command(const Message& message, Now now) {
  const bool is_here = state_ != State::down && state_ != State::leaving;
  if (!is_here && !options_.commands) return;
  auto command = mqtt::decode_sparkplug(message.payload, kCommandMetricsMost);
  if (!command) return complain("NCMD", now, "is passed over: " + command.error().message);
  const Command to_node{message, "", command->timestamp};
  for (SparkplugMetric& metric : command->metrics) {
    const auto* wanted = std::get_if<bool>(&metric.value);
    const auto of_birth = known("", metric);
    const bool is_of_tag = of_birth && !tag_of_metric("", of_birth->name).empty();
    if (is_rebirth(metric)) {
      wants_births_ = wants_births_ || (is_here && wanted != nullptr && *wanted);
    } else if (options_.commands && (is_of_tag || !tag_of_metric("", metric.name.value_or("")).empty())) {
      take_command(to_node, metric, now);
    } else if (is_here) {
      complain("NCMD", now,
               "is passed over, only \"" + std::string(kRebirthMetric) +
                   "\" and tags of the node can be commanded: " + shown_name(metric));
    }
  }
  tick(now);
}

void SparkplugSession::take_device_command(const Message& message, Now now) {
  if (!options_.commands) {
    if (state_ == State::down || state_ == State::leaving) return;
    return complain("DCMD", now, "is passed over, commands = true is not set for this uplink: " + clip(message.topic));
  }
  auto command = mqtt::decode_sparkplug(message.payload, kCommandMetricsMost);
  if (!command) {
    return complain("DCMD", now, "of " + clip(message.topic) + " is passed over: " + command.error().message);
  }
  const Command to_device{message, std::string(message.topic.substr(names_.topic("DCMD").size() + 1)),
                          command->timestamp};
  for (SparkplugMetric& metric : command->metrics) take_command(to_device, metric, now);
}

// Each metric by itself: one that is refused holds no other up.
void SparkplugSession::take_command(const Command& command, SparkplugMetric& metric, Now now) {
  const auto& [message, device, timestamp] = command;
  if (commands_.ready_at(1) > now.boot) {
    return complain("command", now, "is left out, they come too fast: " + clip(message.topic));
  }
  commands_.take(1, now.boot);
  TagWrite write;
  write.by = "uplink " + uplink_;
  write.detail = std::string(message.topic) + ", metric " + shown_name(metric);
  const auto of_birth = known(device, metric);
  const std::string name = of_birth ? of_birth->name : metric.name.value_or("");
  write.tag = name.empty() ? device : tag_of_metric(device, name);
  const SparkplugType born = of_birth ? of_birth->type : SparkplugType::unknown;
  if (std::string why = why_no_command(command, metric, now); !why.empty()) {
    write.refusal = std::move(why);
  } else if (name.empty()) {
    write.refusal = "no metric of the device was born with this alias in this connection";
  } else if (const auto problem = mqtt::take_sparkplug_value(
                 metric, metric.type == SparkplugType::unknown ? born : metric.type, write.value);
             problem != mqtt::SparkplugValueProblem::none) {
    write.refusal = mqtt::describe(problem) + std::string("; born as ") + mqtt::name_of_sparkplug_type(born) +
                    ", commanded as " + mqtt::name_of_sparkplug_type(metric.type);
  }
  orders_.writes.push_back(std::move(write));
}

// A command is for now, and once. What the broker has kept may be of any time, and what it sends again may be done.
std::string SparkplugSession::why_no_command(const Command& command, const SparkplugMetric& metric, Now now) const {
  if (command.message.is_retained)
    return "the command was retained by the broker, and may be of any time: publish it anew, not retained";
  if (command.message.is_duplicate)
    return "the command is a duplicate by its flag DUP, and may have been carried out: publish it anew";
  if (state_ != State::born) return "the node is not born in this connection";
  if (metric.is_historical) return "the command is marked as historical";
  if (metric.is_null) return "the command has no value, is_null is set";
  const auto timestamp = command.timestamp ? command.timestamp : metric.timestamp;
  if (!timestamp || now.quality != ClockQuality::synced) return {};
  const Duration age = age_of(*timestamp, now.wall);
  if (age <= kCommandAgeMost) return {};
  return "the command is too old: by its timestamp of " +
         format_duration(std::chrono::floor<std::chrono::seconds>(age)) + " ago, and " +
         format_duration(kCommandAgeMost) + " are allowed. Publish it anew, and look at the clock of who sent it";
}

std::optional<SparkplugMetrics::Known> SparkplugSession::known(const std::string& device,
                                                               const SparkplugMetric& metric) const {
  const auto found = devices_.find(device);
  if (found == devices_.end()) return std::nullopt;
  if (metric.name && !metric.name->empty()) return found->second.find(*metric.name);
  return metric.alias ? found->second.find(*metric.alias) : std::nullopt;
}

}  // namespace tidegate::uplink
