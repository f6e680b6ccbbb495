// How files get the names that they have when they are finished.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/uplink/file_writer_fixture.h"

namespace {

// What the calls below, which stand in for the C library's, are to do.
std::atomic<int> directory_syncs_until_failure = -1;
std::atomic<int> directory_syncs = 0;
std::atomic<bool> knows_no_replace = true;

}  // namespace

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
extern "C" int fsync(int descriptor) {
  struct stat status {};
  const bool is_directory = ::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode);
  if (is_directory) ++directory_syncs;
  if (!is_directory || directory_syncs_until_failure < 0 || directory_syncs_until_failure-- > 0) {
    return static_cast<int>(::syscall(SYS_fsync, descriptor));
  }
  errno = EIO;
  return -1;
}

extern "C" int renameat2(int from_directory, const char* from, int to_directory, const char* to,
                         unsigned flags) noexcept {
  if (knows_no_replace)
    return static_cast<int>(::syscall(SYS_renameat2, from_directory, from, to_directory, to, flags));
  errno = EINVAL;
  return -1;
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)

namespace tidegate::uplink::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using tidegate::testing::read_file;
using tidegate::testing::write_file;

class FileFinishTest : public FileWriterFixture {
 protected:
  ~FileFinishTest() override {
    directory_syncs_until_failure = -1;
    knows_no_replace = true;
  }
  bool is_there(const std::string& name) const { return std::filesystem::exists(directory_ / name); }
};

TEST_F(FileFinishTest, GivesAFileThatIsLargeEnoughANameOfItsOwn) {
  const auto size = lines(0, 3).size();
  restart_at(path_, size);
  write({batch(0, 1)});
  EXPECT_EQ(text(), lines(0, 1));
  write({batch(2, 3)});
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_EQ(read_file(directory_ / "out.3-3.ndjson"), lines(0, 3));
  write({batch(4, 5)});
  EXPECT_EQ(text(), lines(4, 5));
  restart_at(path_, size);
  write({batch(6, 6)});
  write({batch(7, 20)});
  EXPECT_EQ(read_file(directory_ / "out.3-20.ndjson"), lines(4, 20)) << "goes on in what an earlier process left";
  EXPECT_THAT(done_, ElementsAre(Pair(8, true)));
}

TEST_F(FileFinishTest, PutsNoFileInThePlaceOfAnother) {
  restart_at(path_, 1);
  write({batch(0, 1)});
  write({batch(0, 1)});  // of a replay
  EXPECT_EQ(read_file(directory_ / "out.3-1.ndjson"), lines(0, 1));
  EXPECT_EQ(read_file(directory_ / "out.3-1-2.ndjson"), lines(0, 1));
}

TEST_F(FileFinishTest, NamesRotatedFilesWithAndWithoutAnExtension) {
  std::filesystem::create_directory(directory_ / "a.d");
  for (const auto& [path, rotated] : std::vector<std::pair<std::string, std::string>>{
           {"a.d/out", "a.d/out.3-1"}, {"a.d/.hidden", "a.d/.hidden.3-1"}, {"a.d/x.y.json", "a.d/x.y.3-1.json"}}) {
    restart_at(directory_ / path, 1);
    write({batch(0, 1)});
    EXPECT_EQ(read_file(directory_ / rotated), lines(0, 1)) << path;
  }
}

TEST_F(FileFinishTest, AFileHasItsNameOnlyWhenItIsFinished) {
  options_.part_suffix = ".part";
  restart_at(path_, lines(0, 1).size());
  write({batch(0, 0)});
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_EQ(read_file(path_ + ".part"), lines(0, 0));
  restart_at(path_, lines(0, 1).size());
  write({batch(1, 1)});
  EXPECT_FALSE(std::filesystem::exists(path_ + ".part"));
  EXPECT_EQ(read_file(directory_ / "out.3-1.ndjson"), lines(0, 1));
}

