#include "drivers/mqtt_listener/session_journal.h"

#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/in_memory_file_system.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::drivers {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using ::testing::ElementsAre;
using testing::InMemoryFileSystem;
using ::testing::IsEmpty;

/// A journal whose process ends and begins again, beside a log that has the messages up to a number.
class SessionJournalTest : public ::testing::Test {
 protected:
  SessionJournalTest() {
    (void)disk_.make_directory("data");
    begin();
  }

  void begin() {
    journal_.reset();
    disk_.begin_process();
    std::vector<QueueMark> marks;
    for (const auto& [queue_id, position] : marks_) marks.push_back({queue_id, position});
    auto opened = SessionJournal::open(disk_, "data/sessions", "direct", marks);
    ASSERT_TRUE(opened) << opened.error().message;
    journal_ = std::move(*opened);
    number_ = 0;
  }
  void take(const std::string& client, std::uint16_t packet_id) {
    journal_->take(client, packet_id, {++number_, 7});
    journal_->flush();
  }
  void log_has_all() { marks_[journal_->queue_id()] = number_; }
  /// "client:id,id" of each session.
  std::vector<std::string> sessions() const {
    std::vector<std::string> all;
    for (const auto& [client, session] : journal_->sessions()) {
      std::string text = client + ":";
      for (const auto& one : session.taken) text += std::to_string(one.first) + ",";
      all.push_back(text);
    }
    return all;
  }
  std::uint64_t bytes_on_disk() const {
    return disk_.content("data/sessions/direct.a").size() + disk_.content("data/sessions/direct.b").size();
  }

  InMemoryFileSystem disk_;
  std::unique_ptr<SessionJournal> journal_;
  std::uint64_t number_ = 0;                      // the last one that was given out
  std::map<std::uint64_t, std::uint64_t> marks_;  // of the log, by queue
};

TEST_F(SessionJournalTest, KnowsAfterAKillWhatIsTakenAndNotReleased) {
  journal_->keep("pump", hours(2), user_digest("anna"));
  journal_->keep("fan", minutes(5));
  take("pump", 1);
  take("pump", 2);
  take("fan", 1);
  journal_->release("pump", 1);
  journal_->flush();
  log_has_all();
  begin();
  EXPECT_THAT(sessions(), ElementsAre("fan:1,", "pump:2,"));
  EXPECT_EQ(journal_->sessions().find("pump")->second.expiry, hours(2));
  EXPECT_EQ(journal_->sessions().find("pump")->second.owner, user_digest("anna"));
  EXPECT_NE(journal_->sessions().find("fan")->second.owner, user_digest(""));
  EXPECT_EQ(journal_->sessions().find("pump")->second.taken.at(2).digest, 7U);
  begin();
  EXPECT_THAT(sessions(), ElementsAre("fan:1,", "pump:2,")) << "and after the next";
}

// The process was killed between the note and the log: the client sends the message again, and then it is taken.
TEST_F(SessionJournalTest, AMessageThatTheLogDoesNotHaveIsNotTaken) {
  journal_->keep("pump", hours(2));
  take("pump", 1);
  log_has_all();
  take("pump", 2);
  begin();
  EXPECT_THAT(sessions(), ElementsAre("pump:1,"));
}

// Else a later mark would cover what was never in the log.
TEST_F(SessionJournalTest, NoMarkOfALaterProcessCoversMessagesThatDoNotCount) {
  journal_->keep("pump", hours(2));
  take("pump", 1);  // the log has nothing of it
  begin();
  take("pump", 2);
  log_has_all();
  begin();
  EXPECT_THAT(sessions(), ElementsAre("pump:2,"));
}

TEST_F(SessionJournalTest, NotesThatWereNotFlushedWereNeverMade) {
  journal_->keep("pump", hours(2));
  journal_->flush();
  journal_->take("pump", 1, {1, 7});
  EXPECT_TRUE(journal_->has_messages());
  marks_[journal_->queue_id()] = 1;
  begin();
  EXPECT_THAT(sessions(), ElementsAre("pump:"));
}

TEST_F(SessionJournalTest, AForgottenClientIsAnotherOneWhenItComesBack) {
  journal_->keep("pump", hours(2));
  take("pump", 1);
  journal_->forget("pump");
  journal_->flush();
  log_has_all();
  begin();
  EXPECT_THAT(sessions(), IsEmpty());
  journal_->keep("pump", hours(2));
  take("pump", 3);
  log_has_all();
  begin();
  EXPECT_THAT(sessions(), ElementsAre("pump:3,"));
}

