#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/numbered_readings.h"

namespace tidegate::testing {

/// What the topic of readings holds, against the numbered readings that went in at the other end.
struct KafkaRecords {
  std::uint64_t messages = 0;
  std::uint64_t distinct = 0;     // of the numbers 0 to count-1
  std::uint64_t repeats = 0;      // messages with an (epoch, seq) that was there before, and the same content
  std::uint64_t taken_twice = 0;  // a number under a second (epoch, seq): the gateway took it in twice
  // All of these are defects; `complaints` has the first of them in words.
  std::uint64_t altered = 0;     // no reading that went in, or its key or headers do not fit
  std::uint64_t misordered = 0;  // a new one behind a later one of its key
  std::vector<std::string> complaints;

  std::uint64_t defects() const { return altered + misordered; }
};

/// Throws std::runtime_error when the topic is not read to its end within `patience`.
KafkaRecords read_kafka_records(const std::vector<std::string>& brokers, const std::string& topic,
                                const NumberedReadings& expected,
                                std::chrono::milliseconds patience = std::chrono::seconds(60));

}  // namespace tidegate::testing
