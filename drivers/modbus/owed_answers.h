#pragma once

#include <array>
#include <cstdint>

#include "core/time.h"
#include "drivers/modbus/modbus_link.h"

namespace tidegate::drivers {

/// The answers that a unit on a serial line may still give to requests that ran out of time.
///
/// An RTU reply says neither which request nor which address it belongs to; only its function and its length tell
/// answers apart. So after a time-out the next thing sent to the unit must ask for an answer of another shape than all
/// that are still owed: when it comes, those before it have come or never will, because a device answers in order.
/// (Waiting would not do: nobody knows how long.) Pure; one unit; one thread.
class OwedAnswers {
 public:
  /// The request got no answer in time.
  void add(const ModbusRequest& request, BootTime now, Duration timeout);
  void add(const ModbusWrite& write, BootTime now, Duration timeout);
  /// An answer came that can only be the latest request's.
  void clear() { count_ = 0; }
  bool empty(BootTime now);
  /// Whether a reply to `request` could be one that is owed.
  bool is_ambiguous(const ModbusRequest& request, BootTime now);
  /// A read at the same place whose reply looks neither like one that is owed nor like that of `request`.
  ModbusRequest distinct_probe(const ModbusRequest& request) const;

 private:
  struct Shape {
    ModbusTable table = ModbusTable::holding;
    std::uint16_t bytes = 0;  // of a write none: no answer to a read looks like that
    bool operator==(const Shape&) const = default;
  };
  struct Owed {
    Shape shape;
    BootTime until{};
  };
  static Shape shape_of(const ModbusRequest& request);
  void add(const Shape& shape, BootTime until);
  bool owes(const Shape& shape) const;
  void forget_old(BootTime now);

  static constexpr std::size_t kMax = 8;
  std::array<Owed, kMax> owed_;
  std::size_t count_ = 0;
};

}  // namespace tidegate::drivers
