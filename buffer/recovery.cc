#include "buffer/recovery.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "buffer/known_drops.h"
#include "buffer/quarantine.h"

namespace tidegate::buffer {
namespace {

bool is_known(const LogId& id) { return id != LogId{}; }

LogId random_log_id() {
  std::random_device device;  // getrandom or the like
  LogId id;
  for (std::size_t i = 0; i < id.size(); i += 4) {
    const std::uint32_t word = device();
    std::memcpy(id.data() + i, &word, 4);
  }
  return is_known(id) ? id : LogId{1};
}

// The directory must take files; a first append is too late to learn that it does not.
constexpr const char* kProbe = ".writable";

Result<void> check_writable(FileSystem& files, const std::string& directory) {
  const std::string path = directory + "/" + kProbe;
  (void)files.remove(path);
  if (auto file = files.open(path, OpenMode::create); !file) return tl::unexpected(file.error());
  (void)files.remove(path);
  return {};
}

Result<void> make_directories(FileSystem& files, const std::string& log_directory, RecoveryReport& report) {
  if (auto made = files.make_directory(log_directory); !made) return made;
  if (auto writable = check_writable(files, log_directory); !writable) return writable;
  for (const Stream stream : kAllStreams) {
    const std::string directory = stream_directory(log_directory, stream);
    if (files.make_directory(directory)) continue;
    // Something of that name that is no directory: move it out of the way.
    auto moved = Quarantine(files, log_directory).put_aside(directory, stream);
    if (!moved) return tl::unexpected(moved.error());
    report.findings.push_back(fmt::format("{} is not a directory: moved to {}", directory, *moved));
    if (auto made = files.make_directory(directory); !made) return made;
  }
  return {};
}

class StreamRecovery {
 public:
  StreamRecovery(FileSystem& files, const std::string& log_directory, const StreamFiles& found, LogId log_id,
                 KnownDrops& drops, RecoveryReport& report)
      : files_(files),
        quarantine_(files, log_directory),
        found_(found),
        log_id_(log_id),
        drops_(drops),
        report_(report) {
    result_.stream = found.stream;
    result_.next_number = found.next_number;
  }

  RecoveredStream run(const LogState& known) {
    report_unusable();
    for (const SegmentFile& file : found_.segments) take(file);
    result_.rewritten = found_.rewritten;
    drop_superseded();
    result_.dropped = drops_.unrecorded(found_.stream);
    result_.dropped_recorded = drops_.newly_recorded(found_.stream);
    result_.events_end = drops_.events_end();
    join();
    take_epochs(known);
    take_tail(known);
    take_queue_marks(known);
    return std::move(result_);
  }

 private:
  void finding(std::string text) { report_.findings.push_back(std::move(text)); }

  void report_unusable() {
    for (const std::string& name : found_.unknown) {
      finding(fmt::format("{}/{}: not a file of the log, left alone", found_.directory, name));
    }
    for (const std::string& why : found_.unreadable) finding(why + ": left alone");
  }

  void take(const SegmentFile& file) {
    const auto content = files_.open(file.path, OpenMode::read);
    if (!content) return finding(content.error().message + ": left alone");
    const SegmentIdentity identity{log_id_, found_.stream, file.number};
    switch (role_of(file, **content, identity)) {
      case FileRole::segment:
        return load(file, **content, identity);
      case FileRole::spare:
        result_.spares.push_back(file);
        return;
      case FileRole::foreign:
        return put_aside(file, "not a segment of this log that can be read");
      case FileRole::newer:
        return put_aside(file, fmt::format("of format version {}, this program reads up to {}", file.header.version,
                                           kFormatVersion));
    }
  }

  void put_aside(const SegmentFile& file, const std::string& why) {
    const auto moved = quarantine_.put_aside(file.path, found_.stream);
    finding(fmt::format("{}: {}: {}", file.path, why,
                        moved ? "moved to " + *moved : "left alone, because " + moved.error().message));
  }

  void load(const SegmentFile& file, const File& content, const SegmentIdentity& identity) {
    LoadedSegment segment = load_segment(file, content, identity);
    if (!segment.header) finding(file.path + ": the segment header is damaged, its frames are read without it");
    std::vector<Hole> holes = segment.holes;
    if (segment.front) holes.push_back(*segment.front);
    for (const Hole& hole : holes) {
      if (without(hole.lost, drops_.told(found_.stream)).empty()) continue;
      const Copied copied = quarantine_.copy(identity, content, hole.offset, hole.end_offset);
      if (copied == Copied::before) continue;
      finding(fmt::format("{}: {}, sequences {} to {} lost{}", file.path, hole.text, hole.lost.first, hole.lost.end - 1,
                          copied == Copied::failed ? "; what is there could not be copied to quarantine" : ""));
    }
    result_.segments.push_back(std::move(segment));
  }

