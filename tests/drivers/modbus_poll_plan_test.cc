#include "drivers/modbus/poll_plan.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

namespace tidegate::drivers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr BootTime kStart{seconds(100)};

struct Answer {
  ModbusResult result = ModbusResult::ok;
  Duration cost = milliseconds(10);
};

constexpr Answer kOk{};
constexpr Answer kNoAnswer{ModbusResult::timeout, milliseconds(500)};
constexpr Answer kWrongAddress{ModbusResult::illegal_address, milliseconds(10)};

// A plan with a made-up bus: runs it over made-up time and writes down what it asked.
class ModbusPollPlan : public ::testing::Test {
 protected:
  struct Line {
    std::int64_t at = 0;  // milliseconds since the start
    Poll poll;
    PollOutcome outcome;
    ModbusResult result = ModbusResult::ok;
  };

  void device(std::uint16_t number, const std::vector<std::uint16_t>& addresses, Duration interval = seconds(1)) {
    for (const auto address : addresses) tags_.push_back({number, ModbusTable::holding, address, 1, interval});
    devices_ = std::max<std::size_t>(devices_, number + 1U);
  }

  void start() { plan_.emplace(options_, tags_, devices_, now_); }

  // Everything asked in the next `duration`, as lines.
  std::vector<Line> run(Duration duration) {
    if (!plan_) start();
    const BootTime end = now_ + duration;
    std::vector<Line> lines;
    while (now_ < end) {
      const auto poll = plan_->next(now_);
      if (!poll) {
        const BootTime wake = plan_->wake_at(now_);
        EXPECT_GT(wake, now_) << "nothing to do, and not willing to wait";
        if (wake <= now_) return lines;
        now_ = std::min(wake, end);
        continue;
      }
      const Answer answer = bus_(*poll);
      Line line{(now_ - kStart) / milliseconds(1), *poll, {}, answer.result};
      now_ += answer.cost;
      line.outcome = plan_->done(*poll, answer.result, now_);
      lines.push_back(line);
    }
    return lines;
  }

  static std::string show(const Line& line) {
    std::string text = std::to_string(line.at) + " d" + std::to_string(line.poll.device) + " " +
                       std::to_string(line.poll.address) + "+" + std::to_string(line.poll.count) + " " +
                       to_string(line.result);
    if (line.outcome.device == DeviceChange::up) text += ", up";
    if (line.outcome.device == DeviceChange::down) text += ", down";
    if (line.outcome.split) text += ", split";
    if (line.outcome.bad != Reason::none) text += std::string(", bad ") + to_string(line.outcome.bad);
    if (line.outcome.missed > 0) text += ", missed " + std::to_string(line.outcome.missed);
    if (line.outcome.overload_began) text += ", overload";
    return text;
  }

  std::vector<std::string> transcript(Duration duration) {
    std::vector<std::string> shown;
    for (const auto& line : run(duration)) shown.push_back(show(line));
    return shown;
  }

  PollPlanOptions options_{milliseconds(500), 1, 8, seconds(60), 4711};
  std::vector<PlanTag> tags_;
  std::size_t devices_ = 0;
  BootTime now_ = kStart;
  std::function<Answer(const Poll&)> bus_ = [](const Poll&) { return kOk; };
  std::optional<PollPlan> plan_;
};

using Shown = std::vector<std::string>;

TEST_F(ModbusPollPlan, PollsOnAGridThatDoesNotDrift) {
  device(0, {0, 1}, seconds(1));
  EXPECT_EQ(transcript(seconds(3)), (Shown{"0 d0 0+2 ok, up", "1000 d0 0+2 ok", "2000 d0 0+2 ok"}));
}

TEST_F(ModbusPollPlan, ALateStartIsNoReasonToShiftTheGrid) {
  device(0, {0}, milliseconds(100));
  device(1, {0}, milliseconds(250));
  bus_ = [](const Poll& poll) { return Answer{ModbusResult::ok, milliseconds(poll.device == 1 ? 40 : 10)}; };
  EXPECT_EQ(transcript(milliseconds(520)),
            (Shown{"0 d0 0+1 ok, up", "10 d1 0+1 ok, up", "100 d0 0+1 ok", "200 d0 0+1 ok", "260 d1 0+1 ok",
                   "300 d0 0+1 ok", "400 d0 0+1 ok", "500 d0 0+1 ok", "510 d1 0+1 ok"}));
}

