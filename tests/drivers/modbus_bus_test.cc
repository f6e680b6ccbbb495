#include "drivers/modbus/bus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "core/tag.h"
#include "tests/support/manual_clock.h"

namespace tidegate::drivers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

// A link that answers as it is told to; asking takes the clock forward.
class ScriptedLink final : public ModbusLink {
 public:
  struct Answer {
    ModbusResult result = ModbusResult::ok;
    Duration cost = milliseconds(5);
  };

  explicit ScriptedLink(testing::ManualClock& clock) : clock_(clock) {}

  Result<void> connect() override {
    ++connects;
    clock_.advance(milliseconds(1));
    if (interrupted) return fail(ErrorCode::give_up_item, "connect to plc:502: Operation canceled");
    if (!reachable) return fail(ErrorCode::link_down, "connect to plc:502: Connection refused: check the address");
    connected_ = true;
    return {};
  }
  bool is_connected() const override { return connected_; }
  ModbusResult read(const ModbusRequest& request, std::span<std::uint16_t> into) override {
    requests.push_back(describe(request));
    const Answer said = answer(request);
    clock_.advance(said.cost);
    if (said.result == ModbusResult::not_connected) connected_ = false;
    for (std::size_t i = 0; said.result == ModbusResult::ok && i < into.size(); ++i) {
      const auto address = static_cast<std::uint16_t>(request.address + i);
      into[i] = written.contains(address) ? written[address] : value(address);
    }
    return said.result;
  }
  ModbusWriteReply write(const ModbusWrite& write) override {
    const ModbusRequest place{write.unit, write.table, write.address, static_cast<std::uint16_t>(write.words.size())};
    requests.push_back("write " + describe(place));
    clock_.advance(milliseconds(5));
    if (write_reply.result == ModbusResult::timeout) clock_.advance(milliseconds(500));
    if (write_reply.result == ModbusResult::not_connected) connected_ = false;
    for (std::size_t i = 0; takes_writes && i < write.words.size(); ++i) {
      written[static_cast<std::uint16_t>(write.address + i)] = write.words[i];
    }
    return write_reply;
  }
  void close() override { connected_ = false; }
  void interrupt() override {}

  std::function<Answer(const ModbusRequest&)> answer = [](const ModbusRequest&) { return Answer(); };
  std::function<std::uint16_t(std::uint16_t)> value = [](std::uint16_t address) { return address; };
  std::vector<std::string> requests;
  std::map<std::uint16_t, std::uint16_t> written;
  ModbusWriteReply write_reply{ModbusResult::ok, true, 0};
  bool takes_writes = true;
  int connects = 0;
  bool reachable = true;
  bool interrupted = false;

 private:
  testing::ManualClock& clock_;
  bool connected_ = false;
};

constexpr ScriptedLink::Answer kNoAnswer{ModbusResult::timeout, milliseconds(500)};

class ModbusBus : public ::testing::Test {
 protected:
  ModbusBus() : link_(clock_) { options_.name = "line-1"; }

  void device(const std::string& name, std::uint8_t unit, const std::vector<ModbusTagOptions>& tags) {
    options_.devices.push_back({name, unit, seconds(1), tags});
  }
  static ModbusTagOptions tag(const std::string& name, std::uint16_t address, ModbusType type = ModbusType::uint16) {
    ModbusTagOptions options;
    options.name = name;
    options.address.address = address;
    options.type = type;
    return options;
  }

  // Lets the bus work for so long, and shows what it brought: "boiler/temp=5 good" and "device-down boiler".
  std::vector<std::string> run(Duration duration) {
    if (!bus_) start();
    const BootTime end = clock_.boot_now() + duration;
    BusBatch batch;
    while (clock_.boot_now() < end) {
      const BootTime next = bus_->step(batch);
      if (next > clock_.boot_now()) clock_.advance(std::min(next, end) - clock_.boot_now());
    }
    std::vector<std::string> shown;
    for (const auto& reading : batch.readings) shown.push_back(show(reading));
    for (const auto& event : batch.events) {
      shown.push_back(event.event + (event.device.empty() ? "" : " " + event.device));
      details_.push_back(event.detail);
    }
    times_.clear();
    for (const auto& reading : batch.readings) times_.push_back(reading.time);
    return shown;
  }