TEST_F(SessionJournalTest, OfAClientWithoutASessionNothingIsNoted) {
  take("pump", 1);
  journal_->release("pump", 1);
  journal_->forget("pump");
  EXPECT_THAT(sessions(), IsEmpty());
}

TEST_F(SessionJournalTest, WhatWasSyncedSurvivesAPowerCut) {
  journal_->keep("pump", hours(2));
  take("pump", 1);
  journal_->sync();
  log_has_all();
  take("pump", 2);
  disk_.lose_unsynced();
  begin();
  EXPECT_THAT(sessions(), ElementsAre("pump:1,"));
}

// With a sync before each turn of the files nothing is lost, whatever a disk makes of what was not synced.
TEST_F(SessionJournalTest, PowerCutsLoseNothingThatWasSynced) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    journal_->keep("pump", hours(2));
    const auto id = static_cast<std::uint16_t>(seed);
    for (int i = 0; i < 40; ++i) take("pump", static_cast<std::uint16_t>(1000 + i));
    take("pump", id);
    journal_->sync();
    log_has_all();
    for (int i = 0; i < 40; ++i) journal_->release("pump", static_cast<std::uint16_t>(1000 + i));
    journal_->flush();
    if (seed % 3 == 0) journal_->tidy_up();
    disk_.power_cut(seed);
    begin();
    ASSERT_TRUE(journal_->sessions().contains("pump"));
    EXPECT_TRUE(journal_->sessions().find("pump")->second.taken.contains(id));
    journal_->forget("pump");
    journal_->flush();
  }
}

TEST_F(SessionJournalTest, StaysSmallHoweverManyMessagesPass) {
  journal_->keep("pump", hours(2));
  for (int i = 0; i < 100'000; ++i) {
    const auto id = static_cast<std::uint16_t>(1 + i % 1000);
    take("pump", id);
    journal_->release("pump", id);
    if (i % 100 == 0) {
      journal_->sync();
      journal_->tidy_up();
    }
  }
  EXPECT_LT(bytes_on_disk(), 1024U * 1024);
  take("pump", 77);
  log_has_all();
  begin();
  EXPECT_THAT(sessions(), ElementsAre("pump:77,"));
}

// The file before is what a power cut leaves: it is not written over as long as the other one is not durable.
TEST_F(SessionJournalTest, KeepsTheOtherFileUntilThisOneIsDurable) {
  for (std::uint16_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    journal_->keep("pump", hours(2));
    for (std::uint16_t id = 2000; id < 2100; ++id) take("pump", id);  // more than a sector
    take("pump", seed);
    journal_->sync();
    log_has_all();
    for (int i = 0; i < 20'000; ++i) {
      take("pump", 1000);
      journal_->release("pump", 1000);
      journal_->tidy_up();
    }
    disk_.power_cut(seed);
    begin();
    ASSERT_TRUE(journal_->sessions().contains("pump"));
    const auto& taken = journal_->sessions().find("pump")->second.taken;
    EXPECT_TRUE(taken.contains(seed) && taken.contains(2000) && taken.contains(2099));
  }
}

TEST_F(SessionJournalTest, AfterAFailedWriteItBeginsAnewAndSaysSo) {
  journal_->keep("pump", hours(2));
  disk_.fail(InMemoryFileSystem::Operation::write, 0, 3, ErrorCode::full, "direct");
  take("pump", 1);
  EXPECT_NE(journal_->problem(), "");
  journal_->tidy_up();
  EXPECT_NE(journal_->problem(), "");
  journal_->tidy_up();
  EXPECT_EQ(journal_->problem(), "");
  log_has_all();
  begin();
  EXPECT_THAT(sessions(), ElementsAre("pump:1,"));
}

// The next message under the id may be the same one, and would pass for a repeat.
TEST_F(SessionJournalTest, WhatCannotBeKeptIsNotBelievedLater) {
  for (const std::size_t failures : {1U, 2U}) {
    SCOPED_TRACE(std::to_string(failures) + " writes fail");
    journal_->keep("pump", hours(2));
    take("pump", 1);
    journal_->sync();
    log_has_all();
    disk_.fail(InMemoryFileSystem::Operation::write, 0, failures, ErrorCode::full, "direct");
    journal_->release("pump", 1);
    journal_->flush();
    EXPECT_TRUE(journal_->is_sound());
    disk_.fail_never();
    if (failures > 1) disk_.lose_unsynced();
    begin();
    // The other file has it, or there is none.
    EXPECT_EQ(sessions(), failures == 1 ? std::vector<std::string>{"pump:"} : std::vector<std::string>{});
  }
}

