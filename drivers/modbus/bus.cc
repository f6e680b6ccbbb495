#include "drivers/modbus/bus.h"

#include "core/log.h"
#include "core/text.h"
#include "drivers/modbus/bus_words.h"

namespace tidegate::drivers {
namespace {

constexpr Duration kReconnectFirst = std::chrono::seconds(1);

const char* what_to_check(ModbusResult result) {
  switch (result) {
    case ModbusResult::timeout:
      return "check its power, the wiring, the unit id and, on a serial line, baud and parity";
    case ModbusResult::gateway_failure:
      return "the gateway cannot reach it: check the unit id and the line behind it";
    case ModbusResult::bad_reply:
      return "check for two devices with this unit id, noise, termination, baud and parity";
    case ModbusResult::not_connected:
      return "it closes the connection when asked: check the unit id and its log";
    default:
      return "check the device";
  }
}

// Every bus, and every start, has its own jitter.
std::uint64_t seed_of(const std::string& name, const Clock& clock) {
  return std::hash<std::string>()(name) ^ static_cast<std::uint64_t>(clock.boot_now().time_since_epoch().count());
}

}  // namespace

std::string what_happened(ModbusResult result, const std::string& asked, Duration timeout) {
  switch (result) {
    case ModbusResult::timeout:
      return "no answer within " + format_duration(timeout) + " to " + asked;
    case ModbusResult::gateway_failure:
      return "the gateway got no answer to " + asked;
    case ModbusResult::bad_reply:
      return "wrong or damaged reply to " + asked;
    case ModbusResult::not_connected:
      return "connection lost at " + asked;
    default:
      return std::string(to_string(result)) + " in answer to " + asked;
  }
}

std::string what_happened(ModbusResult result, const ModbusRequest& request, Duration timeout) {
  return what_happened(result, "a request for " + describe(request), timeout);
}

Bus::Bus(const ModbusBusOptions& options, std::vector<TagId> ids, ModbusLink& link, const Clock& clock,
         BusStatus& status, WriteQueue& writes)
    : name_(options.name),
      timeout_(options.timeout),
      link_(link),
      clock_(clock),
      status_(status),
      writes_(writes),
      plan_(make_plan(options, ids)),
      backoff_(kReconnectFirst, options.backoff_most, seed_of(options.name, clock)),
      connect_at_(clock.boot_now()) {}

PollPlan Bus::make_plan(const ModbusBusOptions& options, const std::vector<TagId>& ids) {
  std::vector<PlanTag> plan_tags;
  for (std::size_t i = 0; i < options.devices.size(); ++i) {
    const auto& device = options.devices[i];
    BusDevice& bus_device = devices_.emplace_back(BusDevice{device.name, device.unit, {}});
    for (const auto& tag : device.tags) {
      const auto index = static_cast<std::uint32_t>(tags_.size());
      const ValueFormat format = make_value_format(tag);
      bus_device.tags.push_back(index);
      tags_.push_back({ids[index], format, tag.address, i});
      plan_tags.push_back({static_cast<std::uint16_t>(i), tag.address.table, tag.address.address, format.count,
                           tag.interval.value_or(device.interval)});
    }
  }
  const PollPlanOptions plan{options.timeout, options.retries, options.max_gap, options.backoff_most,
                             seed_of(options.name, clock_)};
  return PollPlan(plan, std::move(plan_tags), devices_.size(), clock_.boot_now());
}

BootTime Bus::step(BusBatch& into) {
  const BootTime now = clock_.boot_now();
  if (!link_.is_connected()) {
    if (now < connect_at_ || !connect(into)) {
      refuse_writes(into);
      return connect_at_;
    }
    if (!into.empty()) return now;  // that it is connected is told before a request that may take long
  }
  if (!std::exchange(is_polls_turn_, false)) {
    if (const auto order = writes_.take()) {
      write(*order, into);
      is_polls_turn_ = true;
      return now;
    }
  }
  if (const auto next = plan_.next(clock_.boot_now())) poll(*next, into);
  return writes_.empty() ? plan_.wake_at(clock_.boot_now()) : now;
}

BootTime Bus::skip() {
  const BootTime now = clock_.boot_now();
  status_.count_skipped(plan_.skip_due(now));
  return plan_.next_due();
}

bool Bus::connect(BusBatch& into) {
  if (const auto connected = link_.connect(); !connected) {
    connect_at_ = clock_.boot_now() + backoff_.next();
    if (connected.error().code != ErrorCode::give_up_item) lose_connection(connected.error().message, into);
    return false;
  }
  backoff_.reset();
  if (told_connected_) return true;
  told_connected_ = true;
  status_.set_bus(true, "");
  plan_.start_over(clock_.boot_now());
  into.events.push_back({"driver-up", "", told_lost_ ? "connected again" : "connected"});
  told_lost_ = false;
  return true;
}

void Bus::lose_connection(const std::string& why, BusBatch& into) {
  status_.set_bus(false, why);
  why_lost_ = why;
  told_connected_ = false;
  if (told_lost_) return;
  told_lost_ = true;
  log_warning(name_, "{}; trying again", why);
  into.events.push_back({"driver-down", "", why});
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    turn_bad(devices_[i].tags, Reason::not_connected, into);
    if (!devices_[i].told_down) status_.set_device(i, false, "the bus is not connected");
  }
}

