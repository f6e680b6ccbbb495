#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer/ring_log.h"
#include "buffer/segment_format.h"
#include "core/clock.h"
#include "core/file_system.h"

namespace tidegate::buffer {

/// A stretch of a file.
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// A file with frames that are not durable yet.
struct FileSync {
  std::uint64_t number = 0;
  std::shared_ptr<File> file;  // null: opened by path
  std::string path;
  // To be written again as it stands before the sync: another process wrote it, and may have had a sync of it fail,
  // after which the kernel takes for clean what is not on the disk.
  ByteRange again;
  bool is_full = false;           // gets its footer once its frames are synced
  std::vector<std::byte> footer;  // empty: none
  std::uint64_t footer_at = 0;
  bool footer_written = false;  // result
};

/// Making, removing or replacing one segment file.
struct SegmentTask {
  enum class Kind : std::uint8_t { create, recycle, remove, replace };
  Kind kind = Kind::create;
  std::uint64_t number = 0;    // of the file that is recycled, removed or replaced
  std::string path;            // of it
  bool is_dense_name = false;  // of it
  std::uint64_t new_number = 0;
  std::string new_path;  // of the other file of a replace, which gets the old one unless `overwrote`
  std::uint64_t bytes = 0;
  std::uint64_t made = 0;      // of `bytes`, by earlier jobs of this create; written, not synced
  std::uint64_t make_to = 0;   // how far this one goes
  bool overwrote = false;      // result of replace
  std::shared_ptr<File> file;  // result of create and recycle; what an earlier job began to create
  std::optional<Error> error;  // result
};

/// A job's part for one stream.
struct StreamWork {
  std::string directory;
  bool syncs = false;
  bool directory_changed = false;  // a file in it is new
  std::uint64_t target = 1;        // durable when the syncs are done
  std::uint64_t generation = 0;
  std::vector<FileSync> files;  // in the order of their frames
  std::vector<SegmentTask> tasks;
  std::optional<Error> error;  // result of the syncs

  bool empty() const { return !syncs && tasks.empty(); }
};

/// Does what StreamWork says. Per stream: frames first, then the directory, then footers; then new and old files.
class SyncJob final : public LogJob {
 public:
  SyncJob(FileSystem& files, const Clock& clock) : files_(files), clock_(clock) {}
  void run() override;

  bool empty() const;
  std::array<StreamWork, kStreamCount> work;
  std::span<const Duration> sync_times() const override { return sync_times_; }
  Duration sync_time{};     // result
  std::uint64_t syncs = 0;  // result

 private:
  Result<void> sync(File& file);
  Result<void> write_again(File& file, ByteRange range) const;
  Result<void> sync_frames(StreamWork& work);
  void write_footers(StreamWork& work);
  Result<void> run_task(SegmentTask& task, const std::string& directory);
  Result<void> create(SegmentTask& task, const std::string& directory);
  Result<void> recycle(SegmentTask& task, const std::string& directory);

  FileSystem& files_;
  const Clock& clock_;
  std::vector<Duration> sync_times_;
};

}  // namespace tidegate::buffer
