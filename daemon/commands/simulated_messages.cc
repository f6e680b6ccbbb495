#include "daemon/commands/simulated_messages.h"

#include <array>
#include <chrono>
#include <cmath>
#include <span>
#include <string_view>

#include "core/text.h"

namespace tidegate::daemon {
namespace {

constexpr int kArrayLength = 10;

enum class Fault : std::uint8_t { cut, no_number, beyond_double, far_future, key_twice, empty };
// What a shape lacks comes last: without names none can be there twice, without a time none can be wrong.
constexpr std::array kFaults{Fault::cut,   Fault::no_number,  Fault::beyond_double,
                             Fault::empty, Fault::far_future, Fault::key_twice};
constexpr std::size_t kOfNumber = 4;
constexpr std::size_t kOfCsv = 5;

std::span<const Fault> faults_of(PayloadShape shape) {
  const std::span<const Fault> all(kFaults);
  if (shape == PayloadShape::number) return all.first(kOfNumber);
  return shape == PayloadShape::csv ? all.first(kOfCsv) : all;
}

std::string fill_in(std::string text, std::string_view placeholder, const std::string& by) {
  const std::size_t at = text.find(placeholder);
  if (at != std::string::npos) text.replace(at, placeholder.size(), by);
  return text;
}

std::string tag_name(std::uint64_t tag) { return "value-" + std::to_string(tag + 1); }

}  // namespace

SimulatedMessages::Message SimulatedMessages::message(std::uint64_t n, WallTime now) const {
  const bool is_flat = options_.payload == PayloadShape::flat;
  const std::uint64_t device = (is_flat ? n : n / options_.tags) % options_.devices;
  Message message;
  message.topic = fill_in(options_.topic, "{device}", "sensor-" + std::to_string(device + 1));
  message.topic = fill_in(std::move(message.topic), "{tag}", tag_name(is_flat ? 0 : n % options_.tags));
  message.is_faulty = is_faulty(n);
  Parts parts = this->parts(n, device, now);
  if (!message.is_faulty) {
    message.payload = render(parts);
    return message;
  }
  const auto faults = faults_of(options_.payload);
  const auto turn = static_cast<std::uint64_t>(static_cast<double>(n) * options_.faults);
  const Fault fault = faults[static_cast<std::size_t>(turn % faults.size())];
  if (fault == Fault::no_number) parts.value = "NaN";
  if (fault == Fault::beyond_double) parts.value = "1e999";
  if (fault == Fault::far_future) parts.time = "32503680000000";  // of the year 3000
  if (fault == Fault::key_twice) parts.before = '"' + (is_flat ? tag_name(0) : std::string("value")) + "\":0,";
  message.payload = render(parts);
  if (fault == Fault::empty) message.payload.clear();
  if (fault == Fault::cut) message.payload = '?' + message.payload.substr(0, message.payload.size() / 2);
  return message;
}

bool SimulatedMessages::is_faulty(std::uint64_t n) const {
  const auto up_to = [this](std::uint64_t count) { return std::floor(static_cast<double>(count) * options_.faults); };
  return up_to(n + 1) > up_to(n);
}

SimulatedMessages::Parts SimulatedMessages::parts(std::uint64_t n, std::uint64_t device, WallTime now) const {
  const double phase = static_cast<double>(n) / options_.rate / 20.0 + static_cast<double>(device);
  Parts parts;
  append_number(parts.time, std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch()).count());
  append_number(parts.value, std::round((60.0 + 40.0 * std::sin(phase)) * 100.0) / 100.0);
  return parts;
}

std::string SimulatedMessages::render(const Parts& parts) const {
  const std::string json = '{' + parts.before + "\"ts\":" + parts.time + ",\"value\":" + parts.value + '}';
  switch (options_.payload) {
    case PayloadShape::json:
      return json;
    case PayloadShape::number:
      return parts.value;
    case PayloadShape::csv:
      return parts.time + ',' + parts.value;
    case PayloadShape::flat: {
      std::string flat = '{' + parts.before + "\"ts\":" + parts.time;
      for (std::uint64_t tag = 0; tag < options_.tags; ++tag) flat += ",\"" + tag_name(tag) + "\":" + parts.value;
      return flat + '}';
    }
    case PayloadShape::array: {
      std::string array = "{\"readings\":[" + json;
      for (int i = 1; i < kArrayLength; ++i) array += ',' + json;
      return array + "]}";
    }
  }
  return json;
}

}  // namespace tidegate::daemon