TEST_F(ModbusPollPlan, IntervalsOfOneDeviceGoTheirOwnWay) {
  device(0, {0}, milliseconds(1000));
  device(0, {1}, milliseconds(400));
  const auto lines = transcript(milliseconds(1300));
  EXPECT_EQ(lines, (Shown{"0 d0 1+1 ok, up", "10 d0 0+1 ok", "400 d0 1+1 ok", "800 d0 1+1 ok", "1000 d0 0+1 ok",
                          "1200 d0 1+1 ok"}));
}

TEST_F(ModbusPollPlan, ARefusedBlockIsSplitUntilTheRestIsReadAndStaysSplit) {
  device(0, {0, 1, 2, 3, 4, 5, 6, 7});
  bus_ = [](const Poll& poll) { return poll.address <= 5 && poll.address + poll.count > 5 ? kWrongAddress : kOk; };
  EXPECT_EQ(transcript(milliseconds(900)),
            (Shown{"0 d0 0+8 illegal_address, up, split", "10 d0 0+4 ok", "20 d0 4+4 illegal_address, split",
                   "30 d0 4+2 illegal_address, split", "40 d0 4+1 ok", "50 d0 6+2 ok",
                   "60 d0 5+1 illegal_address, bad illegal-address"}));
  const auto next = run(milliseconds(1000));
  std::set<std::uint16_t> read;
  for (const auto& line : next) {
    EXPECT_FALSE(line.outcome.split) << show(line);
    EXPECT_EQ(line.result, ModbusResult::ok) << "what is refused for good is asked rarely: " << show(line);
    for (const auto index : line.poll.tags) read.insert(tags_[index].address);
  }
  EXPECT_EQ(read, (std::set<std::uint16_t>{0, 1, 2, 3, 4, 6, 7}));
}

TEST_F(ModbusPollPlan, ARefusedHoleIsCutOutFirst) {
  device(0, {0, 1, 2, 6, 7});
  bus_ = [](const Poll& poll) { return poll.address < 6 && poll.address + poll.count > 3 ? kWrongAddress : kOk; };
  EXPECT_EQ(transcript(milliseconds(900)),
            (Shown{"0 d0 0+8 illegal_address, up, split", "10 d0 0+3 ok", "20 d0 6+2 ok"}));
}

TEST_F(ModbusPollPlan, ALengthThatADeviceRefusesIsHalvedUntilItFits) {
  std::vector<std::uint16_t> addresses;
  for (std::uint16_t i = 0; i < 100; ++i) addresses.push_back(i);
  device(0, addresses);
  bus_ = [](const Poll& poll) {
    return poll.count > 32 ? Answer{ModbusResult::illegal_value, milliseconds(5)}
                           : Answer{ModbusResult::ok, milliseconds(5)};
  };
  run(milliseconds(500));
  std::size_t tags = 0;
  for (const auto& line : run(seconds(1))) {
    ASSERT_EQ(line.result, ModbusResult::ok);
    tags += line.poll.tags.size();
  }
  EXPECT_EQ(tags, 100U);
  EXPECT_EQ(plan_->block_count(), 4U);
}

TEST_F(ModbusPollPlan, ATagThatIsRefusedForGoodIsAskedLessAndLess) {
  device(0, {0});
  bus_ = [](const Poll&) { return kWrongAddress; };
  std::vector<std::int64_t> at;
  for (const auto& line : run(seconds(200))) at.push_back(line.at / 1000);
  EXPECT_EQ(at, (std::vector<std::int64_t>{0, 2, 6, 14, 30, 62, 122, 182}));
  bus_ = [](const Poll&) { return kOk; };
  run(seconds(60));
  EXPECT_EQ(run(seconds(10)).size(), 10U) << "once it answers it is polled as before";
}

TEST_F(ModbusPollPlan, AnUnsupportedTableIsNotSplit) {
  device(0, {0, 1, 2});
  bus_ = [](const Poll&) { return Answer{ModbusResult::illegal_function, milliseconds(5)}; };
  EXPECT_EQ(transcript(milliseconds(900)), (Shown{"0 d0 0+3 illegal_function, up, bad illegal-function"}));
}