  void start() {
    std::vector<TagId> ids;
    for (const auto& device : options_.devices) {
      for (const auto& tag : device.tags) ids.push_back(tags_.intern(device.name + "/" + tag.name));
    }
    status_.emplace(options_.devices);
    bus_.emplace(options_, ids, link_, clock_, *status_, writes_);
  }

  std::string show(const Reading& reading) {
    std::string text = tags_.tag(reading.tag).path + "=";
    append_json(text, reading.value);
    text += std::string(" ") + to_string(reading.quality);
    if (reading.reason != Reason::none) text += std::string(" ") + to_string(reading.reason);
    return text;
  }

  testing::ManualClock clock_;
  ScriptedLink link_;
  TagRegistry tags_;
  ModbusBusOptions options_;
  std::optional<BusStatus> status_;
  WriteQueue writes_;
  std::optional<Bus> bus_;
  std::vector<std::string> details_;
  std::vector<WallTime> times_;
};

using Shown = std::vector<std::string>;

TEST_F(ModbusBus, ReadsJoinedTagsAndMakesReadingsOfThem) {
  device("boiler", 3, {tag("temp", 100), tag("level", 102, ModbusType::uint32)});
  EXPECT_EQ(run(milliseconds(900)),
            (Shown{"boiler/temp=100 good", "boiler/level=6684775 good", "driver-up", "device-up boiler"}));
  EXPECT_EQ(details_, (Shown{"connected", "answers"}));
  EXPECT_EQ(link_.requests, (Shown{"holding 100 to 103 of unit 3"}));
  EXPECT_TRUE(status_->snapshot().up);
  EXPECT_TRUE(status_->snapshot().devices.at(0).up);
  EXPECT_EQ(status_->snapshot().devices.at(0).requests.at("ok"), 1U);
}

TEST_F(ModbusBus, TimesAreWholeMillisecondsOfTheWallClockWhenTheAnswerCame) {
  device("boiler", 3, {tag("temp", 100)});
  clock_.step_wall(std::chrono::nanoseconds(1'234'567));
  const WallTime before = clock_.wall_now();
  run(milliseconds(3));
  ASSERT_EQ(times_.size(), 1U);
  EXPECT_EQ(times_[0].time_since_epoch() % milliseconds(1), Duration::zero());
  EXPECT_LE(before - milliseconds(1), times_[0]);
  EXPECT_GE(times_[0], before);
}

TEST_F(ModbusBus, ADeadDeviceIsOneBadReadingATagAndOneEvent) {
  device("boiler", 3, {tag("temp", 100), tag("run", 300)});
  device("pump", 4, {tag("flow", 0)});
  run(milliseconds(900));
  details_.clear();
  link_.answer = [](const ModbusRequest& request) { return request.unit == 3 ? kNoAnswer : ScriptedLink::Answer(); };
  const auto shown = run(seconds(60));
  EXPECT_EQ(std::count(shown.begin(), shown.end(), "boiler/temp=null bad timeout"), 1);
  EXPECT_EQ(std::count(shown.begin(), shown.end(), "boiler/run=null bad timeout"), 1);
  EXPECT_EQ(std::count(shown.begin(), shown.end(), "device-down boiler"), 1);
  EXPECT_GE(std::count(shown.begin(), shown.end(), "pump/flow=0 good"), 58);
  ASSERT_EQ(details_.size(), 1U);
  EXPECT_THAT(details_[0], HasSubstr("no answer within 500ms to a request for holding 100 of unit 3"));
  EXPECT_THAT(details_[0], HasSubstr("check its power"));
  const auto status = status_->snapshot();
  EXPECT_FALSE(status.devices.at(0).up);
  EXPECT_EQ(status.devices.at(0).detail, details_[0]);
  EXPECT_GE(status.devices.at(0).requests.at("timeout"), 3U);
  EXPECT_TRUE(status.devices.at(1).up);
}

