// How a bus writes: once, never into the dark, and with a look at what is in the register afterwards.
#include <algorithm>

#include "core/log.h"
#include "core/text.h"
#include "drivers/modbus/bus.h"
#include "drivers/modbus/bus_words.h"

namespace tidegate::drivers {
namespace {

std::string too_late() { return "it waited longer than " + format_duration(kWriteWaitMost) + " for its bus"; }

}  // namespace

void Bus::write(const BusWrite& order, BusBatch& into) {
  if (std::string why = why_not_written(order); !why.empty()) {
    into.answers.push_back({order.id, WriteResult::refused, std::move(why)});
    return;
  }
  const BusTag& tag = tags_[order.tag];
  const BusDevice& device = devices_[tag.device];
  const BootTime began = clock_.boot_now();
  const ModbusWrite write{device.unit, tag.place.table, tag.place.address, order.words, order.until};
  const ModbusWriteReply reply = link_.write(write);
  if (reply.result != ModbusResult::interrupted && !reply.is_late) status_.count_request(tag.device, reply.result);
  WriteAnswer answer{order.id, to_write_result(reply), ""};
  if (reply.is_late) {
    answer.reason = too_late();
  } else if (answer.result != WriteResult::written) {
    answer.reason = (reply.is_sent ? "" : "not sent: ") +
                    what_happened(reply.result, "a write of " + describe(request_at(write)), timeout_);
  }
  if (answer.result == WriteResult::unknown) {
    answer.reason += ": unknown whether it was written; it is not sent again";
  }
  if (answer.result != WriteResult::refused) {
    const std::string back = read_back(order, answer.result == WriteResult::written, into);
    if (!back.empty()) answer.reason += (answer.reason.empty() ? "" : "; ") + back;
  }
  into.answers.push_back(std::move(answer));
  plan_.charge(tag.device, clock_.boot_now() - began);
}

std::string Bus::why_not_written(const BusWrite& order) const {
  const BusTag& tag = tags_[order.tag];
  const BusDevice& device = devices_[tag.device];
  const BootTime now = clock_.boot_now();
  if (now > order.until) return too_late();
  if (!plan_.is_down(tag.device)) return {};
  return "device " + device.name + " is down, and is tried again in " +
         format_duration(std::chrono::ceil<std::chrono::seconds>(
             std::max<Duration>(plan_.next_try(tag.device) - now, std::chrono::seconds(1)))) +
         " or later: " + device.why_down;
}

// What the register holds now, as the reason of an answer has it: nothing where it is what was written, and the device
// has said so.
std::string Bus::read_back(const BusWrite& order, bool is_told, BusBatch& into) {
  BusTag& tag = tags_[order.tag];
  if (!link_.is_connected() && !connect(into)) return "not read back: the connection is lost";
  const ModbusRequest request{devices_[tag.device].unit, tag.place.table, tag.place.address, tag.format.count};
  const auto words = std::span(values_).first(request.count);
  const ModbusResult result = link_.read(request, words);
  if (result == ModbusResult::interrupted) return "not read back: the gateway stops";
  status_.count_request(tag.device, result);
  if (result != ModbusResult::ok) return "not read back: " + what_happened(result, request, timeout_);
  const Reading& reading = into.readings.emplace_back(take_value(tag, words, stamp()));
  if (is_told && std::equal(words.begin(), words.end(), order.words.begin(), order.words.end())) return {};
  std::string value;
  append_json(value, reading.value);
  return "read back: " + clip(value);
}

void Bus::refuse_writes(BusBatch& into) {
  while (const auto order = writes_.take()) {
    into.answers.push_back({order->id, WriteResult::refused, "the bus is not connected: " + why_lost_});
  }
}

}  // namespace tidegate::drivers
