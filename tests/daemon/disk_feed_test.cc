#include "daemon/disk_feed.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <vector>

namespace tidegate::daemon {
namespace {

using std::chrono::seconds;

/// A log of which only readers are asked for, and which counts them. Each of their reads gives one record.
class ReadersOnly final : public buffer::LogContents {
 public:
  Position oldest(Stream) const override { return {1, 1}; }
  std::uint64_t stored(Stream) const override { return 0; }
  std::uint64_t bytes(Stream) const override { return 0; }
  buffer::ReadOutcome read(Stream, Position) override { return {}; }
  std::unique_ptr<buffer::DiskReader> disk_reader(Stream) const override {
    ++made;
    return std::make_unique<Reader>(open);
  }
  std::uint64_t distance(Stream, Position, Position) const override { return 0; }
  std::uint64_t sequence_of(Stream, Position position) const override { return position.sequence; }
  Position position_of(Stream, std::uint64_t sequence) const override { return {1, sequence}; }
  std::vector<buffer::LostPart> explain(Stream, Position, Position) override { return {}; }
  std::vector<buffer::LostPart> missing(Stream, Position, Position) override { return {}; }

  mutable int made = 0;
  mutable int open = 0;

 private:
  class Reader final : public buffer::DiskReader {
   public:
    explicit Reader(int& open) : open_(open) { ++open_; }
    ~Reader() override { --open_; }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    Result<buffer::ReadOutcome> read(Position from) override {
      auto batch = std::make_shared<RecordBatch>();
      batch->epoch = from.epoch;
      batch->first = from.sequence;
      batch->readings.resize(1);
      return buffer::ReadOutcome{buffer::ReadStatus::ready, std::move(batch), {}, 0};
    }
    Result<std::optional<Position>> find(const buffer::ReadPlace&) override { return std::nullopt; }

   private:
    int& open_;
  };
};

class DiskFeedTest : public ::testing::Test {
 protected:
  std::size_t read() {
    std::size_t records = 0;
    feed_.read({1, 1}, [&](const Result<DiskFeed::Outcomes>& outcomes) {
      records = outcomes->size();
      loop_.stop();
    });
    loop_.run();
    // The worker holds the reader until it is done with the job.
    std::promise<void> idle;
    storage_.post([&] { idle.set_value(); });
    idle.get_future().wait();
    return records;
  }

  ReadersOnly log_;
  EventLoop loop_;
  Worker storage_{"storage"};
  DiskFeed feed_{log_, Stream::readings, storage_, loop_};
};

TEST_F(DiskFeedTest, ReadsOnWithTheSameReaderAsLongAsItIsUsed) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_GT(read(), 0U);
    feed_.let_go_unused(BootTime{} + i * DiskFeed::kKeptFor);
    ASSERT_EQ(log_.made, 1);
  }
}

TEST_F(DiskFeedTest, LetsGoOfAReaderThatIsNotUsedForAWhileAndMakesAnother) {
  const BootTime now{seconds(1000)};
  feed_.let_go_unused(now);
  ASSERT_GT(read(), 0U);
  feed_.let_go_unused(now);
  feed_.let_go_unused(now + DiskFeed::kKeptFor - seconds(1));
  EXPECT_EQ(log_.open, 1);
  feed_.let_go_unused(now + DiskFeed::kKeptFor);
  EXPECT_EQ(log_.open, 0);
  EXPECT_GT(read(), 0U);
  EXPECT_EQ(log_.made, 2);
}

TEST_F(DiskFeedTest, KeepsAReaderThatIsReading) {
  std::size_t records = 0;
  feed_.read({1, 1}, [&](const Result<DiskFeed::Outcomes>& outcomes) {
    records = outcomes->size();
    loop_.stop();
  });
  for (int i = 0; i < 3; ++i) feed_.let_go_unused(BootTime{} + i * DiskFeed::kKeptFor);
  loop_.run();
  EXPECT_GT(records, 0U);
  EXPECT_EQ(log_.open, 1);
}

}  // namespace
}  // namespace tidegate::daemon