TEST_F(ModbusBus, ADeviceThatComesBackIsAnEventAndGoodReadings) {
  device("boiler", 3, {tag("temp", 100), tag("run", 300)});
  link_.answer = [](const ModbusRequest&) { return kNoAnswer; };
  EXPECT_EQ(run(seconds(20)),
            (Shown{"boiler/temp=null bad timeout", "boiler/run=null bad timeout", "driver-up", "device-down boiler"}));
  link_.answer = [](const ModbusRequest&) { return ScriptedLink::Answer(); };
  const auto shown = run(seconds(60));
  EXPECT_EQ(std::count(shown.begin(), shown.end(), "device-up boiler"), 1);
  EXPECT_GT(std::count(shown.begin(), shown.end(), "boiler/run=300 good"), 2);
}

TEST_F(ModbusBus, AnInterruptSaysNothingOfDeviceAndConnection) {
  device("boiler", 1, {tag("temp", 0)});
  EXPECT_EQ(run(milliseconds(900)), (Shown{"boiler/temp=0 good", "driver-up", "device-up boiler"}));
  link_.answer = [](const ModbusRequest&) { return ScriptedLink::Answer{ModbusResult::interrupted, seconds(1)}; };
  EXPECT_EQ(run(seconds(1)), Shown{});
  EXPECT_EQ(link_.requests.size(), 2U);
  bus_.reset();
  link_.close();
  link_.interrupted = true;
  EXPECT_EQ(run(milliseconds(1)), Shown{});
}

TEST_F(ModbusBus, ARefusedTagIsBadWithItsReasonOnceAndTheOthersGoOn) {
  device("boiler", 3, {tag("a", 0), tag("b", 1), tag("c", 2)});
  link_.answer = [](const ModbusRequest& request) -> ScriptedLink::Answer {
    const bool refused = request.address <= 1 && request.address + request.count > 1;
    return {refused ? ModbusResult::illegal_address : ModbusResult::ok, milliseconds(5)};
  };
  const auto shown = run(seconds(10));
  EXPECT_EQ(std::count(shown.begin(), shown.end(), "boiler/b=null bad illegal-address"), 1);
  EXPECT_EQ(std::count(shown.begin(), shown.end(), "boiler/a=0 good"), 10);
  EXPECT_EQ(std::count(shown.begin(), shown.end(), "boiler/c=2 good"), 10);
  EXPECT_EQ(std::count_if(shown.begin(), shown.end(), [](const auto& line) { return line.starts_with("device-down"); }),
            0);
}

TEST_F(ModbusBus, EveryFailureHasItsReason) {
  const std::pair<ModbusResult, const char*> cases[] = {
      {ModbusResult::illegal_function, "illegal-function"}, {ModbusResult::illegal_value, "illegal-value"},
      {ModbusResult::device_failure, "device-failure"},     {ModbusResult::device_busy, "device-busy"},
      {ModbusResult::gateway_failure, "gateway-failure"},   {ModbusResult::bad_reply, "bad-reply"},
      {ModbusResult::not_connected, "not-connected"},       {ModbusResult::timeout, "timeout"}};
  device("boiler", 3, {tag("temp", 100)});
  for (const auto& [result, reason] : cases) {
    bus_.reset();
    link_.answer = [result = result](const ModbusRequest&) { return ScriptedLink::Answer{result, milliseconds(5)}; };
    const auto shown = run(seconds(3));
    EXPECT_EQ(shown.at(0), std::string("boiler/temp=null bad ") + reason);
    EXPECT_LE(shown.size(), 3U) << reason;
  }
}

