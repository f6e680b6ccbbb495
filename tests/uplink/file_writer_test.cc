#include "uplink/file_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/uplink/file_writer_fixture.h"

namespace tidegate::uplink::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using tidegate::testing::read_file;
using tidegate::testing::write_file;

// While it lives no file of this process grows over the limit: a disk that is full, short writes included.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_limit_);
    rlimit limit = old_limit_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_limit_{};
  void (*old_handler_)(int);
};

class FileWriterTest : public FileWriterFixture {};

TEST_F(FileWriterTest, WritesALineARecordWithTheEntryAsItStands) {
  write({batch(0, 1), batch(2, 4)});
  EXPECT_THAT(done_, ElementsAre(Pair(1, true), Pair(3, true)));
  EXPECT_EQ(text(), lines(0, 4));
}

TEST_F(FileWriterTest, GivesNoMemberOfALineTwice) {
  const auto event = [](const std::string& document) {
    OutgoingBatch batch;
    batch.stream = Stream::events;
    batch.epoch = 3;
    batch.payload = std::make_shared<const std::string>(R"({"v":1,"sent":1760000000000,"events":[)" + document + "]}");
    return batch;
  };
  write({event(R"({"seq":7,"event":"gap","stream":"readings","epoch":1,"first":5})")});
  write({event(R"({"seq":8,"event":"start","time":1,"gateway":"plant-7","version":"1"})")});
  EXPECT_EQ(text(),
            R"({"gateway":"plant-7","log_stream":"events","log_epoch":3,"seq":7,"event":"gap","stream":"readings",)"
            R"("epoch":1,"first":5})"
            "\n"
            R"({"gateway":"plant-7","stream":"events","epoch":3,"seq":8,"event":"start","time":1,"version":"1"})"
            "\n");
}

TEST_F(FileWriterTest, GoesOnInTheFileThatIsThere) {
  write({batch(0, 1)});
  restart();
  write({batch(2, 3)});
  EXPECT_EQ(text(), lines(0, 3));
}

TEST_F(FileWriterTest, NamesTheFileByStreamAndDayOfSending) {
  restart_at(directory_ / "{gateway}-{stream}-{date}.ndjson");
  write({batch(0, 1), batch(5, 6, Stream::events), batch(2, 3, Stream::readings, 1)});
  EXPECT_EQ(read_file(directory_ / "plant-7-readings-2025-10-09.ndjson"), lines(0, 1));
  EXPECT_EQ(read_file(directory_ / "plant-7-readings-2025-10-10.ndjson"), lines(2, 3));
  EXPECT_EQ(read_file(directory_ / "plant-7-events-2025-10-09.ndjson"), lines(5, 6, "events"));
}

TEST_F(FileWriterTest, PutsAllStreamsIntoOneFileWhenThePathNamesNone) {
  write({batch(0, 1), batch(0, 0, Stream::alarms), batch(2, 2)});
  EXPECT_EQ(text(), lines(0, 1) + lines(0, 0, "alarms") + lines(2, 2));
}

TEST_F(FileWriterTest, WritesNothingForABatchWithoutEntriesAndReportsIt) {
  OutgoingBatch empty = batch(0, 9);
  empty.payload = std::make_shared<const std::string>("{\"v\":1,\"sent\":0,\"readings\":[]}");
  write({empty, batch(10, 10)});
  EXPECT_THAT(done_, ElementsAre(Pair(1, true), Pair(11, true)));
}

TEST_F(FileWriterTest, CutsALineThatACrashTore) {
  const std::string whole = lines(0, 2);
  const std::string torn = lines(3, 3);
  for (std::size_t kept = 0; kept <= torn.size(); ++kept) {
    write_file(path_, whole + torn.substr(0, kept));
    restart();
    write({batch(3, 4)});
    ASSERT_THAT(done_, ElementsAre(Pair(4, true))) << kept;
    ASSERT_EQ(text(), (kept == torn.size() ? whole + torn : whole) + lines(3, 4)) << kept;
  }
}

