// The disk fails under the real daemon, and works again.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <filesystem>
#include <utility>
#include <vector>

#include "tests/integration/relay_rig.h"
#include "tests/support/small_disk.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

constexpr const char* kFailed = "tidegate_storage_failed";

/// The right to take the state database for oneself, used.
class DatabaseLock {
 public:
  explicit DatabaseLock(const std::string& path) {
    locked_ = sqlite3_open(path.c_str(), &database_) == SQLITE_OK &&
              sqlite3_exec(database_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK;
  }
  DatabaseLock(const DatabaseLock&) = delete;
  DatabaseLock& operator=(const DatabaseLock&) = delete;
  ~DatabaseLock() { sqlite3_close(database_); }
  bool is_locked() const { return locked_; }

 private:
  sqlite3* database_ = nullptr;
  bool locked_ = false;
};

class Storage : public ::testing::Test {
 protected:
  void configure(const std::string& buffer) {
    rig_.gateway().configure("[buffer]\n" + buffer + relay_config(rig_.source().port(), rig_.target().port()));
  }
  bool wait_until_failed(bool failed) {
    return wait_until([&] { return rig_.gateway().metric(kFailed) == (failed ? 1 : 0); }, seconds(30));
  }
  /// The alarm was raised and cleared, and nothing that was acknowledged is lost.
  void expect_well_again() {
    EXPECT_TRUE(wait_until_failed(false)) << "it does not recover by itself";
    EXPECT_TRUE(rig_.publisher().wait_for_all(seconds(60)));
    EXPECT_TRUE(rig_.checker().wait_for_all(seconds(60)));
    const auto report = rig_.checker().report();
    EXPECT_EQ(report.distinct, kCount);
    EXPECT_EQ(report.defects(), 0u) << ::testing::PrintToString(report.complaints);
    EXPECT_TRUE(rig_.checker().wait_for([](const DeliveryReport& now) { return now.alarms >= 2; }, seconds(20)))
        << "raised and cleared";
    EXPECT_TRUE(rig_.gateway().is_running());
    rig_.gateway().stop();
    if (HasFailure()) ADD_FAILURE() << rig_.gateway().log();
  }
  std::uint64_t reserved() {
    std::error_code none;
    const auto size = std::filesystem::file_size(rig_.gateway().data_directory() + "/reserve", none);
    return none ? 0 : size;
  }
  /// As if the file system could not reserve anything.
  void take_reserve() {
    ASSERT_TRUE(wait_until([this] { return reserved() > 0; }, seconds(20)));
    std::filesystem::resize_file(rig_.gateway().data_directory() + "/reserve", 0);
  }
  static constexpr std::uint64_t kCount = 60'000;
  RelayRig rig_{{kCount, 4'000}};
};

TEST_F(Storage, LivesThroughAFullDisk) {
  SmallDisk disk(rig_.gateway().data_directory(), 24 << 20);
  if (!disk.problem().empty()) {
    std::printf("not shown here: %s\n", disk.problem().c_str());
    return;
  }
  configure("size = \"8MiB\"\nalarms_size = \"1MiB\"\nevents_size = \"1MiB\"\n");
  rig_.start_gateway();
  rig_.publisher().start();
  ASSERT_TRUE(rig_.publisher().wait_for_acknowledged(2'000, seconds(60)));
  take_reserve();
  disk.fill_up();
  EXPECT_TRUE(wait_until_failed(true));
  EXPECT_FALSE(lines_with(rig_.gateway().log(), "No space left").empty() &&
               lines_with(rig_.gateway().log(), "disk is full").empty());
  const std::uint64_t most = rig_.watch_memory(seconds(4));
  EXPECT_LT(most, std::uint64_t{64} << 20) << "memory does not grow with what waits";
  EXPECT_TRUE(rig_.gateway().is_running());
  disk.free_again();
  expect_well_again();
}

// What the ring may grow to is reserved, so it does not even notice.
TEST_F(Storage, KeepsItsRoomOnADiskThatOthersFill) {
  SmallDisk disk(rig_.gateway().data_directory(), 24 << 20);
  if (!disk.problem().empty()) {
    std::printf("not shown here: %s\n", disk.problem().c_str());
    return;
  }
  configure("size = \"8MiB\"\nalarms_size = \"1MiB\"\nevents_size = \"1MiB\"\n");
  rig_.start_gateway();
  ASSERT_TRUE(wait_until([this] { return reserved() > (4 << 20); }, seconds(20)));
  disk.fill_up();
  rig_.publisher().start();
  EXPECT_TRUE(rig_.publisher().wait_for_all(seconds(60)));
  EXPECT_TRUE(rig_.checker().wait_for_all(seconds(60)));
  EXPECT_EQ(rig_.checker().report().defects(), 0u);
  EXPECT_EQ(rig_.gateway().metric(kFailed), 0);
  EXPECT_TRUE(lines_with(rig_.gateway().log(), "[error]").empty()) << rig_.gateway().log();
  // It starts on that disk too, and goes on where it was.
  rig_.gateway().kill();
  rig_.gateway().start();
  EXPECT_TRUE(wait_until([this] { return rig_.gateway().metric("tidegate_log_taking_records") == 1; }, seconds(20)));
  EXPECT_EQ(rig_.checker().report().distinct, kCount);
  rig_.gateway().stop();
}

TEST_F(Storage, StartsAsSoonAsAFullDiskHasRoom) {
  SmallDisk disk(rig_.gateway().data_directory(), 24 << 20);
  if (!disk.problem().empty()) {
    std::printf("not shown here: %s\n", disk.problem().c_str());
    return;
  }
  configure("size = \"8MiB\"\nalarms_size = \"1MiB\"\nevents_size = \"1MiB\"\n");
  rig_.start_gateway();
  rig_.publisher().start();
  ASSERT_TRUE(rig_.publisher().wait_for_acknowledged(2'000, seconds(60)));
  rig_.gateway().kill();
  take_reserve();
  std::filesystem::remove(rig_.gateway().data_directory() + "/state.db-shm");
  disk.fill_up();
  rig_.gateway().start_without_waiting();
  EXPECT_TRUE(wait_until([this] { return !lines_with(rig_.gateway().log(), "cannot start, trying again").empty(); },
                         seconds(20)))
      << rig_.gateway().log();
  EXPECT_TRUE(rig_.gateway().is_running());
  disk.free_again();
  EXPECT_TRUE(rig_.gateway().wait_until_ready(seconds(20))) << rig_.gateway().log();
  EXPECT_TRUE(lines_with(rig_.gateway().log(), "damaged").empty()) << rig_.gateway().log();
  EXPECT_TRUE(rig_.publisher().wait_for_all(seconds(60)));
  EXPECT_TRUE(rig_.checker().wait_for_all(seconds(60)));
  EXPECT_EQ(rig_.checker().report().distinct, kCount);
  EXPECT_EQ(rig_.checker().report().defects(), 0u);
  rig_.gateway().stop();
}

TEST_F(Storage, LivesWithoutFileDescriptors) {
  configure("size = \"1MiB\"\n");
  rig_.start_gateway();
  rig_.publisher().start();
  ASSERT_TRUE(rig_.publisher().wait_for_acknowledged(2'000, seconds(60)));
  const pid_t pid = rig_.gateway().process().pid();
  rlimit before{};
  ASSERT_EQ(::prlimit(pid, RLIMIT_NOFILE, nullptr, &before), 0);
  const rlimit none{3, before.rlim_max};
  ASSERT_EQ(::prlimit(pid, RLIMIT_NOFILE, &none, nullptr), 0);
  EXPECT_TRUE(
      wait_until([&] { return !lines_with(rig_.gateway().log(), "tidegate/storage raised").empty(); }, seconds(60)));
  EXPECT_FALSE(lines_with(rig_.gateway().log(), "Too many open files").empty());
  ASSERT_EQ(::prlimit(pid, RLIMIT_NOFILE, &before, nullptr), 0);
  expect_well_again();
}

TEST_F(Storage, LivesWithoutItsDatabase) {
  configure("");
  rig_.start_gateway();
  rig_.publisher().start();
  ASSERT_TRUE(rig_.publisher().wait_for_acknowledged(2'000, seconds(60)));
  {
    const DatabaseLock lock(rig_.gateway().data_directory() + "/state.db");
    ASSERT_TRUE(lock.is_locked());
    EXPECT_TRUE(wait_until_failed(true));
    EXPECT_EQ(rig_.gateway().metric("tidegate_log_taking_records"), 1) << "readings are taken all the same";
    EXPECT_FALSE(lines_with(rig_.gateway().log(), "cursors are not durable").empty());
  }
  expect_well_again();
}

// The alarm is not forgotten by a kill, and not raised twice.
TEST_F(Storage, ClearsItsAlarmAfterAKill) {
  configure("");
  rig_.start_gateway();
  rig_.publisher().start();
  {
    const DatabaseLock lock(rig_.gateway().data_directory() + "/state.db");
    ASSERT_TRUE(lock.is_locked());
    ASSERT_TRUE(wait_until_failed(true));
    rig_.gateway().kill();
  }
  rig_.gateway().start();
  EXPECT_TRUE(wait_until_failed(false));
  EXPECT_EQ(rig_.gateway().tail("alarms", "\"state\":\"raised\"").size(), 1U);
  EXPECT_TRUE(
      wait_until([&] { return rig_.gateway().tail("alarms", "\"state\":\"cleared\"").size() == 1; }, seconds(20)));
  rig_.gateway().stop();
}

// What would be written into files that have no name any more would be gone after a restart.
TEST(StorageRemoved, AcknowledgesNothingUntilTheLogHasAPlaceAgain) {
  RelayRig rig({60'000, 4'000}, "all");
  rig.gateway().configure(relay_config(rig.source().port(), rig.target().port()));
  const auto has_failed = [&](bool failed) {
    return wait_until([&] { return rig.gateway().metric(kFailed) == (failed ? 1 : 0); }, seconds(30));
  };
  rig.start_gateway();
  rig.publisher().start();
  ASSERT_TRUE(rig.publisher().wait_for_acknowledged(2'000, seconds(60)));
  const std::filesystem::path log = rig.gateway().data_directory() + "/log";
  std::vector<std::filesystem::path> folders{log};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(log)) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::filesystem::remove_all(log);
  ASSERT_TRUE(has_failed(true));
  // The broker's log comes after what it tells of.
  std::size_t acknowledged = 0;
  ASSERT_TRUE(wait_until(
      [&] {
        const std::size_t before = std::exchange(acknowledged, rig.acknowledged_by_gateway());
        rig.watch_memory(seconds(1));
        return before > 0 && before == rig.acknowledged_by_gateway();
      },
      seconds(30)));
  rig.watch_memory(seconds(2));
  EXPECT_EQ(rig.acknowledged_by_gateway(), acknowledged);
  for (const auto& folder : folders) std::filesystem::create_directory(folder);
  EXPECT_TRUE(has_failed(false)) << "it does not recover by itself";
  EXPECT_TRUE(wait_until([&] { return rig.acknowledged_by_gateway() > acknowledged; }, seconds(30)));
  rig.gateway().stop();
  if (::testing::Test::HasFailure()) ADD_FAILURE() << rig.gateway().log();
}

}  // namespace
}  // namespace tidegate::testing
