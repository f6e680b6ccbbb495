#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "buffer/frame_scanner.h"
#include "buffer/segment_format.h"
#include "core/file_system.h"

namespace tidegate::buffer {

/// A file whose name is a segment's, with its first block.
struct SegmentFile {
  std::uint64_t number = 0;
  std::string path;
  std::uint64_t bytes = 0;
  ParsedHeader header;
};

struct StreamFiles {
  Stream stream = Stream::readings;
  std::string directory;
  std::vector<SegmentFile> segments;     // by number
  std::vector<std::uint64_t> rewritten;  // numbers of segments of which a file with a dense name is left
  std::vector<std::string> unknown;      // names that are none of ours
  std::vector<std::string> unreadable;   // what open or read said
  std::uint64_t next_number = 1;         // behind all names, also of files that cannot be read
};

std::string stream_directory(const std::string& log_directory, Stream stream);

/// Reads the first block of every segment file. Error when the directory cannot be listed.
Result<StreamFiles> list_stream(FileSystem& files, const std::string& log_directory, Stream stream);

/// The log that the newest valid header belongs to; all zero when there is none.
LogId newest_log_id(std::span<const StreamFiles> streams);

enum class FileRole : std::uint8_t {
  segment,  // holds frames, or will hold the next ones
  spare,    // prepared or recycled, not in use
  foreign,  // of another log, or damaged so that nothing in it can be read
  newer,    // of a later format
};
FileRole role_of(const SegmentFile& file, const File& content, const SegmentIdentity& identity);

/// Records that should lie between two valid frames and do not.
struct Hole {
  SequenceRange lost;
  std::uint64_t offset = 0;
  std::uint64_t end_offset = 0;
  std::string text;
};

/// A segment as opening sees it: by its footer where it has one, else by walking over its frames.
struct LoadedSegment {
  SegmentIdentity identity;
  std::string path;
  std::uint64_t file_bytes = 0;
  std::optional<SegmentHeader> header;  // nothing when it is damaged
  bool sealed = false;
  SegmentContent content;
  std::uint64_t end_offset = kBlockBytes;  // behind the last frame; when not sealed
  std::vector<Hole> holes;                 // when not sealed
  std::optional<Hole> front;               // the first frames are not those that the header names; when not sealed
  std::optional<FrameProblem> tail;        // what follows the last frame and looks like one; when not sealed
  std::uint64_t torn_bytes = 0;            // of it
  std::vector<QueueMark> marks;            // header's, overtaken by the frames'

  /// Sequence of the first record, as far as the header knows.
  std::uint64_t declared_first() const { return header ? header->first : content.first; }
};

/// Where frames end and the footer begins.
std::uint64_t frames_limit(const SegmentFile& file);

LoadedSegment load_segment(const SegmentFile& file, const File& content, const SegmentIdentity& identity);
/// The same without believing the footer.
LoadedSegment scan_segment(const SegmentFile& file, const File& content, const SegmentIdentity& identity);

/// The queue marks of the header, overtaken by those of the frames with records up to `end` only.
std::vector<QueueMark> scan_marks(const SegmentFile& file, const File& content, const SegmentIdentity& identity,
                                  std::uint64_t end);

/// Later marks overtake earlier ones of the same queue.
void take_marks(std::vector<QueueMark>& marks, std::span<const QueueMark> later);

}  // namespace tidegate::buffer