  // A segment that was begun because its predecessor could not be synced holds again what was not durable there, and
  // counts when it has all of it. A last segment without frames counts when it goes on where the one before ends.
  void drop_superseded() {
    std::vector<LoadedSegment> kept;  // newest first
    std::uint64_t limit = UINT64_MAX;
    for (std::size_t i = result_.segments.size(); i-- > 0;) {
      LoadedSegment& segment = result_.segments[i];
      const std::uint64_t end = kept.empty() ? segment.content.end : kept.front().content.end;
      if (segment.header && end < segment.header->rewrites_to && end < reach_of_first(i)) {
        limit = std::min(limit, segment.header->rewrites_to);
        result_.superseded.push_back(std::move(segment));
        continue;
      }
      cut(segment, limit);
      if (!kept.empty() && kept.back().content.empty() && !segment.content.empty() &&
          kept.back().content.first != segment.content.end) {
        result_.superseded.push_back(std::move(kept.back()));
        kept.pop_back();
      }
      if (!segment.content.empty() || (kept.empty() && segment.header)) {
        kept.push_back(std::move(segment));
        if (!kept.back().content.empty()) limit = std::min(limit, kept.back().content.first);
      } else {
        discard(std::move(segment), kept.empty() ? nullptr : &kept.back());
      }
    }
    std::reverse(kept.begin(), kept.end());
    result_.segments = std::move(kept);
  }

  std::uint64_t reach_of_first(std::size_t count) const {
    std::uint64_t end = 0;
    for (std::size_t i = 0; i < count; ++i) end = std::max(end, result_.segments[i].content.end);
    return end;
  }

  void discard(LoadedSegment segment, const LoadedSegment* newer) {
    const bool superseded = newer != nullptr && newer->content.first <= segment.declared_first();
    if (superseded) return result_.superseded.push_back(std::move(segment));
    SegmentFile file;
    file.path = segment.path;
    put_aside(file, "no frame in it can be read");
  }

  static void cut(LoadedSegment& segment, std::uint64_t limit) {
    SegmentContent& content = segment.content;
    if (content.end <= limit) return;
    segment.sealed = false;  // its footer says more than what counts
    content.end = std::max(limit, content.first);
    if (content.first >= limit) content.frames = 0;
    std::erase_if(content.sections, [&](const SectionEntry& section) { return section.first >= limit; });
    std::erase_if(content.missing, [&](const SequenceRange& range) { return range.first >= limit; });
    if (!content.missing.empty()) content.missing.back().end = std::min(content.missing.back().end, limit);
  }

  // What was dropped on purpose is none, as long as it is still to be recorded; else `events` holds it already.
  void lose(SequenceRange range, WallTime from, WallTime to) {
    std::vector<SequenceRange> dropped;
    for (const Loss& loss : result_.dropped) dropped.push_back(loss.range);
    for (const SequenceRange& part : without(range, dropped)) {
      result_.losses.push_back({part, "corruption", from, to});
    }
  }

  // Finds what is missing inside and between segments.
  void join() {
    std::uint64_t end = 0;
    WallTime before{};
    for (LoadedSegment& segment : result_.segments) {
      SegmentContent& content = segment.content;
      if (end == 0) end = std::min(segment.declared_first(), content.first);
      if (content.first > end) {
        lose({end, content.first}, before, content.empty() ? before : content.wall_from);
      }
      for (const SequenceRange& range : content.missing) lose(range, content.wall_from, content.wall_to);
      if (content.first > end) {
        content.missing.insert(content.missing.begin(), {end, content.first});
        content.first = end;
      }
      if (content.empty()) content.end = std::max(content.end, end);
      end = content.end;
      before = content.wall_to;
    }
    result_.next_sequence = std::max<std::uint64_t>(end, 1);
  }

  void take_epochs(const LogState& known) {
    if (known.log_id == log_id_) {
      for (const EpochRange& range : known.epochs) {
        if (range.stream == found_.stream) result_.epochs.add(range.epoch, range.first);
      }
    } else {
      // An epoch of which nothing is left, or in which everything was dropped, stands in no segment.
      for (const RecordedGap& gap : drops_.recorded(found_.stream)) result_.epochs.add(gap.epoch, gap.range.first);
    }
    for (const LoadedSegment& segment : result_.segments) {
      for (const SectionEntry& section : segment.content.sections) result_.epochs.add(section.epoch, section.first);
    }
    // The frames in front may be lost, and the table with them: their sequences are of the oldest epoch there is.
    if (result_.segments.empty()) return;
    const std::uint64_t oldest = result_.segments.front().content.first;
    if (oldest < result_.epochs.first()) result_.epochs.add(result_.epochs.epoch_of(oldest), oldest);
  }

