#include "drivers/modbus/owed_answers.h"

#include <algorithm>

#include "drivers/modbus/register_decoder.h"

namespace tidegate::drivers {
namespace {

// A device that needs longer than this many time-outs is not thought to answer at all.
constexpr int kTimeoutsRemembered = 20;

}  // namespace

OwedAnswers::Shape OwedAnswers::shape_of(const ModbusRequest& request) {
  const bool bits = is_bit_table(request.table);
  return {request.table, static_cast<std::uint16_t>(bits ? (request.count + 7) / 8 : request.count * 2)};
}

bool OwedAnswers::owes(const Shape& shape) const {
  return std::any_of(owed_.begin(), owed_.begin() + static_cast<std::ptrdiff_t>(count_),
                     [&](const Owed& owed) { return owed.shape == shape; });
}

void OwedAnswers::add(const ModbusRequest& request, BootTime now, Duration timeout) {
  add(shape_of(request), now + timeout * kTimeoutsRemembered);
}

void OwedAnswers::add(const ModbusWrite& write, BootTime now, Duration timeout) {
  add(Shape{write.table, 0}, now + timeout * kTimeoutsRemembered);
}

void OwedAnswers::add(const Shape& shape, BootTime until) {
  if (count_ == kMax) {
    std::move(owed_.begin() + 1, owed_.end(), owed_.begin());
    --count_;
  }
  owed_[count_++] = {shape, until};
}

void OwedAnswers::forget_old(BootTime now) {
  const auto end = std::remove_if(owed_.begin(), owed_.begin() + static_cast<std::ptrdiff_t>(count_),
                                  [&](const Owed& owed) { return owed.until <= now; });
  count_ = static_cast<std::size_t>(end - owed_.begin());
}

bool OwedAnswers::empty(BootTime now) {
  forget_old(now);
  return count_ == 0;
}

bool OwedAnswers::is_ambiguous(const ModbusRequest& request, BootTime now) {
  forget_old(now);
  return owes(shape_of(request));
}

ModbusRequest OwedAnswers::distinct_probe(const ModbusRequest& request) const {
  ModbusRequest probe = request;
  const int step = is_bit_table(request.table) ? 8 : 1;
  // Fewer than those owed and the request itself are taken, so one of the first ten is free.
  for (int count = 1; count <= static_cast<int>(kMax + 2) * step; count += step) {
    probe.count = static_cast<std::uint16_t>(count);
    if (!owes(shape_of(probe)) && shape_of(probe) != shape_of(request)) break;
  }
  const int room = 65536 - probe.count;
  if (probe.address > room) probe.address = static_cast<std::uint16_t>(room);
  return probe;
}

}  // namespace tidegate::drivers
