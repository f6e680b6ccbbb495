#pragma once

#include <cstdint>
#include <string>

namespace tidegate::testing {

/// Readings that prove their own way: the value of the n-th is n, and its topic, tag and time follow from n.
struct NumberedReadings {
  std::uint64_t count = 0;
  std::uint32_t devices = 100;
  std::int64_t time_of_first_ms = 1'760'000'000'000;

  std::string topic(std::uint64_t number) const { return "plant/" + device(number) + "/temp"; }
  std::string tag(std::uint64_t number) const { return device(number) + "/temp"; }
  std::int64_t time_ms(std::uint64_t number) const { return time_of_first_ms + static_cast<std::int64_t>(number); }
  std::string payload(std::uint64_t number) const {
    return "{\"ts\":" + std::to_string(time_ms(number)) + ",\"value\":" + std::to_string(number) + "}";
  }

 private:
  std::string device(std::uint64_t number) const { return "dev-" + std::to_string(number % devices); }
};

}  // namespace tidegate::testing
