#include <fcntl.h>
#include <gmock/gmock.h>
#include <simdjson.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "core/clock.h"
#include "tests/integration/gateway_process.h"
#include "tests/integration/shown_clock.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const std::string kDriver = "[[driver.simulator]]\nname = \"sim\"\ninterval = \"20ms\"\n";
const std::string kUplink = "[[uplink.file]]\nname = \"export\"\npath = \"{dir}/{stream}.ndjson\"\n";
constexpr const char* kAccepted = "tidegate_readings_accepted_total{driver=\"sim\"}";

std::int64_t milliseconds(WallTime time) { return time.time_since_epoch() / 1ms; }

struct Line {
  std::uint64_t seq = 0;
  std::int64_t time = 0;
  std::string time_quality;
};

Line parse(const std::string& text) {
  Line line;
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view quality;
  if (parser.parse(text).get(root) != simdjson::SUCCESS || root["seq"].get(line.seq) != simdjson::SUCCESS ||
      root["time"].get(line.time) != simdjson::SUCCESS) {
    ADD_FAILURE() << "not a reading: " << text;
  }
  if (root["time_quality"].get(quality) == simdjson::SUCCESS) line.time_quality = quality;
  return line;
}

/// The real daemon under a wall clock that the test sets: it is preloaded with clock_shim.cc.
class Clocks : public ::testing::Test {
 protected:
  Clocks() {
    const std::string path = gateway.directory() + "/clock";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(::ftruncate(fd, sizeof(ShownClock)), 0);
    void* const at = ::mmap(nullptr, sizeof(ShownClock), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    EXPECT_NE(at, MAP_FAILED);
    clock = new (at) ShownClock;
    environment = {{"LD_PRELOAD", TIDEGATE_CLOCK_SHIM}, {kShownClockVariable, path}};
  }
  ~Clocks() override { ::munmap(clock, sizeof(ShownClock)); }

  void start(const std::string& body) {
    gateway.configure(body);
    gateway.start(environment);
  }
  void accept_more(int readings) {
    const double least = std::max(gateway.metric(kAccepted), 0.0) + readings;
    ASSERT_TRUE(gateway.wait_for_metric(kAccepted, least, 20s)) << gateway.log();
  }
  void set(std::int64_t ahead_ms, bool synced) {
    clock->ahead_ms = ahead_ms;
    clock->is_synced = synced;
  }
  void set_back_to_1970() { set(-milliseconds(SystemClock().wall_now()) + 20'000, false); }
  std::vector<std::string> wait_for_events(const std::string& part, std::size_t count) {
    std::vector<std::string> found;
    wait_until(
        [&] {
          found = gateway.tail("events", part);
          return found.size() >= count;
        },
        20s);
    EXPECT_THAT(found, SizeIs(count));
    return found;
  }
  std::vector<std::string> sent() const {
    return lines_with(read_file(gateway.directory() + "/readings.ndjson"), "\"seq\"");
  }

  GatewayProcess gateway;
  ShownClock* clock = nullptr;
  std::map<std::string, std::string> environment;
  const WallTime begun = SystemClock().wall_now();
};

TEST_F(Clocks, PutRightWhatWasTakenInIn1970WhenTheyAreSynced) {
  set_back_to_1970();
  start(kDriver);
  accept_more(20);
  set(0, true);
  const auto steps = wait_for_events("clock-step", 1);
  EXPECT_THAT(steps.at(0), HasSubstr("\"clock_before\":\"unsynced\",\"clock\":\"synced\""));
  wait_for_events("clock-synced", 1);
  accept_more(20);
  // What the log holds is not changed, and a later process decides by what the log says of the clock.
  const auto stored = gateway.tail("readings", "\"time_quality\":\"unsynced\"");
  ASSERT_FALSE(stored.empty());
  EXPECT_LT(parse(stored.back()).time, 3'600'000);
  gateway.kill();
  set(3'600'000, true);  // what it shows then says nothing of how it was
  start(kDriver + kUplink);
  const std::size_t all = stored.size() + 20;
  ASSERT_TRUE(wait_until([&] { return sent().size() >= all; }, 20s)) << gateway.log();
  auto lines = sent();
  lines.resize(all);
  std::int64_t before = milliseconds(begun);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Line line = parse(lines[i]);
    EXPECT_EQ(line.time_quality, i < stored.size() ? "estimated" : "") << lines[i];
    EXPECT_GE(line.time, before - 50) << lines[i];
    EXPECT_LE(line.time, milliseconds(SystemClock().wall_now())) << lines[i];
    before = line.time;
  }
}

TEST_F(Clocks, ThatAreBehindTheLogAreUnsyncedUntilTheyAreSynced) {
  set(0, false);
  start(kDriver);
  accept_more(5);
  EXPECT_THAT(gateway.tail("readings", "estimated"), Not(IsEmpty()));
  gateway.stop();
  set(-3'600'000, false);  // the time of the last shutdown but one, say
  start(kDriver);
  accept_more(5);
  EXPECT_THAT(gateway.tail("readings", "unsynced"), Not(IsEmpty()));
  EXPECT_THAT(wait_for_events("\"event\":\"start\"", 2).at(1), HasSubstr("\"clock\":\"unsynced\""));
  gateway.stop();
}

TEST_F(Clocks, ThatAreSetBackAndForthChangeNoOrderAndNoCount) {
  set(0, true);
  start(kDriver + kUplink);
  const std::vector<std::int64_t> steps{3'600'000, -3'600'000, 315'360'000'000, -315'360'000'000, 600, 0};
  for (std::size_t i = 0; i < steps.size(); ++i) {
    set(steps[i], true);
    wait_for_events("clock-step", i + 1);
    accept_more(5);
  }
  EXPECT_TRUE(wait_until([&] { return sent().size() > 5 * steps.size(); }, 20s)) << gateway.log();
  gateway.stop();
  const auto lines = sent();
  for (std::size_t i = 0; i < lines.size(); ++i) ASSERT_EQ(parse(lines[i]).seq, i + 1);
}

/// Sends readings at night only.
class SendingWindows : public Clocks {
 protected:
  void show(std::chrono::hours time_of_day) {
    const WallTime now = SystemClock().wall_now();
    const auto tomorrow = std::chrono::floor<std::chrono::days>(now) + std::chrono::days(1);
    set(milliseconds(WallTime(tomorrow) + time_of_day) - milliseconds(now), true);
  }
  void start_by_night(const std::string& more = "") {
    start(kDriver + kUplink + "windows = [\"22:00-06:00\"]\n" + more + "batch = { max_delay = \"50ms\" }\n");
  }
  double backlog() { return gateway.metric("tidegate_uplink_backlog_readings{uplink=\"export\",stream=\"readings\"}"); }
  double held(const std::string& stream) {
    return gateway.metric("tidegate_uplink_held{uplink=\"export\",stream=\"" + stream + "\"}");
  }
  // That the daemon has seen the clock, and what was on its way is there.
  std::size_t sent_when_held() {
    EXPECT_TRUE(wait_until([this] { return held("readings") == 1; }, 20s)) << gateway.log();
    std::size_t before = sent().size();
    EXPECT_TRUE(wait_until(
        [&] {
          accept_more(20);
          return std::exchange(before, sent().size()) == sent().size();
        },
        60s));
    return sent().size();
  }
  std::string events() const { return read_file(gateway.directory() + "/events.ndjson"); }
};

TEST_F(SendingWindows, KeepReadingsBackAndNothingElseUntilTheyOpen) {
  show(12h);
  start_by_night();
  EXPECT_TRUE(wait_until([&] { return events().find("\"event\":\"start\"") != std::string::npos; }, 20s));
  accept_more(100);
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_EQ(held("readings"), 1);
  EXPECT_EQ(held("events"), 0);
  EXPECT_THAT(gateway.status_of("export"), HasSubstr("\"waiting\":\"readings wait until 22:00 UTC\""));
  EXPECT_THAT(gateway.command({"status", "--config", gateway.config_file()}).output,
              HasSubstr("readings wait until 22:00 UTC"));
  show(23h);
  EXPECT_TRUE(wait_until([&] { return sent().size() > 100 && backlog() < 50; }, 60s)) << gateway.log();
  EXPECT_THAT(gateway.status_of("export"), Not(HasSubstr("waiting")));
  EXPECT_EQ(held("readings"), 0);
  gateway.stop();
}

TEST_F(SendingWindows, ThatCloseKeepBackWhatComesThen) {
  show(23h);
  start_by_night();
  EXPECT_TRUE(wait_until([&] { return sent().size() > 50; }, 60s)) << gateway.log();
  show(31h);
  const std::size_t before = sent_when_held();
  accept_more(100);
  EXPECT_EQ(sent().size(), before);
  EXPECT_THAT(gateway.status_of("export"), HasSubstr("readings wait until 22:00 UTC"));
  show(47h);
  EXPECT_TRUE(wait_until([&] { return sent().size() > before + 100 && backlog() < 50; }, 60s)) << gateway.log();
  gateway.stop();
}

TEST_F(SendingWindows, KeepReadingsBackWhenTheClockIsSetBackToBeforeThem) {
  show(23h);
  start_by_night();
  EXPECT_TRUE(wait_until([&] { return sent().size() > 50; }, 60s)) << gateway.log();
  show(21h);
  const std::size_t before = sent_when_held();
  accept_more(100);
  EXPECT_EQ(sent().size(), before);
  gateway.stop();
}

TEST_F(SendingWindows, KeepBackAlarmsAndEventsTooWhereThatIsWanted) {
  show(12h);
  start_by_night("alarms_always = false\n");
  accept_more(100);
  EXPECT_EQ(held("events"), 1);
  EXPECT_EQ(held("alarms"), 1);
  EXPECT_THAT(gateway.status_of("export"), HasSubstr("\"waiting\":\"waiting until 22:00 UTC\""));
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(gateway.directory() + "/events.ndjson"));
  show(23h);
  EXPECT_TRUE(
      wait_until([&] { return sent().size() > 100 && events().find("\"event\":\"start\"") != std::string::npos; }, 60s))
      << gateway.log();
  gateway.stop();
}

TEST_F(SendingWindows, AreNoneWhileNobodyKnowsTheTime) {
  set(-milliseconds(SystemClock().wall_now()) + 12 * 3'600'000, false);  // noon of 1970-01-01
  start_by_night();
  EXPECT_TRUE(wait_until([&] { return sent().size() > 10; }, 60s)) << gateway.status_of("export");
  gateway.stop();
}

}  // namespace
}  // namespace tidegate::testing
