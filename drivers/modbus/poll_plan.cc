#include "drivers/modbus/poll_plan.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace tidegate::drivers {
namespace {

constexpr std::uint32_t kMuteMax = 2;      // then a block that its device is silent about is split
constexpr int kBadRepliesMax = 3;          // in a row, then the device is down
constexpr std::uint8_t kOnTimeEnough = 8;  // polls in a row that end an overload
constexpr int kPatience = 4;               // time-outs that a try waits, at least, for a gap between the others' polls
constexpr Duration kBackoffFirst = std::chrono::seconds(1);

}  // namespace

PollPlan::PollPlan(PollPlanOptions options, std::vector<PlanTag> tags, std::size_t devices, BootTime now)
    : options_(options), tags_(std::move(tags)) {
  const Duration first = std::max(kBackoffFirst, options_.timeout);
  devices_.reserve(devices);
  for (std::size_t i = 0; i < devices; ++i) devices_.emplace_back(first, options_.backoff_most, options_.seed + i);
  for (auto& read : join_reads(tags_, options_.max_gap)) {
    const auto block = static_cast<std::uint32_t>(blocks_.size());
    devices_[read.device].blocks.push_back(block);
    blocks_.push_back({});
    blocks_.back().read = std::move(read);
  }
  start_over(now);
}

void PollPlan::start_over(BootTime now) {
  for (auto& device : devices_) {
    device.state = DeviceState::unknown;
    device.queue.clear();
    device.backoff.reset();
    device.try_at = now;
    device.try_at_latest = now + options_.timeout;
    device.tries = 0;
    device.bad_replies = 0;
  }
  for (auto& block : blocks_) {
    block.planned = std::max(block.planned, now);
    block.attempts = 0;
  }
}

// ---- which request is next

// Blocks planned for the same time go in order of their number.
bool PollPlan::is_later(std::uint32_t a, std::uint32_t b) const {
  return std::pair(blocks_[a].planned, a) > std::pair(blocks_[b].planned, b);
}

void PollPlan::enqueue(std::uint32_t block) {
  auto& queue = device_of(block).queue;
  queue.push_back(block);
  std::push_heap(queue.begin(), queue.end(), [this](auto a, auto b) { return is_later(a, b); });
}

std::uint32_t PollPlan::dequeue(Device& device) {
  std::pop_heap(device.queue.begin(), device.queue.end(), [this](auto a, auto b) { return is_later(a, b); });
  const std::uint32_t block = device.queue.back();
  device.queue.pop_back();
  return block;
}

BootTime PollPlan::next_due() const {
  BootTime due = BootTime::max();
  for (const auto& device : devices_) {
    if (!device.queue.empty()) due = std::min(due, blocks_[device.queue.front()].planned);
  }
  return due;
}

// Start-time fair queueing: a device's share counts from the moment it has something to do, so that an idle one
// saves nothing up and a busy one owes nothing.
PollPlan::Device* PollPlan::pick_due(BootTime now) {
  Device* best = nullptr;
  std::pair<Duration, BootTime> best_key;
  for (auto& device : devices_) {
    if (device.queue.empty()) continue;
    const BootTime planned = blocks_[device.queue.front()].planned;
    if (planned > now) continue;
    const std::pair key(std::max(device.used, virtual_now_), planned);
    if (best && key >= best_key) continue;
    best = &device;
    best_key = key;
  }
  return best;
}

bool PollPlan::may_probe(const Device& device, BootTime due, BootTime now) const {
  if (!can_be_tried(device) || device.try_at > now) return false;
  const bool fits_a_gap = due == BootTime::max() || now + options_.timeout <= due;
  if (fits_a_gap) return true;
  // The first try of a device is less patient: it waits until nothing is due, as the device is likely alive.
  const bool waited = now >= device.try_at_latest || (device.state == DeviceState::unknown && due > now);
  return waited && now >= probes_rest_until_;
}

PollPlan::Device* PollPlan::pick_probe(BootTime now) {
  const BootTime due = next_due();
  Device* best = nullptr;
  for (auto& device : devices_) {
    if (!may_probe(device, due, now)) continue;
    if (!best || device.try_at < best->try_at) best = &device;
  }
  return best;
}

Poll PollPlan::make_poll(std::uint32_t block, BootTime now) const {
  const ReadBlock& read = blocks_[block].read;
  return {block, read.device, read.table, read.address, read.count, read.tags, now};
}

