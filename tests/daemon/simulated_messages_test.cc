#include "daemon/commands/simulated_messages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "drivers/mqtt/message_decoder.h"

namespace tidegate::daemon {
namespace {

constexpr WallTime kNow{std::chrono::seconds(1'760'000'000)};

/// With what takes its messages, as the documentation says that they are taken.
class SimulatedMessagesTest : public ::testing::TestWithParam<PayloadShape> {
 protected:
  SimulatedMessagesTest() {
    drivers::MqttDriverOptions options;
    options.name = "local";
    auto& subscribe = options.subscribe.emplace_back();
    const bool is_flat = GetParam() == PayloadShape::flat;
    subscribe.topic = is_flat ? "plant/{device}" : "plant/{device}/{tag}";
    if (GetParam() == PayloadShape::number) subscribe.payload = drivers::PayloadFormat::number;
    if (GetParam() == PayloadShape::csv) subscribe.payload = drivers::PayloadFormat::csv;
    if (GetParam() == PayloadShape::csv) subscribe.value = "/1";
    if (GetParam() == PayloadShape::json || GetParam() == PayloadShape::array) subscribe.value = "/value";
    if (GetParam() == PayloadShape::array) subscribe.each = "/readings";
    if (GetParam() != PayloadShape::number) subscribe.time = GetParam() == PayloadShape::csv ? "/0" : "/ts";
    subscribe.values_all = is_flat;
    simulated_.topic = subscribe.topic;
    simulated_.payload = GetParam();
    decoder_ = std::move(drivers::MessageDecoder::make(options, tags_).value());
    decoder_->set_time(ClockQuality::synced, BootTime{});
  }
  /// Something is counted, or is of quality bad.
  bool shows(const SimulatedMessages::Message& message) {
    const std::uint64_t before = counted();
    std::vector<Reading> readings;
    decoder_->decode({message.topic, message.payload, kNow, BootTime{}, false, false}, readings);
    const bool is_bad = std::any_of(readings.begin(), readings.end(),
                                    [](const Reading& reading) { return reading.quality != Quality::good; });
    return is_bad || counted() > before;
  }
  std::uint64_t counted() const {
    std::uint64_t all = 0;
    for (const auto& counts : {decoder_->refused(), decoder_->remarked()}) {
      for (const auto& one : counts) all += one.second;
    }
    return all;
  }

  TagRegistry tags_;
  SimulateMqttOptions simulated_;
  std::unique_ptr<drivers::MessageDecoder> decoder_;
};
INSTANTIATE_TEST_SUITE_P(Shapes, SimulatedMessagesTest,
                         ::testing::Values(PayloadShape::json, PayloadShape::number, PayloadShape::csv,
                                           PayloadShape::flat, PayloadShape::array));

TEST_P(SimulatedMessagesTest, WhatIsFaultyShowsAndNothingElse) {
  simulated_.faults = 0.4;
  const SimulatedMessages messages(simulated_);
  int faulty = 0;
  for (std::uint64_t n = 0; n < 100; ++n) {
    const auto message = messages.message(n, kNow);
    EXPECT_EQ(shows(message), message.is_faulty) << message.payload;
    if (message.is_faulty) ++faulty;
  }
  EXPECT_EQ(faulty, 40);
}

}  // namespace
}  // namespace tidegate::daemon