TEST_F(ModbusPollPlan, ABusyDeviceIsAskedAgainAndIsNotDown) {
  device(0, {0});
  bus_ = [](const Poll&) { return Answer{ModbusResult::device_busy, milliseconds(10)}; };
  EXPECT_EQ(transcript(milliseconds(1100)),
            (Shown{"0 d0 0+1 device_busy, up", "10 d0 0+1 device_busy, bad device-busy", "1000 d0 0+1 device_busy",
                   "1010 d0 0+1 device_busy, bad device-busy"}));
}

TEST_F(ModbusPollPlan, ADeviceThatWasUpIsRetriedBeforeItIsDown) {
  device(0, {0});
  run(milliseconds(500));
  bus_ = [](const Poll&) { return kNoAnswer; };
  EXPECT_EQ(transcript(milliseconds(1500)), (Shown{"1000 d0 0+1 timeout", "1500 d0 0+1 timeout, down"}));
}

TEST_F(ModbusPollPlan, ALostAnswerThatARetryBringsIsNoEvent) {
  device(0, {0});
  run(milliseconds(500));
  int asked = 0;
  bus_ = [&](const Poll&) { return ++asked == 1 ? kNoAnswer : kOk; };
  EXPECT_EQ(transcript(milliseconds(1600)), (Shown{"1000 d0 0+1 timeout", "1500 d0 0+1 ok", "2000 d0 0+1 ok"}));
}

TEST_F(ModbusPollPlan, ADeadDeviceCostsOneTimeoutABackOff) {
  device(0, {0, 100, 200, 300});
  bus_ = [](const Poll&) { return kNoAnswer; };
  const auto lines = run(seconds(600));
  ASSERT_GT(lines.size(), 5U);
  EXPECT_EQ(lines.front().outcome.device, DeviceChange::down);
  Duration bound = seconds(1);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].outcome.device, DeviceChange::none) << show(lines[i]);
    EXPECT_EQ(lines[i].outcome.bad, Reason::none) << show(lines[i]);
    const Duration pause = milliseconds(lines[i].at - lines[i - 1].at) - milliseconds(500);
    EXPECT_LE(pause, bound + milliseconds(1)) << show(lines[i]);
    EXPECT_GE(pause, bound / 10 - milliseconds(1)) << show(lines[i]);
    bound = std::min<Duration>(bound * 2, seconds(60));
  }
}

TEST_F(ModbusPollPlan, ADeadDeviceIsTriedInTheGapsOfTheOthers) {
  device(0, {0}, seconds(1));
  device(1, {0}, seconds(1));
  bus_ = [](const Poll& poll) { return poll.device == 1 ? kNoAnswer : kOk; };
  int tries = 0;
  std::int64_t last = -1000;
  for (const auto& line : run(seconds(300))) {
    tries += line.poll.device == 1;
    if (line.poll.device == 1) continue;
    EXPECT_EQ(line.at, last + 1000) << "the dead one delayed the live one";
    last = line.at;
  }
  EXPECT_GT(tries, 8);
}

TEST_F(ModbusPollPlan, TheFirstTryOfADeadDeviceDoesNotComeBetweenTheBlocksOfALiveOne) {
  device(0, {0, 100, 200, 300});
  device(1, {0});
  bus_ = [](const Poll& poll) { return poll.device == 1 ? kNoAnswer : kOk; };
  EXPECT_EQ(transcript(milliseconds(600)), (Shown{"0 d0 0+1 ok, up", "10 d0 100+1 ok", "20 d0 200+1 ok",
                                                  "30 d0 300+1 ok", "40 d1 0+1 timeout, down"}));
}

TEST_F(ModbusPollPlan, ABusThatIsNeverIdleStillTriesEveryDevice) {
  device(0, {0}, milliseconds(10));
  device(1, {0});
  EXPECT_GT(run(seconds(10)).size(), 900U);
  int polls = 0;
  for (const auto& line : run(seconds(10))) polls += line.poll.device == 1;
  EXPECT_NEAR(polls, 10, 1);
}

