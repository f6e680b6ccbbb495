#include "buffer/ring_log.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "buffer/age_retention.h"
#include "buffer/gap_record.h"
#include "buffer/loss_ledger.h"
#include "buffer/patient_files.h"
#include "buffer/recorded_gaps.h"
#include "buffer/recovery.h"
#include "buffer/stream_log.h"
#include "buffer/sync_job.h"
#include "core/log.h"

namespace tidegate::buffer {
namespace {

// Recording a loss can make `events` lose a segment itself, which is recorded in turn.
constexpr int kLossRounds = 4;

std::size_t index_of(Stream stream) { return static_cast<std::size_t>(stream); }

class StreamsLog final : public RingLog {
 public:
  StreamsLog(FileSystem& files, const Clock& clock, TagRegistry& tags, RingLogOptions options, Recovered recovered,
             const LogState& known)
      : files_(files),
        report_(std::move(recovered.report)),
        shared_{files_,
                clock,
                tags,
                std::move(options),
                recovered.log_id,
                recovered.boot_id,
                report_.epoch,
                std::make_shared<DamageReports>(),
                {}} {
    const bool trusted = known.log_id == recovered.log_id;
    for (std::size_t i = 0; i < kStreamCount; ++i) {
      streams_[i] = std::make_unique<StreamLog>(shared_, std::move(recovered.streams[i]),
                                                trusted ? known.durable[i] : Position{});
      report_.newest = std::max(report_.newest, streams_[i]->latest_wall());
    }
    age_ = AgeRetention(shared_.options.max_age, log(Stream::readings).newest_wall());
  }

  const RecoveryReport& recovery() const override { return report_; }
  LogState state() const override;
  std::vector<QueueMark> queue_marks() const override { return log(Stream::readings).queue_marks(); }

  Result<Position> append(std::span<const Reading> readings, const FrameTimes& times,
                          std::span<const QueueMark> marks) override {
    log(Stream::readings).close_drops();
    record_drops(false);
    auto first = log(Stream::readings).append({readings, {}}, times, marks);
    record_losses();
    return first;
  }
  Result<Position> append(Stream stream, std::span<const std::string> documents, const FrameTimes& times) override {
    if (stream == Stream::readings) return fail(ErrorCode::invalid, "the stream readings takes readings, no documents");
    auto first = log(stream).append({{}, documents}, times, {});
    record_losses();
    return first;
  }

  Position oldest(Stream stream) const override { return log(stream).oldest(); }
  Position end(Stream stream) const override { return log(stream).end(); }
  Position durable(Stream stream) const override { return log(stream).durable(); }
  std::uint64_t stored(Stream stream) const override { return log(stream).stored(); }
  std::uint64_t bytes(Stream stream) const override { return log(stream).bytes(); }

  ReadOutcome read(Stream stream, Position from) override { return log(stream).read(from); }
  std::unique_ptr<DiskReader> disk_reader(Stream stream) const override {
    return std::make_unique<LogReader>(shared_.files, shared_.tags, log(stream).snapshot(), shared_.damage);
  }
  std::uint64_t distance(Stream stream, Position from, Position to) const override {
    return log(stream).distance(from, to);
  }
  std::uint64_t sequence_of(Stream stream, Position position) const override {
    return log(stream).sequence_of(position);
  }
  Position position_of(Stream stream, std::uint64_t sequence) const override {
    return log(stream).position_of(sequence);
  }
  std::vector<LostPart> explain(Stream stream, Position from, Position next) override;
  std::vector<LostPart> missing(Stream stream, Position from, Position to) override;
  void set_passed(Stream stream, Position passed) override { log(stream).set_passed(passed); }
  StreamFill fill(Stream stream) const override { return log(stream).fill(); }
  std::uint64_t dropped() const override { return log(Stream::readings).drops().total(); }
  EvictionLosses evicted(Stream stream) const override { return log(stream).evicted(); }
  std::optional<BootTime> undurable_since() const override;

  std::unique_ptr<LogJob> next_job(BootTime now, bool sync_now) override;
  bool finish(std::unique_ptr<LogJob> job) override;
  std::optional<BootTime> next_deadline() const override;
  std::unique_ptr<RewriteJob> next_rewrite() override;
  void finish_rewrite(std::unique_ptr<RewriteJob> job) override;
  LogCounters counters() const override { return shared_.counters; }
  std::optional<Error> failure() const override;

