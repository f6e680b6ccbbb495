#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/text.h"
#include "tests/support/temporary_directory.h"
#include "tests/uplink/uplink_harness.h"
#include "uplink/transport.h"

namespace tidegate::uplink::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tidegate::testing::NumberedReadings;
using tidegate::testing::read_file;
using tidegate::testing::TemporaryDirectory;

class FileTransportTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kReadings = 10'000;

  FileTransportTest() {
    readings_.count = kReadings;
    options_.path = directory_ / "{stream}.ndjson";
    options_.forwarder.name = "export";
    options_.forwarder.batch_readings_max = 100;
    options_.forwarder.batch_delay_max = milliseconds(10);
    options_.forwarder.retry_first = milliseconds(10);
    options_.forwarder.retry_most = milliseconds(50);
  }

  std::unique_ptr<UplinkHarness> start_uplink(const Cursor& cursor = {{1, 0}, {1, 0}}) {
    auto uplink = std::make_unique<UplinkHarness>(options_.forwarder, readings_);
    const auto make = [this](TransportHandlers handlers) {
      return make_file_transport(options_, "gw", std::move(handlers));
    };
    EXPECT_TRUE(uplink->start(make, cursor));
    return uplink;
  }
  // The sequences of the file's lines; every line is whole.
  std::vector<std::uint64_t> sequences() {
    const std::string text = read_file(directory_ / "readings.ndjson");
    std::vector<std::uint64_t> numbers;
    for (const std::string_view line : split(text, '\n')) {
      if (line.empty()) continue;
      EXPECT_EQ(line.back(), '}');
      EXPECT_EQ(line.find("{\"gateway\":\"gw\",\"stream\":\"readings\",\"epoch\":1,\"seq\":"), 0U) << line;
      numbers.push_back(std::stoull(std::string(line.substr(line.find("\"seq\":") + 6))));
    }
    return numbers;
  }
  void expect_all_once_in_order() {
    const auto numbers = sequences();
    ASSERT_EQ(numbers.size(), kReadings);
    for (std::uint64_t i = 0; i < kReadings; ++i) ASSERT_EQ(numbers[static_cast<std::size_t>(i)], i);
  }

  TemporaryDirectory directory_;
  NumberedReadings readings_;
  FileUplinkOptions options_;
};

TEST_F(FileTransportTest, WritesEverythingOnceInOrder) {
  const auto uplink = start_uplink();
  uplink->announce(kReadings);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->delivered() == kReadings; }, seconds(30)));
  expect_all_once_in_order();
}

TEST_F(FileTransportTest, WritesEverythingWhenTheDirectoryComesLate) {
  options_.path = directory_ / "later/{stream}.ndjson";
  const auto uplink = start_uplink();
  uplink->announce(kReadings);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->failures() > 10; }, seconds(30)));
  EXPECT_EQ(uplink->delivered(), 0U);
  EXPECT_THAT(uplink->troubles(), ElementsAre(HasSubstr("later/readings.ndjson: No such file"))) << "told once";
  ASSERT_EQ(::mkdir((directory_ / "later").c_str(), 0700), 0);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->delivered() == kReadings; }, seconds(30)));
  EXPECT_THAT(uplink->troubles(), ElementsAre(HasSubstr("No such file"), ""));
}

TEST_F(FileTransportTest, HasWrittenWhatWasHandedOverWhenItIsStopped) {
  auto uplink = start_uplink();
  uplink->announce(kReadings);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->delivered() > kReadings / 4; }, seconds(30)));
  uplink->stop(seconds(10));
  const Cursor cursor = uplink->cursor();
  uplink = start_uplink(cursor);
  uplink->announce(kReadings);
  ASSERT_TRUE(uplink->run_until([&] { return uplink->cursor().acked_to.sequence == kReadings; }, seconds(30)));
  expect_all_once_in_order();
}

TEST_F(FileTransportTest, RefusesAPathThatNamesNoFile) {
  options_.path = directory_ / "{tag}.ndjson";
  const auto transport =
      make_file_transport(options_, "gw", {[](std::uint64_t, bool) {}, [](bool, const std::string&) {}});
  const auto started = transport->start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("{tag} is not known; allowed are {gateway} {stream} {date}"));
}

TEST_F(FileTransportTest, ReportsABatchAfterTheStopAsFailed) {
  std::vector<bool> done;
  const auto transport = make_file_transport(
      options_, "gw", {[&](std::uint64_t, bool ok) { done.push_back(ok); }, [](bool, const std::string&) {}});
  ASSERT_TRUE(transport->start());
  transport->stop(Duration::zero());
  transport->send(OutgoingBatch{});
  EXPECT_EQ(done, std::vector<bool>{false});
}

}  // namespace
}  // namespace tidegate::uplink::testing
