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

std::string shown_name(const SparkplugMetric& metric) {
  if (metric.name) return clip(*metric.name, 300);
  if (metric.alias) return "alias " + std::to_string(*metric.alias);
  return "a metric without a name";
}

bool is_rebirth(const SparkplugMetric& metric) { return metric.name == kRebirthMetric; }

}  // namespace

void SparkplugSession::take_node_command(const Message& message, Now now) {
  const bool is_here = state_ != State::down && state_ != State::leaving;
  if (!is_here && !options_.commands) return;
  auto command = mqtt::decode_sparkplug(message.payload, kCommandMetricsMost);
  if (!command) return complain("NCMD", now, "is passed over: " + command.error().message);
  for (SparkplugMetric& metric : command->metrics) {
    const auto* wanted = std::get_if<bool>(&metric.value);
    const auto of_birth = known("", metric);
    const bool is_of_tag = of_birth && !tag_of_metric("", of_birth->name).empty();
    if (is_rebirth(metric)) {
      wants_births_ = wants_births_ || (is_here && wanted != nullptr && *wanted);
    } else if (options_.commands && (is_of_tag || !tag_of_metric("", metric.name.value_or("")).empty())) {
      take_command(message, "", metric, now);
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
  const std::string device(message.topic.substr(names_.topic("DCMD").size() + 1));
  for (SparkplugMetric& metric : command->metrics) take_command(message, device, metric, now);
}

// Each metric by itself: one that is refused holds no other up.
void SparkplugSession::take_command(const Message& message, const std::string& device, SparkplugMetric& metric,
                                    Now now) {
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
  if (const char* why = why_no_command(message, metric); why != nullptr) {
    write.refusal = why;
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

// A command is for now. What the broker has kept may be of any time.
const char* SparkplugSession::why_no_command(const Message& message, const SparkplugMetric& metric) const {
  if (message.is_retained)
    return "the command was retained by the broker, and may be of any time: publish it anew, not retained";
  if (state_ != State::born) return "the node is not born in this connection";
  if (metric.is_historical) return "the command is marked as historical";
  if (metric.is_null) return "the command has no value, is_null is set";
  return nullptr;
}

std::optional<SparkplugMetrics::Known> SparkplugSession::known(const std::string& device,
                                                               const SparkplugMetric& metric) const {
  const auto found = devices_.find(device);
  if (found == devices_.end()) return std::nullopt;
  if (metric.name && !metric.name->empty()) return found->second.find(*metric.name);
  return metric.alias ? found->second.find(*metric.alias) : std::nullopt;
}

}  // namespace tidegate::uplink
