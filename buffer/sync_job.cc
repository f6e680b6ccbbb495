#include "buffer/sync_job.h"

#include <algorithm>

namespace tidegate::buffer {
namespace {

constexpr std::size_t kCopyBytes = std::size_t{64} * 1024;

}  // namespace

bool SyncJob::empty() const {
  return std::all_of(work.begin(), work.end(), [](const StreamWork& one) { return one.empty(); });
}

void SyncJob::run() {
  const BootTime begin = clock_.boot_now();
  for (StreamWork& one : work) {
    if (!one.syncs) continue;
    if (auto synced = sync_frames(one); !synced) one.error = synced.error();
  }
  sync_time = clock_.boot_now() - begin;
  for (StreamWork& one : work) {
    if (one.syncs && !one.error) write_footers(one);
    for (SegmentTask& task : one.tasks) {
      if (auto done = run_task(task, one.directory); !done) task.error = done.error();
    }
  }
}

Result<void> SyncJob::sync(File& file) {
  const BootTime begin = clock_.boot_now();
  auto synced = file.sync();
  sync_times_.push_back(clock_.boot_now() - begin);
  ++syncs;
  return synced;
}

Result<void> SyncJob::write_again(File& file, ByteRange range) const {
  std::vector<std::byte> piece(kCopyBytes);
  while (range.begin < range.end) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), range.end - range.begin));
    const auto count = file.read_at(range.begin, std::span(piece).first(wanted));
    if (!count) return tl::unexpected(count.error());
    if (*count == 0) return {};  // it ends before: so do the frames that opening found
    if (auto written = file.write_at(range.begin, std::span(piece).first(*count)); !written) return written;
    range.begin += *count;
  }
  return {};
}

Result<void> SyncJob::sync_frames(StreamWork& work_of_stream) {
  for (FileSync& one : work_of_stream.files) {
    if (!one.file) {
      auto opened = files_.open(one.path, OpenMode::write);
      if (!opened) return tl::unexpected(opened.error());
      one.file = std::move(*opened);
    }
    if (auto again = write_again(*one.file, one.again); !again) return again;
    if (auto synced = sync(*one.file); !synced) return synced;
  }
  return work_of_stream.directory_changed ? files_.sync_directory(work_of_stream.directory) : Result<void>();
}

// A footer makes opening cheap and is never needed: when it fails, the segment is walked over instead.
void SyncJob::write_footers(StreamWork& work_of_stream) {
  for (FileSync& one : work_of_stream.files) {
    if (one.footer.empty()) continue;
    if (!one.file->write_at(one.footer_at, one.footer)) continue;
    one.footer_written = sync(*one.file).has_value();
  }
}

Result<void> SyncJob::run_task(SegmentTask& task, const std::string& directory) {
  if (task.kind == SegmentTask::Kind::remove) {
    if (auto removed = files_.remove(task.path); !removed) return removed;
    return files_.sync_directory(directory);
  }
  if (task.kind == SegmentTask::Kind::replace) {
    if (!files_.exchange(task.new_path, task.path)) {
      // The file system cannot do that: then the old file goes at once.
      if (auto renamed = files_.rename(task.new_path, task.path); !renamed) return renamed;
      task.overwrote = true;
    }
    (void)files_.sync_directory(directory);  // until it is durable, either file holds the same records
    return {};
  }
  return task.kind == SegmentTask::Kind::create ? create(task, directory) : recycle(task, directory);
}

// In parts, so that records do not wait until a whole segment is on the disk before they are synced. A part by itself
// has no use, so only the last is followed by a sync: each would cost records the time of one of their own.
Result<void> SyncJob::create(SegmentTask& task, const std::string& directory) {
  if (!task.file) {
    auto file = files_.open(task.new_path, OpenMode::create);
    if (!file) return tl::unexpected(file.error());
    task.file = std::move(*file);
  }
  auto made = task.file->reserve(task.make_to);
  const bool is_whole = task.make_to == task.bytes;
  if (made) made = is_whole ? task.file->sync() : task.file->begin_write_back();
  if (made && is_whole) made = files_.sync_directory(directory);
  if (!made) (void)files_.remove(task.new_path);
  return made;
}

Result<void> SyncJob::recycle(SegmentTask& task, const std::string& directory) {
  if (auto renamed = files_.rename(task.path, task.new_path); !renamed) return renamed;
  task.path = task.new_path;
  task.number = task.new_number;
  task.is_dense_name = false;
  auto file = files_.open(task.new_path, OpenMode::write);
  if (!file) return tl::unexpected(file.error());
  auto reserved = (*file)->reserve(task.bytes);
  if (reserved) reserved = (*file)->sync();
  if (reserved) reserved = files_.sync_directory(directory);
  if (reserved) task.file = std::move(*file);
  return reserved;
}

}  // namespace tidegate::buffer