// Every second try reads a single tag, for the case that the device is silent about the block and not dead.
Poll PollPlan::make_probe(Device& device, BootTime now) {
  const std::uint32_t turn = device.first_probe + device.tries / 2;
  const std::uint32_t block = device.blocks[turn % device.blocks.size()];
  Poll poll = make_poll(block, now);
  if (device.tries % 2 == 0 || poll.tags.size() == 1) return poll;
  narrow_tag_ = poll.tags[turn % poll.tags.size()];
  poll.address = tags_[narrow_tag_].address;
  poll.count = tags_[narrow_tag_].count;
  poll.tags = std::span(&narrow_tag_, 1);
  return poll;
}

bool PollPlan::is_narrow(const Poll& poll) const { return poll.tags.data() == &narrow_tag_; }

std::optional<Poll> PollPlan::next(BootTime now) {
  Device* device = pick_probe(now);
  const bool probe = device != nullptr;
  if (!probe) device = pick_due(now);
  if (!device) return std::nullopt;
  device->used = std::max(device->used, virtual_now_);
  virtual_now_ = device->used;
  return probe ? make_probe(*device, now) : make_poll(dequeue(*device), now);
}

void PollPlan::charge(std::size_t device, Duration used) {
  devices_[device].used = std::max(devices_[device].used, virtual_now_) + used;
}

BootTime PollPlan::wake_at(BootTime now) const {
  const BootTime due = next_due();
  BootTime wake = due;
  for (const auto& device : devices_) {
    if (!can_be_tried(device)) continue;
    if (may_probe(device, due, now)) return now;
    const BootTime patient_until = device.state == DeviceState::unknown ? now : device.try_at_latest;
    wake = std::min(wake, device.try_at > now ? device.try_at : std::max(patient_until, probes_rest_until_));
  }
  return wake;
}

// ---- what follows from its result

PollOutcome PollPlan::done(const Poll& poll, ModbusResult result, BootTime now) {
  Device& device = devices_[poll.device];
  device.used += now - poll.started;
  if (!is_answer(result)) return unanswered(poll, result, now);
  ++device.answers;
  device.bad_replies = 0;
  const bool came_up = device.state != DeviceState::up;
  if (came_up) device_up(device, poll);
  PollOutcome outcome = answered(poll, result);
  if (came_up) outcome.device = DeviceChange::up;
  return outcome;
}

void PollPlan::device_up(Device& device, const Poll& poll) {
  device.state = DeviceState::up;
  device.backoff.reset();
  device.tries = 0;
  device.queue.clear();
  for (const auto block : device.blocks) {
    blocks_[block].planned = std::max(blocks_[block].planned, poll.started);
    blocks_[block].attempts = 0;
    if (block != poll.block || is_narrow(poll)) enqueue(block);
  }
  if (!is_narrow(poll)) blocks_[poll.block].planned = poll.started;
}

PollOutcome PollPlan::answered(const Poll& poll, ModbusResult result) {
  PollOutcome outcome;
  outcome.has_values = result == ModbusResult::ok;
  if (!outcome.has_values) outcome.bad = to_reason(result);
  if (is_narrow(poll)) return outcome;
  Block& block = blocks_[poll.block];
  block.failed_at.reset();
  block.mute = 0;
  const bool misplaced = result == ModbusResult::illegal_address || result == ModbusResult::illegal_value;
  if (misplaced && split(poll.block)) {
    outcome.bad = Reason::none;
    outcome.split = true;
    return outcome;
  }
  if (result == ModbusResult::device_busy && block.attempts < options_.retries) {
    ++block.attempts;
    outcome.bad = Reason::none;
    enqueue(poll.block);
    return outcome;
  }
  const bool is_refused = misplaced || result == ModbusResult::illegal_function;
  block.refusals = is_refused ? block.refusals + 1 : 0;
  advance(poll, slowed(block, block.refusals), outcome);
  note_overload(block, outcome);
  return outcome;
}

