#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/sparkplug_host.h"

namespace tidegate::testing {

/// Puts the batches of a node together again, each as the JSON that it was before it became messages, so that a
/// BatchChecker can look at it. What a lost link broke off is left out: it has to come again.
class SparkplugBatches {
 public:
  using Take = std::function<void(const std::string& payload)>;
  explicit SparkplugBatches(Take take) : take_(std::move(take)) {}

  /// An NBIRTH.
  void begin();
  /// A metric of NDATA or DDATA, by "DEVICE/METRIC", of the node itself "/METRIC".
  void take(const std::string& metric, const SparkplugValueSeen& value);

  const std::vector<std::string>& defects() const { return defects_; }
  std::uint64_t historical() const { return historical_; }  // entries
  std::uint64_t broken_off() const { return broken_off_; }  // batches

 private:
  struct Batch {
    std::string head;
    std::string stream;
    std::uint64_t count = 0;
    bool is_historical = false;
    std::map<std::uint64_t, std::string> entries;           // by seq
    std::map<std::string, std::uint64_t> newest_of_metric;  // seq
  };

  void open(const SparkplugValueSeen& value);
  void finish_when_whole();
  void complain(const std::string& text);

  const Take take_;
  std::optional<Batch> batch_;
  std::vector<std::string> defects_;
  std::uint64_t historical_ = 0;
  std::uint64_t broken_off_ = 0;
};

}  // namespace tidegate::testing