TEST_F(SessionJournalTest, IsNotSoundWhileWhatIsStaleCannotBeRemoved) {
  journal_->keep("pump", hours(2));
  take("pump", 1);
  log_has_all();
  disk_.fail(InMemoryFileSystem::Operation::write, 0, 100, ErrorCode::full, "direct");
  disk_.fail(InMemoryFileSystem::Operation::remove, 0, 1, ErrorCode::retry, "direct");
  journal_->release("pump", 1);
  journal_->flush();
  EXPECT_FALSE(journal_->is_sound());
  journal_->tidy_up();
  EXPECT_TRUE(journal_->is_sound()) << "they are removed";
  disk_.fail_never();
  journal_->tidy_up();
  EXPECT_EQ(journal_->problem(), "");
  begin();
  EXPECT_THAT(sessions(), ElementsAre("pump:"));
}

TEST_F(SessionJournalTest, KnowsWhatItFoundWhereNoFileCanBeBegun) {
  journal_->keep("pump", hours(2));
  take("pump", 1);
  take("pump", 2);
  log_has_all();
  disk_.fail(InMemoryFileSystem::Operation::reserve, 0, 100, ErrorCode::full, "direct");
  begin();
  EXPECT_THAT(sessions(), ElementsAre("pump:1,2,"));
  EXPECT_NE(journal_->problem(), "");
  EXPECT_TRUE(journal_->is_sound());
  journal_->release("pump", 1);
  journal_->flush();
  journal_->sync();
  disk_.fail_never();
  journal_->tidy_up();
  EXPECT_EQ(journal_->problem(), "");
  begin();
  EXPECT_THAT(sessions(), ElementsAre("pump:2,"));
}

TEST_F(SessionJournalTest, AFileThatCannotBeReadIsAnErrorUntilItIsDiscarded) {
  journal_->keep("pump", hours(2));
  journal_->flush();
  disk_.fail(InMemoryFileSystem::Operation::read, 0, 1, ErrorCode::retry, "direct");
  EXPECT_FALSE(SessionJournal::open(disk_, "data/sessions", "direct", {}));
  EXPECT_TRUE(SessionJournal::discard(disk_, "data/sessions", "direct"));
  EXPECT_TRUE(SessionJournal::discard(disk_, "data/sessions", "direct")) << "there is nothing to remove";
  disk_.lose_unsynced();
  begin();
  EXPECT_THAT(sessions(), IsEmpty());
}

// As where a full disk has no room for it: then there is nothing that a later process could believe.
TEST_F(SessionJournalTest, WithoutItsDirectoryThereIsNothingToDiscard) {
  const testing::TemporaryDirectory directory;
  PosixFileSystem disk;
  for (const std::string path : {"sessions", "cannot be made/sessions"}) {
    const auto discarded = SessionJournal::discard(disk, directory / path, "direct");
    EXPECT_TRUE(discarded) << discarded.error().message;
  }
  testing::write_file(directory / "file", "");
  EXPECT_FALSE(SessionJournal::discard(disk, directory / "file", "direct"));
  EXPECT_FALSE(disk.list(directory / "sessions")) << "nor is it made for that";
}

TEST_F(SessionJournalTest, HasRoomForSoManyMessagesOverAllClients) {
  std::size_t taken = 0;
  const auto fill = [&](const std::string& client) {
    journal_->keep(client, hours(2));
    for (std::uint32_t id = 1; id <= 65'535 && journal_->has_room_for(client); ++id, ++taken) {
      journal_->take(client, static_cast<std::uint16_t>(id), {++number_, 7});
    }
  };
  for (int client = 0; client < 5000; ++client) fill("client " + std::to_string(client));
  EXPECT_EQ(taken, std::size_t{256} * 1024);
  journal_->flush();
  log_has_all();
  begin();
  journal_->keep("late", hours(2));
  EXPECT_FALSE(journal_->has_room_for("late"));
  journal_->release("client 0", 1);
  EXPECT_TRUE(journal_->has_room_for("late"));
  EXPECT_FALSE(journal_->has_room_for("client 0"));
  journal_->take("late", 1, {1, 7});
  EXPECT_FALSE(journal_->has_room_for("late"));
  journal_->forget("client 1");
  EXPECT_TRUE(journal_->has_room_for("late"));
}