TEST_F(FileFinishTest, AFileOfAnotherDayIsFinishedWithTheNextBatchOfItsStream) {
  options_.part_suffix = ".part";
  restart_at(directory_ / "{stream}-{date}.ndjson");
  write({batch(0, 0), batch(0, 0, Stream::events)});
  write({batch(1, 1), batch(2, 2, Stream::readings, 1)});
  EXPECT_EQ(read_file(directory_ / "readings-2025-10-09.ndjson"), lines(0, 1));
  EXPECT_EQ(read_file(directory_ / "readings-2025-10-10.ndjson.part"), lines(2, 2));
  EXPECT_EQ(read_file(directory_ / "events-2025-10-09.ndjson.part"), lines(0, 0, "events"));
}

TEST_F(FileFinishTest, AFileThatWasLeftUnfinishedIsFinishedAfterARestartWithoutItsTornEnd) {
  options_.part_suffix = ".part";
  write_file(directory_ / "readings-2025-10-07.ndjson.part", lines(0, 1) + "{\"gateway\":\"pl");
  write_file(directory_ / "readings-2025-10-08.ndjson.part", lines(2, 3));
  write_file(directory_ / "readings-2025-10-08.ndjson", lines(0, 0));
  write_file(directory_ / "readings-x.ndjson.part", "another's");
  restart_at(directory_ / "{stream}-{date}.ndjson");
  write({batch(4, 4)});
  EXPECT_EQ(read_file(directory_ / "readings-2025-10-07.ndjson"), lines(0, 1));
  EXPECT_EQ(read_file(directory_ / "readings-2025-10-08.ndjson"), lines(0, 0)) << "no file takes the place of another";
  EXPECT_EQ(read_file(directory_ / "readings-2025-10-08.2.ndjson"), lines(2, 3));
  EXPECT_EQ(read_file(directory_ / "readings-2025-10-09.ndjson.part"), lines(4, 4));
  EXPECT_EQ(read_file(directory_ / "readings-x.ndjson.part"), "another's");
}

// Then it is not known which name a power cut would leave, but the file is not the one that is written to.
TEST_F(FileFinishTest, NothingIsPutIntoAFileThatHasItsNameThoughItsDirectoryCannotBeSynced) {
  restart_at(path_, 1);
  directory_syncs_until_failure = 1;  // the first is of the file that is new
  write({batch(0, 1)});
  EXPECT_THAT(done_, ElementsAre(Pair(1, true)));
  EXPECT_EQ(directory_syncs_until_failure, -1) << "the sync behind the rename is the one that failed";
  EXPECT_EQ(read_file(directory_ / "out.3-1.ndjson"), lines(0, 1));
  write({batch(2, 3)});
  EXPECT_EQ(read_file(directory_ / "out.3-1.ndjson"), lines(0, 1));
  EXPECT_EQ(read_file(directory_ / "out.3-3.ndjson"), lines(2, 3));
}

TEST_F(FileFinishTest, ADirectoryThatCouldNotBeSyncedIsSyncedWithTheNextBatch) {
  restart_at(path_, lines(0, 1).size());
  directory_syncs_until_failure = 1;
  write({batch(0, 1)});
  directory_syncs = 0;
  write({batch(2, 2)});
  EXPECT_EQ(directory_syncs, 2) << "of the new file, and of the name that the old one got";
  directory_syncs = 0;
  write({batch(3, 3)});
  EXPECT_EQ(directory_syncs, 1) << "of the name that this one gets";
}

