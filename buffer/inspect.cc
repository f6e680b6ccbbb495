#include "buffer/inspect.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>

#include "buffer/disk_reader.h"
#include "buffer/recorded_gaps.h"
#include "buffer/segment_file.h"

namespace tidegate::buffer {
namespace {

/// One stream as the files alone tell it.
struct InspectedStream {
  StreamFiles files;
  std::vector<LoadedSegment> segments;
  std::vector<SegmentSummary> others;  // files that hold nothing that can be read
};

SegmentSummary summary_of(const SegmentFile& file, Stream stream, std::string damage) {
  SegmentSummary summary;
  summary.file = file.path;
  summary.stream = stream;
  summary.number = file.number;
  if (!damage.empty()) summary.damage.push_back(std::move(damage));
  return summary;
}

void inspect_file(FileSystem& files, const SegmentFile& file, LogId log_id, InspectedStream& found) {
  const Stream stream = found.files.stream;
  const auto content = files.open(file.path, OpenMode::read);
  if (!content) {
    found.others.push_back(summary_of(file, stream, content.error().message));
    return;
  }
  const SegmentIdentity identity{log_id, stream, file.number};
  switch (role_of(file, **content, identity)) {
    case FileRole::segment: {
      LoadedSegment segment = scan_segment(file, **content, identity);
      // A running daemon may have been in the middle of this frame: look again.
      if (segment.tail && segment.tail->bytes > 0) segment = scan_segment(file, **content, identity);
      found.segments.push_back(std::move(segment));
      return;
    }
    case FileRole::spare:
      return;
    case FileRole::foreign:
      found.others.push_back(summary_of(file, stream, "not a segment of this log that can be read"));
      return;
    case FileRole::newer:
      found.others.push_back(summary_of(
          file, stream,
          fmt::format("of format version {}, this program reads up to {}", file.header.version, kFormatVersion)));
      return;
  }
}

Result<std::vector<InspectedStream>> inspect_streams(FileSystem& files, const std::string& log_directory) {
  std::vector<StreamFiles> listed;
  for (const Stream stream : kAllStreams) {
    auto found = list_stream(files, log_directory, stream);
    if (!found && stream == Stream::readings) return tl::unexpected(found.error());
    if (!found) {
      StreamFiles none;
      none.stream = stream;
      none.directory = stream_directory(log_directory, stream);
      none.unreadable.push_back(found.error().message);
      found = std::move(none);
    }
    listed.push_back(std::move(*found));
  }
  const LogId log_id = newest_log_id(listed);
  std::vector<InspectedStream> streams;
  for (StreamFiles& found : listed) {
    InspectedStream stream{std::move(found), {}, {}};
    for (const SegmentFile& file : stream.files.segments) inspect_file(files, file, log_id, stream);
    streams.push_back(std::move(stream));
  }
  return streams;
}

std::uint32_t first_epoch(const LoadedSegment& segment) {
  if (!segment.content.sections.empty()) return segment.content.sections.front().epoch;
  return segment.header ? segment.header->epoch : segment.content.last_epoch;
}

LogSnapshot snapshot_of(const InspectedStream& stream, const std::string& log_directory) {
  LogSnapshot snapshot;
  snapshot.stream = stream.files.stream;
  snapshot.directory = stream_directory(log_directory, stream.files.stream);
  for (const LoadedSegment& segment : stream.segments) {
    const SegmentContent& content = segment.content;
    snapshot.log_id = segment.identity.log_id;
    for (const SectionEntry& section : content.sections) snapshot.epochs.add(section.epoch, section.first);
    // A segment that was begun after a failed sync holds again what the one before could not make durable.
    while (!content.empty() && !snapshot.segments.empty() && snapshot.segments.back().first >= content.first) {
      snapshot.segments.pop_back();
    }
    if (content.empty()) continue;
    if (!snapshot.segments.empty()) {
      snapshot.segments.back().end = std::min(snapshot.segments.back().end, content.first);
    }
    snapshot.segments.push_back({segment.identity.number, content.first, content.end, segment.end_offset, 0,
                                 content.sections, content.wall_to, segment.header && segment.header->dense});
    snapshot.end = content.end;
  }
  return snapshot;
}

std::string lost(const SequenceRange& range) {
  return fmt::format("sequences {} to {} lost", range.first, range.end - 1);
}

/// Sequences of one stream that are missing, as `events` records it.
struct Recorded {
  std::vector<SequenceRange> all;      // rising
  std::vector<SequenceRange> dropped;  // on purpose, so that no frame was ever written; rising
};

std::map<Stream, Recorded> recorded_gaps(FileSystem& files, const std::vector<InspectedStream>& streams,
                                         const std::string& log_directory) {
  std::map<Stream, Recorded> recorded;
  for (const InspectedStream& one : streams) {
    if (one.files.stream != Stream::events) continue;
    const auto gaps = read_recorded_gaps(files, snapshot_of(one, log_directory), {});
    for (const RecordedGap& gap : gaps.value_or(std::vector<RecordedGap>{})) {
      recorded[gap.stream].all.push_back(gap.range);
      if (gap.is_drop()) recorded[gap.stream].dropped.push_back(gap.range);
    }
  }
  const auto by_first = [](const SequenceRange& a, const SequenceRange& b) { return a.first < b.first; };
  for (auto& [stream, ranges] : recorded) {
    std::sort(ranges.all.begin(), ranges.all.end(), by_first);
    std::sort(ranges.dropped.begin(), ranges.dropped.end(), by_first);
  }
  return recorded;
}

/// What is missing between a segment and the one in front of it, such as a file that somebody removed.
void check_front(const LogSnapshot& whole, const Recorded& recorded, const LoadedSegment& segment,
                 SegmentSummary& summary) {
  for (std::size_t i = 1; i < whole.segments.size(); ++i) {
    if (whole.segments[i].number != segment.identity.number) continue;
    const SequenceRange between{whole.segments[i - 1].end, whole.segments[i].first};
    if (between.empty()) return;
    for (const SequenceRange& range : without(between, recorded.all)) {
      summary.damage.push_back(lost(range) + " in front of this segment, and no gap record says so");
    }
  }
}

/// Reads everything of one segment, bodies included, and notes where that fails.
void verify_bodies(FileSystem& files, const LogSnapshot& whole, const LoadedSegment& segment, SegmentSummary& summary) {
  LogSnapshot one = whole;
  std::erase_if(one.segments, [&](const SegmentRef& ref) { return ref.number != segment.identity.number; });
  if (one.segments.empty()) return;
  one.end = one.segments.back().end;
  const std::uint64_t end = one.end;
  const EpochTable epochs = one.epochs;
  TagRegistry tags;
  auto reports = std::make_shared<DamageReports>();
  std::uint64_t at = one.segments.front().first;
  LogReader reader(files, tags, std::move(one), reports);
  while (at < end) {
    auto outcome = reader.read(epochs.at(at));
    if (!outcome || outcome->status == ReadStatus::at_end) break;
    at = std::max(at + 1, outcome->next.sequence);
  }
  const std::string prefix = segment.path + ": ";
  for (const Damage& damage : reports->take()) {
    const std::string where = damage.text.starts_with(prefix) ? damage.text.substr(prefix.size()) : damage.text;
    summary.damage.push_back(where + ", " + lost(damage.lost));
  }
}

SegmentSummary summarize(FileSystem& files, const LogSnapshot& whole, const SegmentFile& file,
                         const LoadedSegment& segment, const Recorded& recorded) {
  const SegmentContent& content = segment.content;
  SegmentSummary summary = summary_of(file, segment.identity.stream, "");
  summary.bytes_used = segment.end_offset;
  summary.frames = content.frames;
  summary.first = {first_epoch(segment), content.first};
  summary.end = {content.empty() ? first_epoch(segment) : content.last_epoch, content.end};
  summary.time_from = content.wall_from;
  summary.time_to = content.wall_to;
  if (!segment.header) summary.damage.push_back("offset 0: the segment header is damaged");
  if (segment.front && !without(segment.front->lost, recorded.dropped).empty()) {
    summary.damage.push_back(segment.front->text + ", " + lost(segment.front->lost));
  }
  check_front(whole, recorded, segment, summary);
  verify_bodies(files, whole, segment, summary);
  return summary;
}

// A frame at the end whose header is right and whose body is not: torn, or damaged. Behind a sealed segment's last
// frame nothing is left to be torn.
void check_tail(FileSystem& files, const SegmentFile& file, const LoadedSegment& segment, SegmentSummary& summary) {
  if (segment.tail && segment.tail->bytes > 0) {
    summary.damage.push_back(fmt::format("offset {}: {}, {}", segment.tail->offset, segment.tail->text,
                                         lost({segment.tail->first, segment.tail->end})));
  }
  const auto content = files.open(file.path, OpenMode::read);
  if (!content) return;
  const LoadedSegment sealed = load_segment(file, **content, segment.identity);
  if (!sealed.sealed || sealed.content.end <= segment.content.end || (segment.tail && segment.tail->bytes > 0)) return;
  summary.damage.push_back(fmt::format("offset {}: no frame where one should be, {}", segment.end_offset,
                                       lost({segment.content.end, sealed.content.end})));
}

// A time that nothing was taken in at or after is behind everything.
Result<Position> place_in(LogReader& reader, const ReadPlace& place) {
  auto found = reader.find(place);
  if (found && !*found) found = reader.find({ReadPlace::Kind::end, {}, {}});
  if (!found) return tl::unexpected(found.error());
  return **found;
}

Result<void> read_range(LogReader& reader, const ReadRange& range,
                        const std::function<bool(const RecordBatch&)>& visit) {
  auto from = place_in(reader, range.from);
  if (!from) return tl::unexpected(from.error());
  auto to = place_in(reader, range.to.value_or(ReadPlace{ReadPlace::Kind::end, {}, {}}));
  if (!to) return tl::unexpected(to.error());
  while (*from < *to) {
    auto outcome = reader.read(*from);
    if (!outcome) return tl::unexpected(outcome.error());
    if (outcome->status == ReadStatus::at_end) break;
    if (outcome->batch) {
      RecordBatch batch = *outcome->batch;
      if (Position{batch.epoch, batch.first} >= *to) break;
      if (batch.end() > *to && batch.epoch == to->epoch) trim_back(batch, to->sequence);
      if (!visit(batch)) break;
    }
    from = outcome->next;
  }
  return {};
}

}  // namespace

Result<std::vector<SegmentSummary>> inspect_log(FileSystem& files, const std::string& log_directory) {
  auto streams = inspect_streams(files, log_directory);
  if (!streams) return tl::unexpected(streams.error());
  std::vector<SegmentSummary> summaries;
  const std::map<Stream, Recorded> gaps = recorded_gaps(files, *streams, log_directory);
  for (const InspectedStream& stream : *streams) {
    LogSnapshot whole = snapshot_of(stream, log_directory);
    const auto known = gaps.find(stream.files.stream);
    const Recorded recorded = known == gaps.end() ? Recorded{} : known->second;
    whole.missing = recorded.dropped;
    for (const LoadedSegment& segment : stream.segments) {
      const auto file = std::find_if(stream.files.segments.begin(), stream.files.segments.end(),
                                     [&](const SegmentFile& one) { return one.path == segment.path; });
      SegmentSummary summary = summarize(files, whole, *file, segment, recorded);
      check_tail(files, *file, segment, summary);
      summaries.push_back(std::move(summary));
    }
    summaries.insert(summaries.end(), stream.others.begin(), stream.others.end());
    for (const std::string& why : stream.files.unreadable) {
      SegmentSummary summary;
      summary.stream = stream.files.stream;
      summary.damage.push_back(why);
      summaries.push_back(std::move(summary));
    }
  }
  return summaries;
}

Result<void> read_log(FileSystem& files, const std::string& log_directory, TagRegistry& tags, const ReadRange& range,
                      const std::function<bool(const RecordBatch&)>& visit) {
  auto streams = inspect_streams(files, log_directory);
  if (!streams) return tl::unexpected(streams.error());
  for (const InspectedStream& found : *streams) {
    if (found.files.stream != range.stream) continue;
    LogReader reader(files, tags, snapshot_of(found, log_directory), nullptr);
    if (auto read = read_range(reader, range, visit); !read) return read;
  }
  return {};
}

}  // namespace tidegate::buffer
