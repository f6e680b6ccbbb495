#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer/ring_log.h"

namespace tidegate::testing {

/// A ring log in plain memory that can be told to refuse. Knows one epoch; evicts nothing.
class FakeRingLog final : public buffer::RingLog {
 public:
  void refuse_with(ErrorCode code, const std::string& why = "pwrite: No space left on device") {
    refusal_ = Error{code, why};
  }
  void accept_again() { refusal_.reset(); }
  /// Takes so many more appends of readings, then refuses.
  void refuse_after(std::size_t appends, ErrorCode code) { later_ = Later{appends, code, false}; }
  /// The same for documents.
  void refuse_documents_after(std::size_t appends, ErrorCode code) { later_ = Later{appends, code, true}; }
  void set_fill(buffer::StreamFill fill) { fill_ = fill; }
  /// Every append that contains this value is invalid.
  void refuse_value(std::int64_t value) { refused_value_ = value; }
  /// From here on readings take their sequences and are not kept.
  void drop_readings(bool drop) { drops_ = drop; }
  /// A document that is longer is invalid.
  void set_document_bytes_max(std::size_t bytes) { document_bytes_max_ = bytes; }
  /// From here on records become durable by jobs only.
  void sync_by_jobs() { durable_ = ends(); }
  /// Whether jobs fail, and the log has failed from then on.
  void fail_syncs(bool fail) { syncs_fail_ = fail; }
  int jobs_run() const { return jobs_run_; }
  std::size_t largest_append() const { return largest_append_; }
  /// Of readings, also those that were refused.
  std::size_t appends() const { return appends_; }
  const std::vector<Reading>& readings() const { return readings_; }
  const std::vector<std::string>& documents(Stream stream) const {
    return documents_[static_cast<std::size_t>(stream)];
  }
  const std::vector<QueueMark>& marks() const { return marks_; }

  const buffer::RecoveryReport& recovery() const override { return recovery_; }
  buffer::LogState state() const override {
    buffer::LogState state;
    for (const Stream stream : kAllStreams) state.epochs.push_back({stream, 1, 1, stored(stream)});
    return state;
  }
  std::vector<QueueMark> queue_marks() const override { return marks_; }

  Result<Position> append(std::span<const Reading> readings, const FrameTimes&,
                          std::span<const QueueMark> marks) override {
    ++appends_;
    come_to_later(false);
    if (refusal_) return tl::unexpected(*refusal_);
    for (const auto& reading : readings) {
      if (refused_value_ && reading.value == Value(*refused_value_)) return fail(ErrorCode::invalid, "never");
    }
    largest_append_ = std::max(largest_append_, readings.size());
    const Position first = end(Stream::readings);
    if (drops_) {
      dropped_ += readings.size();
      return first;
    }
    readings_.insert(readings_.end(), readings.begin(), readings.end());
    marks_.assign(marks.begin(), marks.end());
    return first;
  }
  Result<Position> append(Stream stream, std::span<const std::string> documents, const FrameTimes&) override {
    come_to_later(true);
    if (refusal_) return tl::unexpected(*refusal_);
    for (const auto& document : documents) {
      if (document.size() > document_bytes_max_) return fail(ErrorCode::invalid, "a document is too long");
    }
    const Position first = end(stream);
    auto& kept = documents_[static_cast<std::size_t>(stream)];
    kept.insert(kept.end(), documents.begin(), documents.end());
    return first;
  }

  Position oldest(Stream) const override { return {1, 1}; }
  Position end(Stream stream) const override { return {1, 1 + stored(stream)}; }
  Position durable(Stream stream) const override {
    return durable_ ? (*durable_)[static_cast<std::size_t>(stream)] : end(stream);
  }
  std::uint64_t stored(Stream stream) const override {
    return stream == Stream::readings ? readings_.size() + dropped_ : documents(stream).size();
  }
  std::uint64_t bytes(Stream) const override { return 0; }
  buffer::ReadOutcome read(Stream, Position) override { return {}; }
  std::unique_ptr<buffer::DiskReader> disk_reader(Stream) const override { return nullptr; }
  std::uint64_t distance(Stream, Position from, Position to) const override {
    return to.sequence - std::min(from.sequence, to.sequence);
  }
  std::uint64_t sequence_of(Stream, Position position) const override { return position.sequence; }
  Position position_of(Stream, std::uint64_t sequence) const override { return {1, sequence}; }
  std::vector<buffer::LostPart> explain(Stream, Position, Position) override { return {}; }
  std::vector<buffer::LostPart> missing(Stream, Position, Position) override { return {}; }
  void set_passed(Stream, Position) override {}
  buffer::StreamFill fill(Stream) const override { return fill_; }
  std::uint64_t dropped() const override { return dropped_; }
  buffer::EvictionLosses evicted(Stream) const override { return {}; }
  std::optional<BootTime> undurable_since() const override { return std::nullopt; }
  std::optional<Error> failure() const override { return refusal_ ? refusal_ : sync_failure_; }
  std::unique_ptr<buffer::LogJob> next_job(BootTime, bool sync_now) override {
    if (!durable_ || !sync_now || sync_failure_ || *durable_ == ends()) return nullptr;
    auto job = std::make_unique<Job>(jobs_run_);
    job->to = ends();
    return job;
  }
  bool finish(std::unique_ptr<buffer::LogJob> job) override {
    if (syncs_fail_) {
      sync_failure_ = Error{ErrorCode::retry, "fdatasync: Input/output error"};
      return false;
    }
    durable_ = static_cast<Job&>(*job).to;
    return true;
  }
  std::optional<BootTime> next_deadline() const override { return std::nullopt; }
  std::unique_ptr<buffer::RewriteJob> next_rewrite() override { return nullptr; }
  void finish_rewrite(std::unique_ptr<buffer::RewriteJob>) override {}
  buffer::LogCounters counters() const override { return {}; }

 private:
  using Ends = std::array<Position, kStreamCount>;
  struct Job final : buffer::LogJob {
    explicit Job(std::atomic<int>& jobs_run) : runs(jobs_run) {}
    void run() override { ++runs; }
    std::span<const Duration> sync_times() const override { return {}; }
    Ends to{};
    std::atomic<int>& runs;
  };
  Ends ends() const {
    Ends all{};
    for (const Stream stream : kAllStreams) all[static_cast<std::size_t>(stream)] = end(stream);
    return all;
  }
  struct Later {
    std::size_t appends_left = 0;
    ErrorCode code = ErrorCode::retry;
    bool of_documents = false;
  };
  void come_to_later(bool documents) {
    if (!later_ || later_->of_documents != documents || later_->appends_left-- > 0) return;
    refuse_with(later_->code);
    later_.reset();
  }

  buffer::RecoveryReport recovery_;
  std::optional<Error> refusal_;
  std::optional<std::int64_t> refused_value_;
  std::optional<Later> later_;
  std::atomic<int> jobs_run_{0};
  std::optional<Ends> durable_;
  bool syncs_fail_ = false;
  std::optional<Error> sync_failure_;
  std::size_t document_bytes_max_ = SIZE_MAX;
  std::size_t largest_append_ = 0;
  std::size_t appends_ = 0;
  bool drops_ = false;
  std::uint64_t dropped_ = 0;
  buffer::StreamFill fill_;
  std::vector<Reading> readings_;
  std::array<std::vector<std::string>, kStreamCount> documents_;
  std::vector<QueueMark> marks_;
};

}  // namespace tidegate::testing