TEST_F(FileWriterTest, CutsFromWhereACrashLeftZeros) {
  const std::string whole = lines(0, 2);
  const std::string unsynced = lines(3, 6);
  for (std::size_t at = 0; at < unsynced.size(); ++at) {
    std::string damaged = unsynced;
    damaged.replace(at, 40, std::min<std::size_t>(40, damaged.size() - at), '\0');
    write_file(path_, whole + damaged);
    restart();
    write({batch(3, 6)});
    ASSERT_THAT(done_, ElementsAre(Pair(4, true))) << at;
    const std::size_t kept = at == 0 ? 0 : unsynced.rfind('\n', at - 1) + 1;
    ASSERT_EQ(text(), whole + unsynced.substr(0, kept) + unsynced) << at;
  }
}

TEST_F(FileWriterTest, LeavesAFileAloneThatIsNotOfAnUplink) {
  const std::string endless = lines(0, 0) + std::string(std::size_t{9} << 20, '{');
  const std::string zeros = lines(0, 0) + std::string(std::size_t{9} << 20, '\0');  // more than was ever not synced
  for (const std::string& content : {std::string("a diary"), std::string("{\"gate\n{\"some\":"), endless, zeros}) {
    write_file(path_, content);
    restart();
    write({batch(0, 1)});
    ASSERT_THAT(done_, ElementsAre(Pair(1, false)));
    ASSERT_TRUE(text() == content);
  }
}