void Bus::poll(const Poll& poll, BusBatch& into) {
  const ModbusRequest request{devices_[poll.device].unit, poll.table, poll.address, poll.count};
  const ModbusResult result = link_.read(request, std::span(values_).first(poll.count));
  // On the way to the end: nothing was found out, and the plan is not asked again.
  if (result == ModbusResult::interrupted) return;
  status_.count_request(poll.device, result);
  const PollOutcome outcome = plan_.done(poll, result, clock_.boot_now());
  status_.count_missed(outcome.missed);
  if (outcome.device == DeviceChange::up) device_up(poll, into);
  if (outcome.device == DeviceChange::down) device_down(poll, result, into);
  if (outcome.has_values) take_values(poll, outcome.overload_began, into);
  if (outcome.bad != Reason::none) complain(poll, request, result, outcome.bad, into);
  if (outcome.split) {
    log_info(name_, "device {}: {} is {}; read in two parts from now on", devices_[poll.device].name, describe(request),
             is_answer(result) ? "refused" : "not answered");
  }
}

void Bus::take_values(const Poll& poll, bool overload_began, BusBatch& into) {
  const WallTime time = stamp();
  into.readings.reserve(into.readings.size() + poll.tags.size() * (overload_began ? 2 : 1));
  for (const auto index : poll.tags) {
    BusTag& tag = tags_[index];
    if (overload_began) {
      into.readings.push_back({tag.id, Quality::bad, Reason::poll_missed, TimeOrigin::ingest, time, Value()});
    }
    const auto at = static_cast<std::size_t>(tag.place.address - poll.address);
    into.readings.push_back(take_value(tag, std::span(values_).subspan(at, tag.format.count), time));
  }
}

Reading Bus::take_value(BusTag& tag, std::span<const std::uint16_t> words, WallTime time) {
  DecodedValue decoded = decode_value(tag.format, words);
  tag.failure = Reason::none;
  return {tag.id, decoded.quality, decoded.reason, TimeOrigin::ingest, time, std::move(decoded.value)};
}

void Bus::complain(const Poll& poll, const ModbusRequest& request, ModbusResult result, Reason reason, BusBatch& into) {
  const std::size_t before = into.readings.size();
  turn_bad(poll.tags, reason, into);
  if (into.readings.size() == before) return;
  const std::string& device = devices_[poll.device].name;
  const auto left_out = complaints_.admit(device + " " + to_string(result), clock_.boot_now());
  if (!left_out) return;
  log_warning(name_, "device {}: {}; {} tags of it are bad{}", device, what_happened(result, request, timeout_),
              poll.tags.size(), since_last_line(*left_out));
}

void Bus::turn_bad(std::span<const std::uint32_t> tags, Reason reason, BusBatch& into) {
  const WallTime time = stamp();
  for (const auto index : tags) {
    BusTag& tag = tags_[index];
    if (tag.failure == reason) continue;
    tag.failure = reason;
    into.readings.push_back({tag.id, Quality::bad, reason, TimeOrigin::ingest, time, Value()});
  }
}

void Bus::device_up(const Poll& poll, BusBatch& into) {
  BusDevice& device = devices_[poll.device];
  status_.set_device(poll.device, true, "");
  if (device.told_up && !device.told_down) return;
  into.events.push_back({"device-up", device.name, device.told_down ? "answers again" : "answers"});
  device.told_up = true;
  device.told_down = false;
}

void Bus::device_down(const Poll& poll, ModbusResult result, BusBatch& into) {
  BusDevice& device = devices_[poll.device];
  const ModbusRequest request{device.unit, poll.table, poll.address, poll.count};
  const std::string detail = what_happened(result, request, timeout_) + ": " + what_to_check(result);
  device.why_down = detail;
  status_.set_device(poll.device, false, detail);
  turn_bad(device.tags, to_reason(result), into);
  if (device.told_down) return;
  device.told_down = true;
  log_warning(name_, "device {} is down: {}", device.name, detail);
  into.events.push_back({"device-down", device.name, detail});
}

// Whole milliseconds, which is finer than any poll and packs better in the log.
WallTime Bus::stamp() const {
  return WallTime(std::chrono::floor<std::chrono::milliseconds>(clock_.wall_now().time_since_epoch()));
}

}  // namespace tidegate::drivers