TEST_F(FileFinishTest, WhereNoRenameKeepsFromReplacingALinkDoesIt) {
  knows_no_replace = false;
  restart_at(path_, 1);
  write({batch(0, 1)});
  write({batch(0, 1)});  // of a replay
  EXPECT_EQ(read_file(directory_ / "out.3-1.ndjson"), lines(0, 1));
  EXPECT_EQ(read_file(directory_ / "out.3-1-2.ndjson"), lines(0, 1));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(FileFinishTest, AFileOfSeveralStreamsIsFinishedThoughOneOfThemIsSilent) {
  options_.part_suffix = ".part";
  restart_at(directory_ / "{date}.ndjson");
  write({batch(0, 0), batch(0, 0, Stream::events)});
  write({batch(1, 1, Stream::readings, 1)});
  EXPECT_EQ(read_file(directory_ / "2025-10-09.ndjson"), lines(0, 0) + lines(0, 0, "events"));
  write({batch(1, 1, Stream::events)});  // sent before midnight, and late
  EXPECT_EQ(read_file(directory_ / "2025-10-09.ndjson.part"), lines(1, 1, "events"));
  write({batch(2, 2, Stream::events, 1)});
  EXPECT_EQ(read_file(directory_ / "2025-10-09.2.ndjson"), lines(1, 1, "events"));
  EXPECT_EQ(read_file(directory_ / "2025-10-10.ndjson.part"), lines(1, 1) + lines(2, 2, "events"));
}

TEST_F(FileFinishTest, AFileWithNothingInItGetsNoName) {
  options_.part_suffix = ".part";
  write_file(directory_ / "readings-2025-10-07.ndjson.part", "");
  restart_at(directory_ / "{stream}-{date}.ndjson");
  write({batch(0, 0)});
  EXPECT_FALSE(is_there("readings-2025-10-07.ndjson"));
  EXPECT_FALSE(is_there("readings-2025-10-07.ndjson.part"));
}

TEST_F(FileFinishTest, WhatOnlyLooksLikeItsNameIsNotItsOwn) {
  options_.part_suffix = ".part";
  for (const char* const name : {"plant-2025-10-07.ndjson.part", "p*-2025-1x-07.ndjson.part"}) {
    write_file(directory_ / name, lines(0, 0));
  }
  write_file(directory_ / "p*-2025-10-07.ndjson.part", lines(0, 1));
  restart_at(directory_ / "p*-{date}.ndjson");
  write({batch(2, 2)});
  EXPECT_TRUE(is_there("plant-2025-10-07.ndjson.part"));
  EXPECT_TRUE(is_there("p*-2025-1x-07.ndjson.part"));
  EXPECT_EQ(read_file(directory_ / "p*-2025-10-07.ndjson"), lines(0, 1));
}

TEST_F(FileFinishTest, AFileThatIsNotOursIsLookedAtOnce) {
  options_.part_suffix = ".part";
  const std::string name = "readings-2025-10-07.ndjson.part";
  write_file(directory_ / name, "a diary");
  restart_at(directory_ / "{stream}-{date}.ndjson");
  write({batch(0, 0)});
  EXPECT_EQ(read_file(directory_ / name), "a diary");
  write_file(directory_ / name, lines(8, 8));
  write({batch(1, 1)});
  EXPECT_TRUE(is_there(name)) << "nobody looked again";
}

TEST_F(FileFinishTest, WhileNoNameIsFreeTheFileWaitsForOne) {
  options_.part_suffix = ".part";
  write_file(directory_ / "readings-2025-10-09.ndjson", "");
  for (int i = 2; i <= 100; ++i) write_file(directory_ / ("readings-2025-10-09." + std::to_string(i) + ".ndjson"), "");
  restart_at(directory_ / "{stream}-{date}.ndjson");
  write({batch(0, 0)});
  write({batch(1, 1, Stream::readings, 1)});
  EXPECT_EQ(read_file(directory_ / "readings-2025-10-09.ndjson.part"), lines(0, 0));
  std::filesystem::remove(directory_ / "readings-2025-10-09.7.ndjson");
  write({batch(2, 2, Stream::readings, 1)});
  EXPECT_EQ(read_file(directory_ / "readings-2025-10-09.7.ndjson"), lines(0, 0));
}

}  // namespace
}  // namespace tidegate::uplink::testing
