#pragma once

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "tests/buffer/log_fixture.h"
#include "tests/support/seed.h"

namespace tidegate::buffer {

/// The same short life of a log each time: segments fill, roll, are rewritten, evicted and used again, what is passed
/// moves, state is saved, the process is stopped, killed and started. Values follow from their sequences, so nothing
/// has to be remembered but how far things went. Tests make something fail in it.
class ScriptedLife : public LogFixture {
 protected:
  ScriptedLife() {
    options_.size_max_bytes = {kSegment * 3, kSegment * 2, kSegment * 2};
    options_.memory_bytes_max = 4096;
  }

  /// Over each file operation of the log; the default is the disk itself.
  virtual FileSystem& files() { return disk_; }
  /// Called when the log could not be opened; what makes it fail has to end some time.
  virtual void on_refused_open() = 0;

  void begin() {
    log_.reset();
    disk_.fail_never();
    disk_.wipe();
    ASSERT_TRUE(disk_.make_directory("data"));
    known_ = {};
    durable_ = {};
    written_ = {};
  }

  void live() {
    start();
    for (int i = 0; i < 14; ++i) step(i);
    stop();
    start();
    for (int i = 0; i < 10; ++i) step(i);
    kill();
    start();
    for (int i = 0; i < 8; ++i) step(i);
  }

  void start() {
    for (int tries = 0; !log_; ++tries) {
      ASSERT_LT(tries, 100) << "it never opens";
      disk_.begin_process();
      tags_ = std::make_unique<TagRegistry>();
      auto opened = RingLog::open(files(), clock_, *tags_, options_, known_);
      if (opened) {
        log_ = std::move(*opened);
        save();
      } else {
        on_refused_open();
        clock_.advance(std::chrono::seconds(1));
      }
    }
    for (const Stream stream : kAllStreams) {
      const std::uint64_t end = log_->end(stream).sequence;
      ASSERT_GE(end, written_[index(stream)]) << to_string(stream) << ": a kill takes nothing that was written";
      written_[index(stream)] = end;
    }
  }

  void step(int number) {
    std::vector<Reading> readings;
    readings.push_back(reading("d/number", log_->end(Stream::readings).sequence));
    readings.push_back(reading("d/filler", std::string(9'000, 'x')));
    const std::vector<QueueMark> marks{{1, log_->end(Stream::readings).sequence}};
    if (log_->append(readings, now(), marks)) note(Stream::readings);
    if (number % 3 == 0) append_numbered_document(Stream::alarms);
    if (number % 4 == 0) append_numbered_document(Stream::events);
    if (number % 5 == 4) log_->set_passed(Stream::readings, log_->durable(Stream::readings));
    clock_.advance(std::chrono::milliseconds(300));
    sync(false);
    if (number % 2 == 1) rewrite_one();
    clock_.advance(std::chrono::seconds(1));
    note_durable();
    save();
  }

  void stop() {
    sync();
    note_durable();
    known_ = log_->state();
    known_.clean = log_->durable(Stream::readings) == log_->end(Stream::readings);
    log_.reset();
  }
  void kill() { log_.reset(); }

  /// What was written works on, and what was durable is there after a power cut, unaltered.
  void check() {
    disk_.fail_never();
    if (!log_) start();
    clock_.advance(std::chrono::seconds(3));
    sync();
    step(0);
    sync();
    for (const Stream stream : kAllStreams) ASSERT_EQ(log_->durable(stream), log_->end(stream)) << to_string(stream);
    note_durable();
    save();
    log_.reset();
    disk_.lose_unsynced();
    start();
    ASSERT_FALSE(::testing::Test::HasFailure());
    for (const Stream stream : kAllStreams) check_content(stream);
  }

  static std::size_t index(Stream stream) { return static_cast<std::size_t>(stream); }

 private:
  // Its file takes its place with the next sync.
  void rewrite_one() {
    auto job = log_->next_rewrite();
    if (!job) return;
    while (!job->run_slice()) continue;
    log_->finish_rewrite(std::move(job));
  }
  void append_numbered_document(Stream stream) {
    const std::string document = R"({"event":"e","number":)" + std::to_string(log_->end(stream).sequence) +
                                 R"(,"text":")" + std::string(3'000, 'e') + "\"}";
    if (log_->append(stream, std::vector<std::string>{document}, now())) note(stream);
  }
  void note(Stream stream) { written_[index(stream)] = log_->end(stream).sequence; }
  void note_durable() {
    for (const Stream stream : kAllStreams) durable_[index(stream)] = log_->durable(stream).sequence;
  }

  void check_content(Stream stream) {
    ASSERT_GE(log_->end(stream).sequence, durable_[index(stream)]) << to_string(stream);
    const Position oldest = log_->oldest(stream);
    const ReadBack seen = read_disk(stream, oldest);
    ASSERT_TRUE(seen.gone.empty()) << to_string(stream) << ": durable records are gone";
    ASSERT_EQ(seen.records.size(), log_->end(stream).sequence - oldest.sequence) << to_string(stream);
    for (const auto& record : seen.records) {
      const std::string number = std::to_string(record.at.sequence);
      if (stream != Stream::readings) {
        const bool is_ours = record.document.find("\"event\":\"e\"") != std::string::npos;
        ASSERT_TRUE(!is_ours || record.document.find("\"number\":" + number + ",") != std::string::npos);
      } else if (record.tag_path == "d/number") {
        ASSERT_EQ(std::get<std::uint64_t>(record.reading.value), record.at.sequence);
      } else {
        ASSERT_EQ(std::get<std::string>(record.reading.value), std::string(9'000, 'x'));
      }
    }
  }

  std::array<std::uint64_t, kStreamCount> written_{};
  std::array<std::uint64_t, kStreamCount> durable_{};
};

}  // namespace tidegate::buffer