PollOutcome PollPlan::unanswered(const Poll& poll, ModbusResult result, BootTime now) {
  PollOutcome outcome;
  Device& device = devices_[poll.device];
  Block& block = blocks_[poll.block];
  if (device.state != DeviceState::up) {
    if (device.state == DeviceState::unknown) outcome.device = DeviceChange::down;
    device.state = DeviceState::down;
    ++device.tries;
    probes_rest_until_ = now + (now - poll.started);
    plan_next_try(device, now);
    return outcome;
  }
  if (block.attempts < options_.retries && !block.failed_at) {
    ++block.attempts;
    enqueue(poll.block);
    return outcome;
  }
  if (result == ModbusResult::bad_reply && ++device.bad_replies < kBadRepliesMax) {
    outcome.bad = to_reason(result);
    advance(poll, Duration::zero(), outcome);
    return outcome;
  }
  if (block.failed_at && device.answers > *block.failed_at) return muted(poll, result);
  block.failed_at = device.answers;
  const auto place = std::find(device.blocks.begin(), device.blocks.end(), poll.block);
  device.first_probe = static_cast<std::uint32_t>(place - device.blocks.begin()) + 1;
  device.state = DeviceState::down;
  device.queue.clear();
  plan_next_try(device, now);
  outcome.device = DeviceChange::down;
  return outcome;
}

// The device has answered something else since this block got no answer the last time: it is the block.
PollOutcome PollPlan::muted(const Poll& poll, ModbusResult result) {
  PollOutcome outcome;
  Block& block = blocks_[poll.block];
  block.failed_at = devices_[poll.device].answers;
  if (++block.mute >= kMuteMax && split(poll.block)) {
    outcome.split = true;
    return outcome;
  }
  outcome.bad = to_reason(result);
  advance(poll, slowed(block, block.mute), outcome);
  return outcome;
}

void PollPlan::plan_next_try(Device& device, BootTime now) {
  const Duration pause = device.backoff.next();
  device.try_at = now + pause;
  device.try_at_latest = device.try_at + std::max(pause, options_.timeout * kPatience);
}

bool PollPlan::split(std::uint32_t index) {
  auto halves = split_read(blocks_[index].read, tags_);
  if (!halves) return false;
  Block& first = blocks_[index];
  first.read = std::move(halves->first);
  first.attempts = 0;
  Block second = first;
  second.read = std::move(halves->second);
  const auto second_index = static_cast<std::uint32_t>(blocks_.size());
  blocks_.push_back(std::move(second));
  device_of(index).blocks.push_back(second_index);
  enqueue(index);
  enqueue(second_index);
  return true;
}

// To the next point of the grid that is not yet past, and lies at least `pause` ahead.
void PollPlan::advance(const Poll& poll, Duration pause, PollOutcome& outcome) {
  Block& block = blocks_[poll.block];
  const Duration interval = block.read.interval;
  const auto missed = std::max<std::int64_t>(0, (poll.started - block.planned) / interval);
  outcome.missed = static_cast<std::uint64_t>(missed);
  block.planned += interval * (missed + 1);
  const Duration short_of = poll.started + pause - block.planned;
  if (short_of > Duration::zero() && pause > interval)
    block.planned += interval * ((short_of + interval - Duration(1)) / interval);
  block.attempts = 0;
  enqueue(poll.block);
}

std::uint64_t PollPlan::skip_due(BootTime now) {
  std::uint64_t skipped = 0;
  for (Device& device : devices_) {
    if (device.state != DeviceState::up) continue;
    while (!device.queue.empty() && blocks_[device.queue.front()].planned <= now) {
      const std::uint32_t index = dequeue(device);
      Block& block = blocks_[index];
      const auto times = (now - block.planned) / block.read.interval + 1;
      block.planned += block.read.interval * times;
      block.attempts = 0;
      block.skipped = true;
      skipped += static_cast<std::uint64_t>(times);
      enqueue(index);
    }
  }
  return skipped;
}

void PollPlan::note_overload(Block& block, PollOutcome& outcome) {
  if (std::exchange(block.skipped, false) || outcome.missed > 0) {
    outcome.overload_began = !block.overloaded;
    block.overloaded = true;
    block.on_time = 0;
  } else if (block.overloaded && ++block.on_time >= kOnTimeEnough) {
    block.overloaded = false;
  }
}

Duration PollPlan::slowed(const Block& block, std::uint32_t times) const {
  const Duration most = std::max(options_.backoff_most, block.read.interval);
  Duration pause = block.read.interval;
  for (std::uint32_t i = 0; i < times && pause < most; ++i) pause *= 2;
  return std::min(pause, most);
}

}  // namespace tidegate::drivers
