#pragma once

#include <cstdint>
#include <optional>

namespace tidegate::drivers {

/// value * scale + offset as people mean it who write "scale = 0.1": 12 becomes 1.2, which 12 * 0.1 in binary is not.
/// Scale and offset are taken as the decimal numbers that they are written as, the sum is made in whole numbers, and
/// one division at the end rounds once: the result is the double nearest to the decimal one. Where that does not go
/// (more digits than a double has, values that are no whole numbers) the result is the usual product and sum.
class DecimalScale {
 public:
  DecimalScale() = default;
  DecimalScale(double scale, double offset);

  double apply(double value) const;
  /// What apply() would make `result` of, as near as doubles get.
  double invert(double result) const { return (result - offset_) / scale_; }

 private:
  /// (value * factor + summand) / divisor
  struct Whole {
    std::int64_t factor = 1;
    std::int64_t summand = 0;
    double divisor = 1;
  };
  static std::optional<Whole> whole(double scale, double offset);

  double scale_ = 1;
  double offset_ = 0;
  std::optional<Whole> whole_;
};

}  // namespace tidegate::drivers