 private:
  StreamLog& log(Stream stream) { return *streams_[index_of(stream)]; }
  const StreamLog& log(Stream stream) const { return *streams_[index_of(stream)]; }
  std::array<std::uint64_t, kStreamCount> durable_sequences() const;
  std::optional<BootTime> sync_at(const StreamLog& stream) const;
  void take_damage();
  void record_drops(bool all);
  void evict_by_age();
  void record_losses();
  bool record_found(StreamLog& stream);
  bool record_condemned(StreamLog& stream);
  bool append_gaps(StreamLog& stream, const std::vector<Loss>& losses);
  bool know_recorded();
  std::vector<SequenceRange> recorded_before(const StreamLog& stream) const;

  PatientFileSystem files_;
  RecoveryReport report_;
  StreamLog::Shared shared_;
  std::array<std::unique_ptr<StreamLog>, kStreamCount> streams_;
  AgeRetention age_{std::nullopt, std::nullopt};
  bool job_out_ = false;
  bool rewrite_out_ = false;
  std::optional<std::vector<RecordedGap>> recorded_;
  std::array<LossLedger, kStreamCount> ledgers_;
};

LogState StreamsLog::state() const {
  LogState state;
  state.log_id = shared_.log_id;
  state.epoch = shared_.epoch;
  for (std::size_t i = 0; i < kStreamCount; ++i) {
    state.durable[i] = streams_[i]->durable();
    const auto epochs = streams_[i]->epochs();
    state.epochs.insert(state.epochs.end(), epochs.begin(), epochs.end());
  }
  const StreamLog& readings = log(Stream::readings);
  for (const Loss& loss : readings.drops().pending()) {
    const std::uint32_t epoch = readings.epoch_of(loss.range.first);
    state.dropped.push_back({Stream::readings, epoch, loss.range.first, loss.range.end - 1, loss.from, loss.to});
  }
  return state;
}

std::optional<BootTime> StreamsLog::undurable_since() const {
  std::optional<BootTime> oldest;
  for (const auto& stream : streams_) {
    const auto since = stream->undurable_since();
    if (since && (!oldest || *since < *oldest)) oldest = since;
  }
  return oldest;
}

std::array<std::uint64_t, kStreamCount> StreamsLog::durable_sequences() const {
  std::array<std::uint64_t, kStreamCount> sequences{};
  for (std::size_t i = 0; i < kStreamCount; ++i) sequences[i] = streams_[i]->durable_sequence();
  return sequences;
}

// When the stream's policy wants its frames synced. Under `os` only full segments are, for their footers.
std::optional<BootTime> StreamsLog::sync_at(const StreamLog& stream) const {
  if (!stream.has_unsynced()) return std::nullopt;
  const bool by_itself = shared_.options.sync != SyncPolicy::os || stream.has_full_segment();
  if (!by_itself) return std::nullopt;
  const bool waits = shared_.options.sync == SyncPolicy::interval;
  const BootTime due = stream.unsynced_since() + (waits ? shared_.options.sync_interval : Duration::zero());
  return std::max(due, stream.syncs_not_before());
}

std::unique_ptr<LogJob> StreamsLog::next_job(BootTime now, bool sync_now) {
  if (job_out_) return nullptr;
  take_damage();
  for (auto& stream : streams_) {
    stream->lift_cap(now);
    stream->retry_replacement(now);
  }
  evict_by_age();
  record_drops(sync_now);
  record_losses();
  const auto durable = durable_sequences();
  bool due = sync_now;
  for (const auto& stream : streams_) {
    const auto at = sync_at(*stream);
    due = due || (at && *at <= now) || stream->waits_for(Stream::events, durable[index_of(Stream::events)]);
  }
  auto job = std::make_unique<SyncJob>(shared_.files, shared_.clock);
  for (std::size_t i = 0; i < kStreamCount; ++i) {
    if (due) streams_[i]->start_sync(job->work[i], now);
    const auto tasks_at = streams_[i]->tasks_at(durable);
    if (tasks_at && *tasks_at <= now) streams_[i]->start_tasks(job->work[i], durable);
  }
  if (job->empty()) return nullptr;
  job_out_ = true;
  return job;
}

bool StreamsLog::finish(std::unique_ptr<LogJob> job) {
  auto& done = static_cast<SyncJob&>(*job);
  job_out_ = false;
  bool moved = false;
  for (std::size_t i = 0; i < kStreamCount; ++i) moved = streams_[i]->finish(done.work[i]) || moved;
  shared_.counters.syncs += done.syncs;
  if (done.syncs > 0) shared_.counters.last_sync = done.sync_time;
  log(Stream::readings).drops().set_durable(log(Stream::events).durable_sequence());
  record_losses();
  return moved;
}

std::unique_ptr<RewriteJob> StreamsLog::next_rewrite() {
  if (rewrite_out_) return nullptr;
  for (auto& stream : streams_) {
    auto request = stream->next_rewrite();
    if (!request) continue;
    rewrite_out_ = true;
    return std::make_unique<SegmentRewriter>(shared_.files, shared_.tags, std::move(*request));
  }
  return nullptr;
}

void StreamsLog::finish_rewrite(std::unique_ptr<RewriteJob> job) {
  rewrite_out_ = false;
  const auto& done = static_cast<const SegmentRewriter&>(*job);
  log(done.request().identity.stream).finish_rewrite(done);
}

std::optional<BootTime> StreamsLog::next_deadline() const {
  if (job_out_) return std::nullopt;
  std::optional<BootTime> earliest;
  const auto consider = [&](std::optional<BootTime> at) {
    if (at && (!earliest || *at < *earliest)) earliest = at;
  };
  consider(age_.next_check());
  if (!log(Stream::events).retry_at()) consider(log(Stream::readings).drops().due_at());
  const auto durable = durable_sequences();
  for (const auto& stream : streams_) {
    // While a failed file waits to be replaced there is nothing of the stream to sync.
    const auto retry = stream->retry_at();
    consider(retry ? retry : sync_at(*stream));
    consider(stream->tasks_at(durable));
    const StreamLog& events = log(Stream::events);
    if (stream->waits_for(Stream::events, durable[index_of(Stream::events)]) && events.has_unsynced()) {
      consider(std::max(events.unsynced_since(), events.syncs_not_before()));
    }
  }
  return earliest;
}

std::optional<Error> StreamsLog::failure() const {
  for (const auto& stream : streams_) {
    if (stream->failure()) return stream->failure();
  }
  return std::nullopt;
}

void StreamsLog::take_damage() {
  for (const Damage& damage : shared_.damage->take()) {
    if (!log(damage.stream).add_damage(damage.lost)) continue;
    log_error("log", "{}, sequences {} to {} lost", damage.text, damage.lost.first, damage.lost.end - 1);
  }
}

void StreamsLog::record_drops(bool all) {
  StreamLog& readings = log(Stream::readings);
  const BootTime now = shared_.clock.boot_now();
  const auto due = readings.drops().due_at();
  if (!due || (*due > now && !all)) return;
  // Whether an uplink has passed the place says nothing here: it has not had them.
  if (append_gaps(readings, readings.drops().unrecorded())) {
    readings.drops().set_recorded(log(Stream::events).end_sequence(), now);
  } else {
    readings.drops().put_off(now);
  }
}

void StreamsLog::evict_by_age() {
  const auto due = age_.next_check();
  const FrameTimes now{shared_.clock.wall_now(), shared_.clock.boot_now(), shared_.clock.quality()};
  if (!due || *due > now.boot) return;
  if (const auto limit = age_.limit(now)) log(Stream::readings).evict_older(*limit);
}

void StreamsLog::record_losses() {
  for (int round = 0; round < kLossRounds; ++round) {
    bool recorded = false;
    for (auto& stream : streams_) {
      recorded = record_found(*stream) || recorded;
      recorded = record_condemned(*stream) || recorded;
    }
    if (!recorded) return;
  }
}

bool StreamsLog::record_found(StreamLog& stream) {
  const std::vector<Loss> losses = stream.take_losses();
  if (losses.empty()) return false;
  if (know_recorded() && append_gaps(stream, stream.to_record(losses, recorded_before(stream)))) return true;
  for (const Loss& loss : losses) stream.keep_loss(loss);
  return false;
}

bool StreamsLog::record_condemned(StreamLog& stream) {
  bool recorded = false;
  // By index: recording may condemn a segment of `events`, which adds to this very list.
  for (std::size_t i = 0; i < stream.condemned().size(); ++i) {
    const std::vector<Loss> losses = stream.condemned()[i].losses;
    if (losses.empty()) continue;
    const std::vector<Loss> counted = stream.to_record(losses, {});
    const bool from_before = stream.condemned()[i].from_before;
    if (from_before && !know_recorded()) return recorded;
    if (!append_gaps(stream, from_before ? stream.to_record(counted, recorded_before(stream)) : counted)) {
      return recorded;
    }
    // A gap that an earlier process recorded may not be durable either.
    Condemned& condemned = stream.condemned()[i];
    condemned.losses.clear();
    condemned.until = counted.empty() ? 0 : log(Stream::events).end_sequence();
    recorded = true;
  }
  return recorded;
}

// What an earlier process recorded is looked up when it is needed.
std::vector<LostPart> StreamsLog::explain(Stream stream, Position from, Position next) {
  const StreamLog& of = log(stream);
  const SequenceRange range{of.sequence_of(from), next.sequence};
  const auto is_open = [](const LossLedger::Part& part) { return part.reason.empty(); };
  LossLedger all = ledgers_[index_of(stream)];
  for (const Loss& dropped : of.drops().pending()) all.note(dropped.range, dropped.reason);
  for (const Condemned& condemned : of.condemned()) {
    for (const Loss& loss : condemned.losses) all.note(loss.range, loss.reason);
  }
  auto parts = all.explain(range);
  if (std::any_of(parts.begin(), parts.end(), is_open) && know_recorded()) {
    for (const RecordedGap& gap : *recorded_) {
      if (gap.stream == stream && of.epoch_of(gap.range.first) == gap.epoch) all.note(gap.range, gap.reason);
    }
    parts = all.explain(range);
  }
  std::vector<LostPart> explained;
  for (const auto& part : parts) {
    const char* const guess = part.range.first < of.oldest_sequence() ? "overflow" : "corruption";
    explained.push_back({of.position_of(part.range.end), part.range.count(), is_open(part) ? guess : part.reason});
  }
  if (!explained.empty()) explained.back().next = next;
  return explained;
}

std::vector<LostPart> StreamsLog::missing(Stream stream, Position from, Position to) {
  std::vector<LostPart> parts;
  const StreamLog& of = log(stream);
  for (const SequenceRange& range : of.missing({of.sequence_of(from), of.sequence_of(to)})) {
    auto explained = explain(stream, of.position_of(range.first), of.position_of(range.end));
    parts.insert(parts.end(), std::make_move_iterator(explained.begin()), std::make_move_iterator(explained.end()));
  }
  return parts;
}

bool StreamsLog::append_gaps(StreamLog& stream, const std::vector<Loss>& losses) {
  std::vector<std::string> documents;
  for (const Loss& loss : losses) {
    for (std::string& document : stream.describe(loss)) documents.push_back(std::move(document));
  }
  if (documents.empty()) return true;
  const FrameTimes now{shared_.clock.wall_now(), shared_.clock.boot_now(), shared_.clock.quality()};
  if (!log(Stream::events).append({{}, documents}, now, {})) return false;
  for (std::size_t i = 0; i < kStreamCount; ++i) {
    if (streams_[i].get() != &stream) continue;
    for (const Loss& loss : losses) ledgers_[i].note(loss.range, loss.reason);
  }
  for (const std::string& document : documents) log_warning("log", "records are lost: {}", document);
  return true;
}

// What opening finds damaged was most often found before, and a segment that was evicted can be there again after a
// kill: then the gap is in `events` already. Read once, and only when it matters; false when it cannot be read now.
bool StreamsLog::know_recorded() {
  if (recorded_) return true;
  auto found = read_recorded_gaps(shared_.files, log(Stream::events).snapshot(), log(Stream::events).oldest());
  if (found) recorded_ = std::move(*found);
  return found.has_value();
}

std::vector<SequenceRange> StreamsLog::recorded_before(const StreamLog& stream) const {
  std::vector<SequenceRange> ranges;
  for (const RecordedGap& gap : *recorded_) {
    const bool same_records = &stream == &log(gap.stream) && stream.epoch_of(gap.range.first) == gap.epoch;
    if (same_records) ranges.push_back(gap.range);
  }
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return ranges;
}

}  // namespace

Result<std::unique_ptr<RingLog>> RingLog::open(FileSystem& files, const Clock& clock, TagRegistry& tags,
                                               RingLogOptions options, const LogState& known) {
  PatientFileSystem patient(files);
  auto recovered = recover(patient, options.directory, known, options.first_epoch);
  if (!recovered) return tl::unexpected(recovered.error());
  return std::make_unique<StreamsLog>(files, clock, tags, std::move(options), std::move(*recovered), known);
}

}  // namespace tidegate::buffer