TEST_F(ModbusBus, AnUnreachableAddressIsOneEventAndEveryTagNotConnected) {
  device("boiler", 3, {tag("temp", 100)});
  device("pump", 4, {tag("flow", 0)});
  link_.reachable = false;
  EXPECT_EQ(run(seconds(120)),
            (Shown{"boiler/temp=null bad not-connected", "pump/flow=null bad not-connected", "driver-down"}));
  EXPECT_THAT(details_.at(0), HasSubstr("Connection refused"));
  EXPECT_GT(link_.connects, 4);
  EXPECT_LT(link_.connects, 60) << "it must not knock without pause";
  EXPECT_FALSE(status_->snapshot().up);
  EXPECT_THAT(status_->snapshot().detail, HasSubstr("Connection refused"));
  link_.reachable = true;
  const auto shown = run(seconds(61));
  EXPECT_THAT(shown, ::testing::Contains("driver-up"));
  EXPECT_THAT(shown, ::testing::Contains("pump/flow=0 good"));
  EXPECT_EQ(std::count(shown.begin(), shown.end(), "device-up boiler"), 1) << "its first answer";
  link_.close();
  link_.reachable = false;
  run(seconds(10));
  link_.reachable = true;
  const auto again = run(seconds(61));
  EXPECT_THAT(again, ::testing::Contains("driver-up"));
  EXPECT_THAT(again, ::testing::Not(::testing::Contains("device-up boiler"))) << "it was never said to be down";
}

TEST_F(ModbusBus, AfterAnOutageEverythingIsReadAtOnceAndNothingCountsAsMissed) {
  device("boiler", 3, {tag("temp", 100)});
  run(milliseconds(500));
  link_.close();
  link_.reachable = false;
  run(seconds(30));
  link_.reachable = true;
  const auto shown = run(seconds(61));
  EXPECT_THAT(shown, ::testing::Contains("boiler/temp=100 good"));
  EXPECT_THAT(shown, ::testing::Not(::testing::Contains("boiler/temp=null bad poll-missed")));
  EXPECT_FALSE(status_->snapshot().refused.contains("poll_missed"));
}

TEST_F(ModbusBus, ADeviceThatDiedInAnOutageIsDownAfterIt) {
  device("boiler", 3, {tag("temp", 100)});
  run(milliseconds(500));
  link_.close();
  link_.reachable = false;
  run(seconds(30));
  link_.reachable = true;
  link_.answer = [](const ModbusRequest&) { return kNoAnswer; };
  EXPECT_EQ(run(seconds(61)), (Shown{"boiler/temp=null bad timeout", "driver-up", "device-down boiler"}));
}

TEST_F(ModbusBus, AConnectionThatIsLostAndComesBackAtOnceIsNoEvent) {
  device("boiler", 3, {tag("temp", 100)});
  run(milliseconds(500));
  bool dropped = false;
  link_.answer = [&](const ModbusRequest&) {
    const bool drop = !std::exchange(dropped, true);
    return ScriptedLink::Answer{drop ? ModbusResult::not_connected : ModbusResult::ok, milliseconds(5)};
  };
  EXPECT_EQ(run(seconds(2)), (Shown{"boiler/temp=100 good", "boiler/temp=100 good"}));
  EXPECT_EQ(link_.connects, 2);
}

TEST_F(ModbusBus, PollsThatWereMissedAreCountedAndFlaggedOnce) {
  device("boiler", 3, {tag("temp", 100)});
  run(milliseconds(500));
  clock_.advance(seconds(5));
  EXPECT_EQ(run(milliseconds(100)), (Shown{"boiler/temp=null bad poll-missed", "boiler/temp=100 good"}));
  EXPECT_EQ(run(seconds(1)), (Shown{"boiler/temp=100 good"}));
  EXPECT_EQ(status_->snapshot().refused.at("poll_missed"), 4U);
}

