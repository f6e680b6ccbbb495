#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "buffer/ring_log.h"
#include "tests/support/in_memory_file_system.h"
#include "tests/support/manual_clock.h"

namespace tidegate::buffer {

/// What a consumer saw of a stream.
struct ReadBack {
  struct Record {
    Position at;
    Reading reading;       // of `readings`
    std::string tag_path;  // of it, because ids differ from process to process
    std::string document;  // of the others
  };
  std::vector<Record> records;
  std::vector<std::pair<Position, std::uint64_t>> gone;  // where reading went on, records lost
};

/// A ring log on a disk in memory, with the state that the database would keep.
class LogFixture : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kSegment = 64 * 1024;

  LogFixture() {
    options_.directory = "data/log";
    options_.segment_bytes_max = kSegment;
    options_.size_max_bytes = {kSegment * 16, kSegment * 8, kSegment * 8};
    EXPECT_TRUE(disk_.make_directory("data"));
  }

  /// Opens with what was last saved, and saves, as the daemon does.
  void open() {
    log_.reset();
    disk_.begin_process();
    tags_ = std::make_unique<TagRegistry>();
    auto opened = RingLog::open(disk_, clock_, *tags_, options_, known_);
    ASSERT_TRUE(opened) << opened.error().message;
    log_ = std::move(*opened);
    save();
  }
  void save() { known_ = log_->state(); }
  /// What a clean stop does.
  void close() {
    sync();
    known_ = log_->state();
    known_.clean = true;
    log_.reset();
  }
  /// SIGKILL, then a start.
  void kill_and_reopen() {
    log_.reset();
    open();
  }

  FrameTimes now() const { return {clock_.wall_now(), clock_.boot_now(), clock_.quality()}; }

  Reading reading(std::string_view path, Value value) {
    Reading made;
    made.tag = tags_->intern(path);
    made.time = clock_.wall_now();
    made.value = std::move(value);
    return made;
  }
  Position append(const std::vector<Reading>& readings, const std::vector<QueueMark>& marks = {}) {
    auto first = log_->append(readings, now(), marks);
    EXPECT_TRUE(first) << first.error().message;
    return first.value_or(Position{});
  }
  /// `count` readings whose value is their sequence, in one frame.
  void append_numbered(std::uint64_t count, std::string_view path = "device/number") {
    std::vector<Reading> readings;
    const std::uint64_t first = log_->end(Stream::readings).sequence;
    for (std::uint64_t i = 0; i < count; ++i) readings.push_back(reading(path, first + i));
    append(readings);
  }
  void append_document(Stream stream, const std::string& document) {
    auto first = log_->append(stream, std::vector<std::string>{document}, now());
    ASSERT_TRUE(first) << first.error().message;
  }

  /// Runs jobs until nothing is due; true when a durable position moved.
  bool sync(bool now = true) {
    bool moved = false;
    for (int i = 0; i < 100; ++i) {
      auto job = log_->next_job(clock_.boot_now(), now);
      if (!job) return moved;
      job->run();
      moved = log_->finish(std::move(job)) || moved;
    }
    ADD_FAILURE() << "the log never runs out of jobs";
    return moved;
  }

  /// Rewrites what is worth it, and lets the new files take their places; returns how many segments were looked at.
  int rewrite() {
    int count = 0;
    for (; count < 1000; ++count) {
      auto job = log_->next_rewrite();
      if (!job) return count;
      for (int slice = 0; !job->run_slice(); ++slice) {
        if (slice == 100'000) ADD_FAILURE() << "a rewrite never comes to an end";
        if (slice == 100'000) return count;
      }
      log_->finish_rewrite(std::move(job));
      sync();
    }
    ADD_FAILURE() << "the log never runs out of rewrites";
    return count;
  }

  /// Reads as consumers do: from memory, from disk where the log says so.
  ReadBack read_all(Stream stream = Stream::readings, Position from = {}) {
    ReadBack seen;
    std::unique_ptr<DiskReader> reader;
    for (int i = 0; i < 1'000'000; ++i) {
      ReadOutcome outcome = log_->read(stream, from);
      if (outcome.status == ReadStatus::on_disk) {
        if (!reader) reader = log_->disk_reader(stream);
        auto from_disk = reader->read(from);
        if (!from_disk) {
          ADD_FAILURE() << from_disk.error().message;
          return seen;
        }
        outcome = *from_disk;
      }
      if (outcome.status == ReadStatus::at_end) return seen;
      take(outcome, from, seen);
      from = outcome.next;
    }
    ADD_FAILURE() << "reading never comes to an end";
    return seen;
  }
  /// The same from disk alone.
  ReadBack read_disk(Stream stream = Stream::readings, Position from = {}) {
    ReadBack seen;
    const auto reader = log_->disk_reader(stream);
    for (int i = 0; i < 1'000'000; ++i) {
      auto outcome = reader->read(from);
      if (!outcome) ADD_FAILURE() << outcome.error().message;
      if (!outcome || outcome->status == ReadStatus::at_end) return seen;
      take(*outcome, from, seen);
      from = outcome->next;
    }
    ADD_FAILURE() << "reading never comes to an end";
    return seen;
  }

  /// Every record read is a numbered one and holds what was written; returns their sequences.
  std::vector<std::uint64_t> numbers(const ReadBack& seen) {
    std::vector<std::uint64_t> sequences;
    for (const auto& record : seen.records) {
      const auto* value = std::get_if<std::uint64_t>(&record.reading.value);
      EXPECT_TRUE(value != nullptr && *value == record.at.sequence)
          << "sequence " << record.at.sequence << " is altered";
      sequences.push_back(record.at.sequence);
    }
    return sequences;
  }
  static std::vector<std::uint64_t> range(std::uint64_t first, std::uint64_t end) {
    std::vector<std::uint64_t> sequences;
    for (; first < end; ++first) sequences.push_back(first);
    return sequences;
  }

  std::vector<std::string> segment_files(Stream stream = Stream::readings) const {
    std::vector<std::string> found;
    const std::string directory = std::string("data/log/") + to_string(stream) + "/";
    for (const std::string& path : disk_.paths()) {
      if (path.starts_with(directory)) found.push_back(path);
    }
    return found;
  }

  testing::InMemoryFileSystem disk_;
  testing::ManualClock clock_;
  std::unique_ptr<TagRegistry> tags_;
  RingLogOptions options_;
  LogState known_;
  std::unique_ptr<RingLog> log_;

 private:
  void take(const ReadOutcome& outcome, Position from, ReadBack& seen) {
    if (outcome.status == ReadStatus::gone) {
      EXPECT_GT(outcome.next, from);
      seen.gone.emplace_back(outcome.next, outcome.lost);
      return;
    }
    ASSERT_EQ(outcome.status, ReadStatus::ready);
    const RecordBatch& batch = *outcome.batch;
    ASSERT_GT(batch.size(), 0U);
    ASSERT_EQ(outcome.next, batch.end());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      ReadBack::Record record;
      record.at = {batch.epoch, batch.first + i};
      if (batch.stream == Stream::readings) {
        record.reading = batch.readings[i];
        record.tag_path = tags_->tag(record.reading.tag).path;
      } else {
        record.document = batch.documents[i];
      }
      seen.records.push_back(std::move(record));
    }
  }
};

}  // namespace tidegate::buffer
