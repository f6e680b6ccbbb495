#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tests/support/numbered_readings.h"

namespace tidegate::testing {

/// What the receiver of an uplink can tell about the batches it got (payload format `json`, version 1).
struct DeliveryReport {
  std::uint64_t batches = 0;
  std::uint64_t entries = 0;   // readings, repeats included
  std::uint64_t distinct = 0;  // of the numbers 0 to count-1
  std::uint64_t repeats = 0;   // entries with an (epoch, seq) that was there before, and the same content
  // A number under a second (epoch, seq): the gateway took it in twice.
  std::uint64_t taken_twice = 0;
  // All of these are defects; `complaints` has the first of them in words.
  std::uint64_t altered = 0;     // value, tag, time, quality or kind is not what was published
  std::uint64_t misordered = 0;  // new entries behind later ones
  std::uint64_t changed_repeats = 0;
  std::uint64_t malformed = 0;
  std::uint64_t chain_breaks = 0;  // stretches that no batch and no gap record answers for
  std::uint64_t gap_records = 0;
  std::uint64_t beside = 0;        // batches of the lane live that came while a stretch that it had skipped was open
  std::uint64_t skipped_open = 0;  // such stretches, or parts of them, now
  std::uint64_t lost = 0;          // readings that gap records name, each once
  std::uint64_t alarms = 0;        // entries of the stream `alarms`
  std::uint32_t epochs = 0;        // of the stream `readings`, from that of the first batch to the newest
  std::vector<std::string> complaints;

  std::uint64_t defects() const { return altered + misordered + changed_repeats + malformed + chain_breaks; }
};

/// Checks the batches of one uplink against the readings that were published: values, tags, times, order, identity of
/// repeats, and that the chain of `from` and `to` has no hole that no gap record covers and, where the lane live has
/// skipped something, the lane backlog does not fill. Knows nothing of the gateway's code. One thread.
class BatchChecker {
 public:
  explicit BatchChecker(NumberedReadings expected);
  ~BatchChecker();

  /// One message of the uplink.
  void take(std::string_view payload);

  DeliveryReport report() const;
  /// The first numbers that never came.
  std::vector<std::uint64_t> missing(std::size_t most = 10) const;

 private:
  struct Parsed;
  struct Stretch {
    std::uint32_t epoch = 0;
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    bool skipped = false;  // it is said to come in the lane backlog
  };
  // What comes in order: all, or each lane once something was skipped.
  struct Order {
    std::uint64_t newest = 0;       // key of the newest entry
    std::uint64_t next_number = 0;  // behind the greatest new number
  };
  struct Chain {
    bool begun = false;
    std::uint32_t epoch = 0;
    std::uint64_t next = 0;
    std::vector<Stretch> holes;
    std::uint32_t first_epoch = 0;
  };

  void take_readings(const Parsed& batch);
  void take_reading(const Parsed& batch, std::size_t index);
  void take_new_reading(Order& order, std::uint32_t epoch, std::uint64_t sequence, std::uint64_t number);
  static void fill_holes(Chain& chain, const Stretch& stretch);
  void take_gaps(const Parsed& batch);
  void follow(Chain& chain, const Parsed& batch);
  void begin_epoch(Chain& chain, const Parsed& batch);
  bool is_as_published(const Parsed& batch, std::size_t index) const;
  std::uint64_t lost_readings() const;
  std::uint64_t uncovered_holes(const std::string& stream, const Chain& chain) const;
  void complain(std::uint64_t& counter, const std::string& text);

  NumberedReadings expected_;
  std::vector<bool> seen_;
  std::unordered_map<std::uint64_t, std::uint64_t> numbers_;  // by (epoch, sequence)
  std::map<std::string, Chain> chains_;                       // by stream
  std::map<std::string, std::vector<Stretch>> gaps_;
  Order order_;
  std::map<std::string, Order> lane_orders_;  // once something was skipped
  DeliveryReport report_;
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace tidegate::testing
