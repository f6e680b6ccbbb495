#include "buffer/state_store.h"

#include <gmock/gmock.h>
#include <sqlite3.h>

#include <filesystem>

#include "tests/buffer/failing_vfs.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::buffer {
namespace {

using ::testing::HasSubstr;
using testing::read_file;
using testing::TemporaryDirectory;
using testing::write_file;

class StateStoreTest : public ::testing::Test {
 protected:
  void open() {
    store_.reset();
    auto opened = StateStore::open(path_);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  Checkpoint load() {
    auto loaded = store_->load();
    EXPECT_TRUE(loaded) << loaded.error().message;
    return loaded.value_or(Checkpoint{});
  }
  void save(const Checkpoint& checkpoint) {
    const auto saved = store_->save(checkpoint);
    ASSERT_TRUE(saved) << saved.error().message;
  }
  static Checkpoint example() {
    Checkpoint checkpoint;
    checkpoint.log.log_id = {1, 0, 255, 4};
    checkpoint.log.epoch = 7;
    checkpoint.log.clean = true;
    checkpoint.log.durable = {Position{7, 1000}, Position{7, 3}, Position{6, 18'446'744'073'709'551'615U}};
    checkpoint.log.epochs = {{Stream::readings, 6, 1, 900}, {Stream::readings, 7, 901, 999}, {Stream::events, 7, 1, 0}};
    checkpoint.log.dropped = {{Stream::readings, 7, 950, 960, WallTime(Duration(-5)), WallTime(Duration(1'760'000))},
                              {Stream::readings, 7, 970, 970, {}, {}}};
    checkpoint.cursors = {
        {"cloud", Stream::readings, {7, 5}, {7, 9}, 4, 3, 1, {{"dropped/overflow", 1}, {"replayed", 9}}},
        {"lake", Stream::alarms, {1, 1}, {1, 2}, 0, 0, 0}};
    checkpoint.rules = std::string("state\0with zeros", 16);
    checkpoint.counters = {{"accepted/local", 12}, {"accepted/line-1", 18'446'744'073'709'551'615U}};
    return checkpoint;
  }
  static void expect_same(const Checkpoint& a, const Checkpoint& b) {
    EXPECT_EQ(a.log.log_id, b.log.log_id);
    EXPECT_EQ(a.log.epoch, b.log.epoch);
    EXPECT_EQ(a.log.clean, b.log.clean);
    EXPECT_EQ(a.log.durable, b.log.durable);
    EXPECT_EQ(a.log.dropped, b.log.dropped);
    EXPECT_EQ(a.rules, b.rules);
    EXPECT_EQ(a.counters, b.counters);
    ASSERT_EQ(a.log.epochs.size(), b.log.epochs.size());
    for (std::size_t i = 0; i < a.log.epochs.size(); ++i) {
      EXPECT_EQ(a.log.epochs[i].stream, b.log.epochs[i].stream);
      EXPECT_EQ(a.log.epochs[i].epoch, b.log.epochs[i].epoch);
      EXPECT_EQ(a.log.epochs[i].first, b.log.epochs[i].first);
      EXPECT_EQ(a.log.epochs[i].last, b.log.epochs[i].last);
    }
    ASSERT_EQ(a.cursors.size(), b.cursors.size());
    for (std::size_t i = 0; i < a.cursors.size(); ++i) {
      EXPECT_EQ(a.cursors[i].uplink, b.cursors[i].uplink);
      EXPECT_EQ(a.cursors[i].stream, b.cursors[i].stream);
      EXPECT_EQ(a.cursors[i].acked_to, b.cursors[i].acked_to);
      EXPECT_EQ(a.cursors[i].passed_to, b.cursors[i].passed_to);
      EXPECT_EQ(a.cursors[i].delivered, b.cursors[i].delivered);
      EXPECT_EQ(a.cursors[i].filtered, b.cursors[i].filtered);
      EXPECT_EQ(a.cursors[i].dropped, b.cursors[i].dropped);
      EXPECT_EQ(a.cursors[i].accounts, b.cursors[i].accounts);
    }
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_ / "state.db";
  std::unique_ptr<StateStore> store_;
};

TEST_F(StateStoreTest, IsEmptyAtFirst) {
  open();
  EXPECT_FALSE(store_->notice());
  expect_same(load(), Checkpoint{});
}

TEST_F(StateStoreTest, KeepsACheckpointOverRestarts) {
  open();
  save(example());
  open();
  EXPECT_FALSE(store_->notice());
  expect_same(load(), example());
}

// What a version wrote that knew neither of accounts nor of readings that were dropped on purpose.
TEST_F(StateStoreTest, TakesADatabaseWithoutTheNewerTables) {
  open();
  save(example());
  store_.reset();
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, "DROP TABLE accounts; DROP TABLE dropped", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
  open();
  EXPECT_FALSE(store_->notice());
  Checkpoint expected = example();
  expected.log.dropped.clear();
  expected.cursors[0].accounts.clear();
  expect_same(load(), expected);
  save(example());
  open();
  expect_same(load(), example());
}

TEST_F(StateStoreTest, KeepsTheLastOfManyCheckpoints) {
  open();
  Checkpoint checkpoint = example();
  for (std::uint64_t i = 0; i < 50; ++i) {
    checkpoint.log.durable[0].sequence = 1000 + i;
    checkpoint.cursors[0].acked_to.sequence = i;
    checkpoint.counters["accepted/local"] = i;
    if (i == 20) checkpoint.log.epochs.erase(checkpoint.log.epochs.begin());
    if (i == 25) checkpoint.log.dropped.clear();
    if (i == 30) checkpoint.rules = "other";
    save(checkpoint);
  }
  open();
  expect_same(load(), checkpoint);
}

TEST_F(StateStoreTest, IsReadableToOthersWhileItIsOpenAndNotTornByAKill) {
  open();
  save(example());
  // A copy of the files as they stand is what a kill leaves behind.
  for (const char* part : {"", "-wal"}) {
    if (std::filesystem::exists(path_ + part))
      std::filesystem::copy_file(path_ + part, (directory_ / "copy.db") + part);
  }
  auto copy = StateStore::open(directory_ / "copy.db");
  ASSERT_TRUE(copy) << copy.error().message;
  expect_same(*(*copy)->load(), example());
}

TEST_F(StateStoreTest, PutsAFileAsideThatIsNoDatabase) {
  write_file(path_, std::string(10'000, 'x'));
  open();
  ASSERT_TRUE(store_->notice());
  EXPECT_THAT(*store_->notice(), HasSubstr("state.db.damaged-1"));
  EXPECT_EQ(read_file(path_ + ".damaged-1").size(), 10'000U);
  save(example());
  open();
  EXPECT_FALSE(store_->notice());
  expect_same(load(), example());
}

TEST_F(StateStoreTest, AlwaysOpensWhateverByteOfTheFileIsDamaged) {
  open();
  save(example());
  store_.reset();
  const std::string whole = read_file(path_);
  ASSERT_GE(whole.size(), 4096U);
  for (std::size_t at = 0; at < whole.size(); at += 211) {
    std::string damaged = whole;
    for (std::size_t i = at; i < std::min(at + 64, damaged.size()); ++i) damaged[i] = static_cast<char>(~damaged[i]);
    write_file(path_, damaged);
    for (const char* part : {"-wal", "-shm"}) std::filesystem::remove(path_ + part);
    open();
    ASSERT_TRUE(store_) << "at " << at;
    save(example());
    expect_same(load(), example());
    ASSERT_FALSE(HasFailure()) << "at " << at;
    store_.reset();
  }
}

TEST_F(StateStoreTest, TakesAWriteAheadLogWholeOrNotAtAll) {
  open();
  save(example());
  const std::string left_over = read_file(path_ + "-wal");
  ASSERT_FALSE(left_over.empty());
  store_.reset();
  for (const std::size_t bytes : {left_over.size(), left_over.size() / 2, std::size_t{100}, std::size_t{0}}) {
    for (const std::string& file : {std::string(5000, 'x'), std::string()}) {
      write_file(path_, file);
      write_file(path_ + "-wal", left_over.substr(0, bytes));
      open();
      const Checkpoint found = load();
      expect_same(found, found.log.epoch != 0 ? example() : Checkpoint{});
      store_.reset();
    }
  }
}

TEST_F(StateStoreTest, ReadsAgainWhatCouldNotBeRead) {
  open();
  save(example());
  store_.reset();
  {
    const FailingVfs disk(3);
    open();
    expect_same(load(), example());
    EXPECT_FALSE(store_->notice());
    store_.reset();
  }
  const FailingVfs disk(8);
  open();
  EXPECT_THAT(store_->notice().value_or(""), HasSubstr("moved to")) << "it always starts";
  store_.reset();
}

TEST_F(StateStoreTest, GivesEveryDamagedFileANameOfItsOwn) {
  for (int i = 1; i <= 3; ++i) {
    store_.reset();
    write_file(path_, "damaged " + std::to_string(i) + std::string(5000, 'x'));
    open();
    EXPECT_THAT(read_file(path_ + ".damaged-" + std::to_string(i)), HasSubstr("damaged " + std::to_string(i)));
  }
}

TEST_F(StateStoreTest, PutsADirectoryOfThatNameAside) {
  std::filesystem::create_directory(path_);
  open();
  EXPECT_TRUE(store_->notice());
  EXPECT_TRUE(std::filesystem::is_directory(path_ + ".damaged-1"));
}

TEST_F(StateStoreTest, PutsAsideWhatALaterVersionWrote) {
  open();
  save(example());
  store_.reset();
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, "PRAGMA user_version = 99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
  open();
  ASSERT_TRUE(store_->notice());
  EXPECT_THAT(*store_->notice(), HasSubstr("version 99, this program reads up to 1"));
}

TEST_F(StateStoreTest, SaysWhenTheDirectoryIsMissing) {
  const auto opened = StateStore::open(directory_ / "missing/state.db");
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("missing/state.db"));
}

}  // namespace
}  // namespace tidegate::buffer