TEST_F(ModbusBus, PollsThatAreSkippedAreCountedAsSuchAndFlaggedOnce) {
  device("boiler", 1, {tag("temp", 0)});
  run(seconds(3));
  const std::size_t asked = link_.requests.size();
  BootTime next = bus_->skip();
  for (int i = 0; i < 10; ++i) {
    clock_.advance(next - clock_.boot_now());
    next = bus_->skip();
  }
  EXPECT_EQ(link_.requests.size(), asked);
  EXPECT_EQ(status_->snapshot().skipped, 10U);
  clock_.advance(seconds(5));
  bus_->skip();
  EXPECT_EQ(status_->snapshot().skipped, 15U);
  EXPECT_EQ(run(seconds(2)), (std::vector<std::string>{"boiler/temp=null bad poll-missed", "boiler/temp=0 good"}));
  EXPECT_EQ(run(seconds(2)), (std::vector<std::string>{"boiler/temp=0 good", "boiler/temp=0 good"}));
  EXPECT_EQ(status_->snapshot().refused.count("poll_missed"), 0U);
}

TEST_F(ModbusBus, AValueThatIsNoneIsBadAndNeverMadeUp) {
  device("boiler", 3, {tag("temp", 0, ModbusType::float32)});
  link_.value = [](std::uint16_t) { return std::uint16_t{0xFFFF}; };
  EXPECT_EQ(run(milliseconds(900)), (Shown{"boiler/temp=null bad nan", "driver-up", "device-up boiler"}));
}

class ModbusBusWrites : public ModbusBus {
 protected:
  ModbusBusWrites() {
    device("boiler", 3, {tag("setpoint", 200), tag("temp", 100)});
    device("pump", 4, {tag("speed", 300)});
    run(milliseconds(100));
    link_.requests.clear();
  }
  void order(std::uint64_t id, std::uint16_t word, std::uint32_t tag = 0) {
    ASSERT_TRUE(writes_.push({id, tag, {word}, clock_.boot_now() + kWriteWaitMost}));
  }
  // What the next steps bring, and the clock stands still between them.
  BusBatch step(int times) {
    BusBatch batch;
    for (int i = 0; i < times; ++i) bus_->step(batch);
    return batch;
  }
};

TEST_F(ModbusBusWrites, AWriteGoesBeforeWhatIsDueAndIsReadBack) {
  clock_.advance(seconds(2));  // everything is due
  order(1, 77);
  const BusBatch batch = step(1);
  EXPECT_EQ(link_.requests, (Shown{"write holding 200 of unit 3", "holding 200 of unit 3"}));
  ASSERT_EQ(batch.answers.size(), 1U);
  EXPECT_EQ(batch.answers[0].result, WriteResult::written);
  EXPECT_EQ(batch.answers[0].reason, "");
  ASSERT_EQ(batch.readings.size(), 1U);
  EXPECT_EQ(show(batch.readings[0]), "boiler/setpoint=77 good");
}

TEST_F(ModbusBusWrites, ManyWritesLeaveEachPollItsTurn) {
  clock_.advance(seconds(2));
  for (std::uint16_t i = 0; i < 10; ++i) order(i + 1U, i);
  step(8);
  std::size_t writes = 0;
  std::size_t polls = 0;
  for (const auto& request : link_.requests) (request.starts_with("write") ? writes : polls) += 1;
  EXPECT_EQ(writes, 4U);
  EXPECT_EQ(polls, writes + 3) << "of the four steps between three had something due, besides reading back";
}

TEST_F(ModbusBusWrites, ThePollsKeepTheirIntervalBesideAFloodOfWrites) {
  std::size_t speeds = 0;
  const BootTime end = clock_.boot_now() + seconds(20);
  BusBatch batch;
  while (clock_.boot_now() < end) {
    while (writes_.push({1, 0, {7}, clock_.boot_now() + kWriteWaitMost})) {
    }
    bus_->step(batch);
  }
  for (const auto& reading : batch.readings) speeds += show(reading).starts_with("pump/speed") ? 1U : 0U;
  EXPECT_GE(speeds, 19U);
}