TEST_F(ModbusPollPlan, WithoutAGapADeadDeviceStillGetsItsTry) {
  device(0, {0}, milliseconds(200));
  device(1, {0}, seconds(1));
  bus_ = [](const Poll& poll) { return poll.device == 1 ? kNoAnswer : kOk; };
  int tries = 0;
  std::uint64_t missed = 0;
  int overloads = 0;
  const auto lines = run(seconds(300));
  for (const auto& line : lines) {
    tries += line.poll.device == 1;
    missed += line.outcome.missed;
    overloads += line.outcome.overload_began;
  }
  EXPECT_GT(tries, 5);
  EXPECT_LT(tries, 40);
  EXPECT_EQ(lines.size() - static_cast<std::size_t>(tries) + missed, 1500U) << "every poll is made or counted";
  EXPECT_LE(missed, static_cast<std::uint64_t>(3 * tries));
  EXPECT_LE(overloads, tries);
  EXPECT_GT(overloads, 0);
}

TEST_F(ModbusPollPlan, ManyDeadDevicesLeaveHalfOfTheBusToALiveOneFromTheStart) {
  device(0, {0}, milliseconds(100));
  for (std::uint16_t i = 1; i <= 20; ++i) device(i, {0}, milliseconds(100));
  bus_ = [](const Poll& poll) { return poll.device > 0 ? kNoAnswer : kOk; };
  std::map<std::uint16_t, int> polls;
  for (const auto& line : run(seconds(30))) ++polls[line.poll.device];
  EXPECT_GT(polls[0], 140);
  for (std::uint16_t i = 1; i <= 20; ++i) EXPECT_GT(polls[i], 0) << "device " << i << " was never tried";
}

TEST_F(ModbusPollPlan, WhenADeviceComesBackEverythingOfItIsDueAtOnce) {
  device(0, {0, 100, 200});
  bus_ = [](const Poll&) { return kNoAnswer; };
  run(seconds(30));
  bus_ = [](const Poll&) { return kOk; };
  std::vector<Line> lines;
  while (lines.empty()) lines = run(milliseconds(100));
  EXPECT_EQ(lines.front().outcome.device, DeviceChange::up);
  std::set<std::uint16_t> read;
  for (const auto& line : lines) {
    read.insert(line.poll.address);
    EXPECT_EQ(line.outcome.missed, 0U) << "nobody missed what was not to be had";
  }
  EXPECT_EQ(read, (std::set<std::uint16_t>{0, 100, 200}));
}

TEST_F(ModbusPollPlan, AnOverloadedBusServesEveryDeviceAndSaysSoOnce) {
  for (std::uint16_t i = 0; i < 4; ++i) device(i, {0}, milliseconds(100));
  bus_ = [](const Poll&) { return Answer{ModbusResult::ok, milliseconds(50)}; };
  std::map<std::uint16_t, int> polls;
  std::map<std::uint16_t, int> overloads;
  std::uint64_t missed = 0;
  for (const auto& line : run(seconds(20))) {
    ++polls[line.poll.device];
    overloads[line.poll.device] += line.outcome.overload_began;
    missed += line.outcome.missed;
  }
  for (std::uint16_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(polls[i], 100, 4) << "device " << i;
    EXPECT_EQ(overloads[i], 1) << "device " << i;
  }
  EXPECT_NEAR(static_cast<double>(missed), 390, 15);
}

TEST_F(ModbusPollPlan, ADeviceThatWantsTooMuchDelaysItselfOnly) {
  device(0, {0, 100, 200, 300, 400, 500, 600, 700, 800, 900}, milliseconds(100));
  device(1, {0}, milliseconds(200));
  bus_ = [](const Poll&) { return Answer{ModbusResult::ok, milliseconds(30)}; };
  std::int64_t last = 0;
  int polls = 0;
  run(seconds(1));
  for (const auto& line : run(seconds(10))) {
    if (line.poll.device != 1) continue;
    ++polls;
    if (last != 0) {
      EXPECT_LE(line.at - last, 200 + 40);
    }
    last = line.at;
  }
  EXPECT_NEAR(polls, 50, 1);
}

TEST_F(ModbusPollPlan, AnOverloadEndsAfterAWhileOnTimeAndIsToldAnewTheNextTime) {
  device(0, {0}, milliseconds(100));
  run(milliseconds(250));
  const auto hold_up = [this] { now_ += milliseconds(550); };
  hold_up();
  auto lines = run(milliseconds(300));
  EXPECT_EQ(lines.front().outcome.missed, 5U);
  EXPECT_TRUE(lines.front().outcome.overload_began);
  hold_up();
  EXPECT_FALSE(run(milliseconds(100)).front().outcome.overload_began) << "still the same overload";
  run(seconds(2));
  hold_up();
  EXPECT_TRUE(run(milliseconds(100)).front().outcome.overload_began);
}