  // Behind the last sequence that is known to have been durable; 0 where the state is of another log, or lost.
  std::uint64_t durable_mark(const LogState& known) const {
    return known.log_id == log_id_ ? known.durable[static_cast<std::size_t>(found_.stream)].sequence : 0;
  }

  // Tells a torn tail, which nobody was promised, from durable records that are gone.
  void take_tail(const LogState& known) {
    if (!result_.segments.empty()) result_.torn_bytes = result_.segments.back().torn_bytes;
    const std::uint64_t durable = durable_mark(known);
    const bool lacks = durable > result_.next_sequence;
    const auto dropped = lacks ? drops_.all(found_.stream) : drops_.newest(found_.stream);
    std::uint64_t end = std::max(durable, result_.next_sequence);
    for (const SequenceRange& range : dropped) end = std::max(end, range.end);
    if (end == result_.next_sequence) return;
    const SequenceRange tail{std::max(result_.next_sequence, std::min(result_.epochs.first(), end)), end};
    const WallTime when = result_.segments.empty() ? WallTime{} : result_.segments.back().content.wall_to;
    lose(tail, when, when);
    for (const SequenceRange& gone : without(tail, drops_.told(found_.stream))) report_gone(gone, durable);
    result_.next_sequence = end;
  }

  void report_gone(SequenceRange gone, std::uint64_t durable) {
    finding(fmt::format("stream {}: sequences {} to {} were {} and are gone", to_string(found_.stream), gone.first,
                        gone.end - 1, gone.first < durable ? "durable" : "given out"));
    if (gone.first >= durable || result_.damaged) return;
    result_.damaged = true;
    copy_tail();
    result_.torn_bytes = 0;
  }

  void copy_tail() {
    if (result_.segments.empty()) return;
    const LoadedSegment& last = result_.segments.back();
    const auto content = files_.open(last.path, OpenMode::read);
    if (!content || last.torn_bytes == 0) return;
    quarantine_.copy(last.identity, **content, last.end_offset, last.end_offset + last.torn_bytes);
  }

  // The header and the frames of the newest segment say it all. Where its header is lost, those before it are asked
  // too; where it has no frame, as well: it may be one of before a power cut that the segment in front has grown up to.
  // What stands behind records that a power cut took speaks for them too, and does not count.
  void take_queue_marks(const LogState& known) {
    const std::uint64_t end = first_taken_by_power_cut(known);
    std::size_t behind = result_.segments.size();
    while (behind > 0 && result_.segments[behind - 1].declared_first() > end) --behind;
    if (behind == 0) return;
    std::size_t first = behind - 1;
    while (first > 0 && !(result_.segments[first].header && !result_.segments[first].content.empty())) --first;
    for (; first < behind; ++first) take_marks(result_.marks, marks_of(result_.segments[first], end));
  }

  // Damage to what was durable is not meant: its marks were durable too. Nor is what an earlier start has found and
  // recorded: what stands behind was marked with what counts. UINT64_MAX: nothing.
  std::uint64_t first_taken_by_power_cut(const LogState& known) const {
    const std::uint64_t durable = durable_end(known);
    std::uint64_t first = lacks_its_front(known) ? durable : UINT64_MAX;
    if (result_.losses.empty()) return first;  // what is told need not be read, all of `events` at worst
    const auto told = drops_.told(found_.stream);
    for (const Loss& loss : result_.losses) {
      for (const SequenceRange& news : without(loss.range, told)) {
        if (news.end > durable) first = std::min(first, news.first);
      }
    }
    return first;
  }

  // The state may lag behind; a segment gets its footer when it and all before it are durable.
  std::uint64_t durable_end(const LogState& known) const {
    std::uint64_t end = durable_mark(known);
    for (const LoadedSegment& segment : result_.segments) {
      if (segment.sealed) end = std::max(end, segment.content.end);
    }
    return end;
  }

  // Without a header the oldest segment does not say that frames should stand in front of its first.
  bool lacks_its_front(const LogState& known) const {
    if (known.log_id != log_id_ || result_.segments.empty()) return false;
    const LoadedSegment& oldest = result_.segments.front();
    return !oldest.header && oldest.content.first > std::max<std::uint64_t>(durable_end(known), 1);
  }

  // A sealed segment says it only in its frames.
  std::vector<QueueMark> marks_of(const LoadedSegment& segment, std::uint64_t end) {
    if (!segment.sealed && segment.content.end <= end) return segment.marks;
    const auto file = std::find_if(found_.segments.begin(), found_.segments.end(),
                                   [&](const SegmentFile& one) { return one.path == segment.path; });
    const auto content = files_.open(segment.path, OpenMode::read);
    if (!content || file == found_.segments.end()) return {};
    return scan_marks(*file, **content, segment.identity, end);
  }