TEST_F(ModbusBusWrites, WhatTheDeviceMakesOfItIsInTheReason) {
  link_.takes_writes = false;  // it says yes and keeps what it had
  order(1, 77);
  const BusBatch batch = step(1);
  EXPECT_EQ(batch.answers.at(0).result, WriteResult::written);
  EXPECT_EQ(batch.answers.at(0).reason, "read back: 200");
}

TEST_F(ModbusBusWrites, AnAnswerThatIsLostLeavesItUnknown) {
  link_.write_reply = {ModbusResult::timeout, true, 0};
  order(1, 77);
  BusBatch batch = step(1);
  EXPECT_EQ(batch.answers.at(0).result, WriteResult::unknown);
  EXPECT_EQ(batch.answers.at(0).reason,
            "no answer within 500ms to a write of holding 200 of unit 3: unknown whether it was written; it is not "
            "sent again; read back: 77");
  link_.write_reply = {ModbusResult::not_connected, true, 0};
  order(2, 78);
  batch = step(3);
  EXPECT_EQ(batch.answers.at(0).result, WriteResult::unknown);
  EXPECT_THAT(batch.answers.at(0).reason, HasSubstr("read back: 78"));
}

TEST_F(ModbusBusWrites, ADeviceThatIsDownIsNotWrittenTo) {
  link_.answer = [](const ModbusRequest& request) { return request.unit == 3 ? kNoAnswer : ScriptedLink::Answer(); };
  run(seconds(10));
  link_.requests.clear();
  order(1, 77);
  order(2, 78, 2);
  const BusBatch batch = step(3);
  ASSERT_EQ(batch.answers.size(), 2U);
  EXPECT_EQ(batch.answers[0].result, WriteResult::refused);
  EXPECT_THAT(batch.answers[0].reason, HasSubstr("device boiler is down, and is tried again in "));
  EXPECT_THAT(batch.answers[0].reason, HasSubstr("no answer within 500ms"));
  EXPECT_EQ(batch.answers[1].result, WriteResult::written) << "the other device is there";
  EXPECT_THAT(link_.requests, ::testing::Not(::testing::Contains(HasSubstr("write holding 200"))));
}

TEST_F(ModbusBusWrites, WithoutAConnectionWritesAreRefusedAtOnce) {
  link_.close();
  link_.reachable = false;
  order(1, 77);
  order(2, 78);
  const BusBatch batch = step(1);
  ASSERT_EQ(batch.answers.size(), 2U);
  EXPECT_EQ(batch.answers[0].result, WriteResult::refused);
  EXPECT_THAT(batch.answers[0].reason, HasSubstr("the bus is not connected: connect to plc:502: Connection refused"));
}

TEST_F(ModbusBusWrites, WhatWaitedTooLongIsNotWrittenAnyMore) {
  order(1, 77);
  clock_.advance(kWriteWaitMost + milliseconds(1));
  const BusBatch batch = step(1);
  EXPECT_EQ(batch.answers.at(0).result, WriteResult::refused);
  EXPECT_EQ(batch.answers.at(0).reason, "it waited longer than 5s for its bus");
  EXPECT_THAT(link_.requests, ::testing::Not(::testing::Contains(HasSubstr("write"))));
}

TEST_F(ModbusBusWrites, WhatTheDeviceRefusesHasFailed) {
  link_.write_reply = {ModbusResult::illegal_value, true, 3};
  link_.takes_writes = false;
  order(1, 77);
  const BusBatch batch = step(1);
  EXPECT_EQ(batch.answers.at(0).result, WriteResult::failed);
  EXPECT_EQ(batch.answers.at(0).reason, "illegal_value in answer to a write of holding 200 of unit 3; read back: 200");
}

}  // namespace
}  // namespace tidegate::drivers