TEST_F(ModbusPollPlan, ABlockThatItsDeviceIsSilentAboutIsFoundAndSplit) {
  device(0, {0, 1, 2, 3});
  device(0, {100, 101});
  bus_ = [](const Poll& poll) { return poll.address <= 2 && poll.address + poll.count > 2 ? kNoAnswer : kOk; };
  run(seconds(120));
  std::map<std::uint16_t, int> good;
  int changes = 0;
  for (const auto& line : run(seconds(60))) {
    changes += line.outcome.device != DeviceChange::none;
    for (const auto index : line.poll.tags) good[tags_[index].address] += line.outcome.has_values;
  }
  EXPECT_EQ(changes, 0) << "a silent register does not take its device down for ever";
  for (const std::uint16_t address : std::vector<std::uint16_t>{0, 1, 3, 100, 101})
    EXPECT_GE(good[address], 58) << address;
  EXPECT_EQ(good[2], 0);
}

TEST_F(ModbusPollPlan, ASingleBlockThatADeviceIsSilentAboutIsSplitToo) {
  device(0, {0, 1, 2, 3});
  bus_ = [](const Poll& poll) { return poll.count > 2 ? kNoAnswer : kOk; };
  run(seconds(300));
  std::map<std::uint16_t, int> good;
  for (const auto& line : run(seconds(10))) {
    EXPECT_EQ(line.result, ModbusResult::ok);
    for (const auto index : line.poll.tags) ++good[tags_[index].address];
  }
  for (const std::uint16_t address : std::vector<std::uint16_t>{0, 1, 2, 3}) EXPECT_EQ(good[address], 10) << address;
}

TEST_F(ModbusPollPlan, ADeadDeviceIsNeverSplit) {
  device(0, {0, 1, 2, 3});
  device(0, {100, 101});
  run(seconds(3));
  for (int i = 0; i < 20; ++i) {
    bus_ = [](const Poll&) { return kNoAnswer; };
    run(seconds(100));
    bus_ = [](const Poll&) { return kOk; };
    run(seconds(70));
  }
  EXPECT_EQ(plan_->block_count(), 2U);
}

TEST_F(ModbusPollPlan, SingleDamagedRepliesMakeTheirTagsBadAndNotTheDeviceDown) {
  device(0, {0, 100});
  run(milliseconds(500));
  int asked = 0;
  bus_ = [&](const Poll&) { return ++asked <= 2 ? Answer{ModbusResult::bad_reply, milliseconds(20)} : kOk; };
  EXPECT_EQ(transcript(milliseconds(600)),
            (Shown{"1000 d0 0+1 bad_reply", "1020 d0 0+1 bad_reply, bad bad-reply", "1040 d0 100+1 ok"}));
}

TEST_F(ModbusPollPlan, NothingButDamagedRepliesTakeTheDeviceDown) {
  device(0, {0, 100});
  run(milliseconds(500));
  bus_ = [](const Poll&) { return Answer{ModbusResult::bad_reply, milliseconds(20)}; };
  int downs = 0;
  const auto lines = run(seconds(100));
  for (const auto& line : lines) downs += line.outcome.device == DeviceChange::down;
  EXPECT_EQ(downs, 1);
  EXPECT_LT(lines.size(), 20U);
}

TEST_F(ModbusPollPlan, AfterALostConnectionEverythingIsDueAndEveryDeviceUnknown) {
  device(0, {0});
  device(1, {0});
  bus_ = [](const Poll& poll) { return poll.device == 1 ? kNoAnswer : kOk; };
  run(milliseconds(1800));
  now_ += seconds(10);
  plan_->start_over(now_);
  const auto lines = transcript(milliseconds(600));
  EXPECT_EQ(lines, (Shown{"11800 d0 0+1 ok, up", "11810 d1 0+1 timeout, down"}));
}

TEST_F(ModbusPollPlan, NothingToPollIsNothingToWakeUpFor) {
  devices_ = 2;
  start();
  EXPECT_EQ(plan_->next(now_), std::nullopt);
  EXPECT_EQ(plan_->wake_at(now_), BootTime::max());
}

}  // namespace
}  // namespace tidegate::drivers