TEST_F(FileWriterTest, SaysHowTheEndBeginsThatIsNotOfAnUplink) {
  write_file(path_, lines(0, 0) + "{\"some\":\"thing\"");
  restart();
  write({batch(1, 1)});
  EXPECT_THAT(writer_->trouble(), HasSubstr("ends in the middle of a line that is not of an uplink: it begins with "
                                            R"("{"some":"thing"", and an uplink's with "{"gateway":")"));
}

TEST_F(FileWriterTest, FailsOnWhatIsNoRegularFile) {
  ASSERT_EQ(::mkdir((directory_ / "folder").c_str(), 0700), 0);
  ASSERT_EQ(::symlink((directory_ / "elsewhere").c_str(), (directory_ / "link").c_str()), 0);
  ASSERT_EQ(::mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  for (const std::string& path : {directory_ / "folder", directory_ / "link", directory_ / "pipe",
                                  std::string("/dev/null"), directory_ / "none/x"}) {
    restart_at(path);
    write({batch(0, 1)});
    ASSERT_THAT(done_, ElementsAre(Pair(1, false))) << path;
    EXPECT_EQ(writer_->trouble().find("is a symbolic link") != std::string::npos, path.ends_with("link"))
        << writer_->trouble();
  }
  EXPECT_NE(::access((directory_ / "elsewhere").c_str(), F_OK), 0);
}

TEST_F(FileWriterTest, TakesTheBatchAgainWhenTheDirectoryHasCome) {
  restart_at(directory_ / "later/x.ndjson");
  write({batch(0, 1)});
  ASSERT_EQ(::mkdir((directory_ / "later").c_str(), 0700), 0);
  write({batch(0, 1)});
  EXPECT_THAT(done_, ElementsAre(Pair(1, true)));
  EXPECT_EQ(read_file(directory_ / "later/x.ndjson"), lines(0, 1));
}

TEST_F(FileWriterTest, KeepsLinesWholeAndInOrderOnADiskThatIsFull) {
  const std::size_t line = lines(0, 0).size();
  for (std::size_t room = 0; room <= 8 * line; room += 7) {
    ::unlink(path_.c_str());
    restart();
    const std::vector<OutgoingBatch> batches{batch(0, 1), batch(2, 6), batch(7, 7)};
    {
      const FullDisk full(room);
      write(batches);
      const std::string reported = text();
      const bool first_fits = room >= 2 * line;
      const bool second_fits = room >= 7 * line;
      ASSERT_EQ(reported, second_fits && room >= 8 * line ? lines(0, 7)
                          : second_fits                   ? lines(0, 6)
                          : first_fits                    ? lines(0, 1)
                                                          : "")
          << room;
    }
    std::vector<OutgoingBatch> again;
    for (const auto& batch : batches) {
      for (const auto& [id, ok] : done_) {
        if (id == batch.id && !ok) again.push_back(batch);
      }
    }
    write(again);
    ASSERT_EQ(text(), lines(0, 7)) << room;
  }
}

TEST_F(FileWriterTest, TakesNothingBehindABatchThatFailedUntilItComesAgain) {
  {
    const FullDisk full(0);
    write({batch(0, 1)});
  }
  write({batch(2, 3), batch(0, 0, Stream::events)});
  EXPECT_THAT(done_, ElementsAre(Pair(3, false), Pair(1, true)));
  write({batch(0, 1), batch(2, 3)});
  EXPECT_THAT(done_, ElementsAre(Pair(1, true), Pair(3, true)));
  EXPECT_EQ(text(), lines(0, 0, "events") + lines(0, 3));
}

TEST_F(FileWriterTest, KeepsTheOrderWithinALaneThoughTheOtherOneGoesOn) {
  const auto of_backlog = [](OutgoingBatch batch) {
    batch.id |= std::uint64_t{1} << 18U;
    EXPECT_EQ(Forwarder::lane_of(batch.id), LaneOf(Stream::readings, Lane::backlog));
    return batch;
  };
  const OutgoingBatch backlog = of_backlog(batch(10, 10));
  {
    const FullDisk nearly_full(lines(10, 10).size() + lines(106, 106).size() + 10);  // and six do not fit
    write({batch(100, 105), backlog, batch(106, 106)});
  }
  EXPECT_THAT(done_, ElementsAre(Pair(101, false), Pair(107, false), Pair(backlog.id, true)));
  const OutgoingBatch next = of_backlog(batch(11, 11));
  write({next, batch(100, 105), batch(106, 106)});
  EXPECT_THAT(done_, ElementsAre(Pair(next.id, true), Pair(101, true), Pair(107, true)));
  EXPECT_EQ(text(), lines(10, 11) + lines(100, 106));
}

TEST_F(FileWriterTest, WaitsForNothingInTheOtherLane) {
  OutgoingBatch backlog = batch(10, 10);
  backlog.id |= std::uint64_t{1} << 18U;
  {
    const FullDisk full(0);
    write({backlog});
  }
  write({batch(100, 100)});
  EXPECT_THAT(done_, ElementsAre(Pair(101, true)));
}

TEST_F(FileWriterTest, WaitsNoLongerForABatchThatAReplayHasPassedOver) {
  {
    const FullDisk full(0);
    write({batch(0, 1), batch(0, 1, Stream::events)});
  }
  OutgoingBatch replay = batch(8, 9);
  replay.replay = true;
  replay.round = 1;
  OutgoingBatch behind = batch(10, 11);
  behind.round = 1;
  write({replay, behind, batch(2, 3, Stream::events)});
  EXPECT_THAT(done_, ElementsAre(Pair(3, false), Pair(9, true), Pair(11, true)));
  EXPECT_EQ(text(), lines(8, 11));
}

TEST_F(FileWriterTest, BeginsANewFileWhenTheOldOneWasMovedAwayOrDeleted) {
  write({batch(0, 1)});
  ASSERT_EQ(::rename(path_.c_str(), (directory_ / "moved").c_str()), 0);
  write({batch(2, 3)});
  EXPECT_EQ(read_file(directory_ / "moved"), lines(0, 1));
  EXPECT_EQ(text(), lines(2, 3));
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  write({batch(4, 5)});
  EXPECT_EQ(text(), lines(4, 5));
}

TEST_F(FileWriterTest, GoesOnInAFileThatOthersHaveEmptied) {
  write({batch(0, 5)});
  ASSERT_EQ(::truncate(path_.c_str(), 0), 0);
  write({batch(6, 6)});
  {
    const FullDisk full(lines(6, 6).size() + 10);
    write({batch(7, 7)});
  }
  EXPECT_THAT(done_, ElementsAre(Pair(8, false)));
  EXPECT_EQ(text(), lines(6, 6));
}

TEST_F(FileWriterTest, CsvBeginsEachFileWithTheNamesOfTheColumns) {
  options_.format = FileFormat::csv;
  restart_at(directory_ / "{stream}-{date}.csv");
  const std::string header = "stream,gateway,epoch,seq,tag,time,value,kind,quality,reason,time_quality\r\n";
  write({batch(0, 0), batch(1, 1)});
  restart_at(options_.path);
  write({batch(2, 2), batch(3, 3, Stream::readings, 1)});
  const auto line = [](int seq) {
    return "\"readings\",\"plant-7\",3," + std::to_string(seq) + ",\"a}{\"\"/x\",,1.0,float,,,\r\n";
  };
  EXPECT_EQ(read_file(directory_ / "readings-2025-10-09.csv"), header + line(0) + line(1) + line(2));
  EXPECT_EQ(read_file(directory_ / "readings-2025-10-10.csv"), header + line(3));
}

// Texts with line breaks and quotes, at whose every byte a crash may have torn the file.
TEST_F(FileWriterTest, CsvThatACrashToreIsCutToItsLastWholeLine) {
  options_.format = FileFormat::csv;
  options_.forwarder.streams = {Stream::readings};
  const auto text_batch = [this](std::uint64_t from, std::uint64_t to) {
    OutgoingBatch made = batch(from, to);
    std::string payload = *made.payload;
    for (std::size_t at = 0; (at = payload.find("1.0", at)) != std::string::npos; at += 10) {
      payload.replace(at, 3, R"("\r\n\"readings\",\"plant-7\",\n\"")");
    }
    made.payload = std::make_shared<const std::string>(payload);
    return made;
  };
  restart();
  write({text_batch(0, 2)});
  const std::string whole = text();
  write({text_batch(3, 3)});
  const std::string all = text();
  ::unlink(path_.c_str());
  restart();
  write({text_batch(3, 3)});
  const std::string alone = text();
  for (std::size_t kept = 0; kept <= all.size(); ++kept) {
    write_file(path_, all.substr(0, kept));
    restart();
    write({text_batch(3, 3)});
    ASSERT_THAT(done_, ElementsAre(Pair(4, true))) << kept;
    ASSERT_TRUE(text().ends_with(alone.substr(alone.find('\n') + 1))) << kept << text();
    if (kept >= whole.size() && kept < all.size()) {
      ASSERT_EQ(text(), all) << kept;
    }
    ASSERT_EQ(text().substr(0, alone.find('\n')), alone.substr(0, alone.find('\n'))) << kept;
  }
}

TEST_F(FileWriterTest, CsvGoesOnUnderAnotherIdOfTheGateway) {
  options_.format = FileFormat::csv;
  options_.forwarder.streams = {Stream::readings};
  restart();
  write({batch(0, 2)});
  const std::string whole = text();
  write({batch(3, 3)});
  const std::string torn = text();
  for (std::size_t kept = whole.size(); kept < torn.size(); ++kept) {
    write_file(path_, torn.substr(0, kept));
    writer_ = std::make_unique<FileWriter>(options_, "plant-8");
    write({batch(3, 3)});
    ASSERT_THAT(done_, ElementsAre(Pair(4, true))) << kept << writer_->trouble();
    ASSERT_EQ(text(), whole + "\"readings\",\"plant-8\",3,3,\"a}{\"\"/x\",,1.0,float,,,\r\n") << kept;
  }
}

TEST_F(FileWriterTest, CsvIsNotPutIntoAFileOfAnotherForm) {
  options_.format = FileFormat::csv;
  for (const std::string& content : {lines(0, 0), std::string("stream,gateway,epoch,other\r\n")}) {
    write_file(path_, content);
    restart();
    write({batch(0, 1)});
    ASSERT_THAT(done_, ElementsAre(Pair(1, false)));
    ASSERT_EQ(text(), content);
    EXPECT_THAT(writer_->trouble(), HasSubstr("does not begin with the header line \"stream,gateway,epoch,seq,tag"));
    EXPECT_THAT(writer_->trouble(), HasSubstr("but with \"" + content.substr(0, 5)));
  }
}

TEST_F(FileWriterTest, FailsWhatIsNoBatch) {
  OutgoingBatch broken = batch(0, 1);
  broken.payload = std::make_shared<const std::string>("{\"v\":1");
  write({broken});
  EXPECT_THAT(done_, ElementsAre(Pair(1, false)));
  EXPECT_THAT(text(), IsEmpty());
}

TEST(FileWriterPathTest, HasOnlyPlaceholdersThatAreKnownAndNamesAFile) {
  EXPECT_TRUE(FileWriter::check_path("/srv/{gateway}/{stream}-{date}.ndjson"));
  for (const char* const path : {"", "/srv/", "/srv/{day}.ndjson", "/srv/{date"}) {
    const auto checked = FileWriter::check_path(path);
    ASSERT_FALSE(checked) << path;
    EXPECT_EQ(checked.error().code, ErrorCode::invalid);
    EXPECT_THAT(checked.error().message, HasSubstr(path));
  }
}

}  // namespace
}  // namespace tidegate::uplink::testing