  FileSystem& files_;
  Quarantine quarantine_;
  const StreamFiles& found_;
  LogId log_id_;
  KnownDrops& drops_;
  RecoveryReport& report_;
  RecoveredStream result_;
};

LogSnapshot snapshot_of(const RecoveredStream& stream, const StreamFiles& files, LogId log_id) {
  LogSnapshot snapshot;
  snapshot.log_id = log_id;
  snapshot.stream = stream.stream;
  snapshot.directory = files.directory;
  snapshot.epochs = stream.epochs;
  snapshot.end = stream.next_sequence;
  for (const LoadedSegment& segment : stream.segments) {
    const std::uint64_t bytes = segment.header ? segment.header->segment_bytes : segment.file_bytes;
    snapshot.segments.push_back({segment.identity.number, segment.content.first, segment.content.end,
                                 segment.content.used_bytes, segment.sealed ? bytes - kBlockBytes : 0,
                                 segment.content.sections, segment.content.wall_to,
                                 segment.header && segment.header->dense});
  }
  return snapshot;
}

// The oldest record of `events` that the last checkpoint may not have seen: those of the segments without a footer.
Position newest_of(const RecoveredStream& events) {
  const auto first = std::find_if(events.segments.begin(), events.segments.end(),
                                  [](const LoadedSegment& segment) { return !segment.sealed; });
  return events.epochs.at(first == events.segments.end() ? events.next_sequence : first->content.first);
}

void report_strangers(FileSystem& files, const std::string& log_directory, RecoveryReport& report) {
  const auto names = files.list(log_directory);
  if (!names) return;
  for (const std::string& name : *names) {
    if (name == kProbe) continue;
    report.findings.push_back(fmt::format("{}/{}: not a file of the log, left alone", log_directory, name));
  }
}

// The same epoch goes on only when everything ends exactly where the last stop left it.
bool is_clean(const Recovered& recovered, const LogState& known) {
  if (!known.clean || known.log_id != recovered.log_id) return false;
  return std::all_of(recovered.streams.begin(), recovered.streams.end(), [&](const RecoveredStream& stream) {
    const Position durable = known.durable[static_cast<std::size_t>(stream.stream)];
    return !stream.damaged && stream.epochs.newest() <= known.epoch && durable.sequence == stream.next_sequence;
  });
}

void choose_epoch(Recovered& recovered, const LogState& known, std::uint32_t first_epoch) {
  RecoveryReport& report = recovered.report;
  report.clean = is_clean(recovered, known);
  report.epoch = known.epoch;
  for (const RecoveredStream& stream : recovered.streams) {
    report.epoch = std::max(report.epoch, stream.epochs.newest());
    for (const LoadedSegment& segment : stream.segments) {
      if (segment.header) report.epoch = std::max(report.epoch, segment.header->epoch);
    }
    report.torn_bytes += stream.torn_bytes;
  }
  if (!report.clean) ++report.epoch;
  if (report.fresh) report.epoch = std::max(report.epoch, first_epoch);
}

}  // namespace

Result<Recovered> recover(FileSystem& files, const std::string& log_directory, const LogState& known,
                          std::uint32_t first_epoch) {
  Recovered recovered;
  if (auto made = make_directories(files, log_directory, recovered.report); !made) return tl::unexpected(made.error());
  std::vector<StreamFiles> found;
  for (const Stream stream : kAllStreams) {
    auto listed = list_stream(files, log_directory, stream);
    if (!listed) return tl::unexpected(listed.error());
    found.push_back(std::move(*listed));
  }
  report_strangers(files, log_directory, recovered.report);
  recovered.log_id = is_known(known.log_id) ? known.log_id : newest_log_id(found);
  const bool had_log = is_known(recovered.log_id);
  if (!had_log) recovered.log_id = random_log_id();
  recovered.boot_id = read_boot_id().value_or(BootId{});
  // `events` first: it says what of the readings was dropped on purpose.
  KnownDrops drops(files, known.log_id == recovered.log_id ? known.dropped : std::vector<DroppedRange>{});
  recovered.streams.resize(kStreamCount);
  for (std::size_t i = kStreamCount; i-- > 0;) {
    RecoveredStream& stream = recovered.streams[i];
    stream = StreamRecovery(files, log_directory, found[i], recovered.log_id, drops, recovered.report).run(known);
    if (stream.stream == Stream::events) {
      drops.set_events(snapshot_of(stream, found[i], recovered.log_id), newest_of(stream));
    }
  }
  recovered.report.fresh = !had_log;
  choose_epoch(recovered, known, first_epoch);
  return recovered;
}

}  // namespace tidegate::buffer