// However many ids they use, and never release.
TEST_F(SessionJournalTest, AFewClientsLeaveRoomForTheOthers) {
  for (const std::size_t ids_of_each : {65'535U, 2000U}) {
    begin();
    for (int client = 0; client < 500; ++client) {
      const std::string name = "hog " + std::to_string(client);
      journal_->keep(name, hours(2));
      std::size_t taken = 0;
      for (; taken < ids_of_each && journal_->has_room_for(name); ++taken) {
        journal_->take(name, static_cast<std::uint16_t>(taken + 1), {++number_, 7});
      }
      EXPECT_TRUE(client > 0 || taken == ids_of_each) << "as long as nobody else needs them";
    }
    for (int client = 0; client < 1000; ++client) {
      const std::string name = "sensor " + std::to_string(client);
      journal_->keep(name, hours(2));
      for (std::uint16_t id = 1; id <= 32; ++id) {
        ASSERT_TRUE(journal_->has_room_for(name)) << name << " " << id;
        journal_->take(name, id, {++number_, 7});
      }
    }
  }
}

// However much it begins with.
TEST_F(SessionJournalTest, AFileIsBegunAnewWhenItHasGrownAndNotForEver) {
  const std::string long_name(2000, 'x');
  for (int i = 0; i < 35'000; ++i) journal_->keep(long_name + std::to_string(i), hours(2));
  journal_->tidy_up();
  const std::size_t writes = disk_.count(InMemoryFileSystem::Operation::write);
  journal_->tidy_up();
  EXPECT_EQ(disk_.count(InMemoryFileSystem::Operation::write), writes);
}

TEST_F(SessionJournalTest, AFileWhoseSyncFailedIsNeverUsedAgain) {
  for (int i = 0; i < 6; ++i) {
    journal_->keep("pump", hours(2));
    disk_.fail(InMemoryFileSystem::Operation::sync, 0, 1, ErrorCode::retry, "direct");
    take("pump", static_cast<std::uint16_t>(i + 1));
    journal_->sync();
    EXPECT_NE(journal_->problem(), "");
    journal_->tidy_up();
    journal_->sync();
    EXPECT_EQ(journal_->problem(), "");
  }
  EXPECT_THAT(disk_.misuses(), IsEmpty());
  log_has_all();
  disk_.lose_unsynced();
  begin();
  EXPECT_THAT(sessions(), ElementsAre("pump:1,2,3,4,5,6,"));
}

TEST_F(SessionJournalTest, IsSyncedByAnotherThreadAllTheTime) {
  std::atomic<bool> ends{false};
  std::thread syncs([&] {
    while (!ends) journal_->sync();
  });
  journal_->keep("pump", hours(2));
  for (int i = 0; i < 20'000; ++i) {
    take("pump", 1);
    journal_->release("pump", 1);
    if (i % 100 == 0) journal_->tidy_up();
  }
  ends = true;
  syncs.join();
  take("pump", 2);
  journal_->sync();
  log_has_all();
  disk_.lose_unsynced();
  begin();
  EXPECT_THAT(sessions(), ElementsAre("pump:2,"));
}

TEST_F(SessionJournalTest, OpensWhateverTheFilesHold) {
  journal_->keep("pump", hours(2));
  journal_->keep("fan", hours(2));
  for (std::uint16_t id = 1; id <= 5; ++id) take("pump", id);
  journal_->release("pump", 2);
  journal_->forget("fan");
  journal_->flush();
  log_has_all();
  begin();
  const std::string path = "data/sessions/direct";
  const auto a = disk_.content(path + ".a");
  const auto b = disk_.content(path + ".b");
  for (std::size_t bit = 0; bit < std::size_t{8} * 400; ++bit) {
    disk_.set_content(path + ".a", a);
    disk_.set_content(path + ".b", b);
    disk_.flip_bit(path + ".a", bit);
    disk_.flip_bit(path + ".b", bit);
    begin();
    for (const auto& [client, session] : journal_->sessions()) {
      EXPECT_TRUE(client == "pump" || client == "fan") << client;
      EXPECT_LE(session.taken.size(), 5U);
    }
  }
  for (std::size_t bytes = 0; bytes < 400; ++bytes) {
    auto cut = a;
    cut.resize(bytes);
    disk_.set_content(path + ".a", cut);
    disk_.set_content(path + ".b", b);
    begin();
    EXPECT_LE(journal_->sessions().size(), 2U);
  }
}

}  // namespace
}  // namespace tidegate::drivers
