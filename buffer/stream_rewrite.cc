// How sealed segments become dense: which are worth it, and how the new file takes the place of the old one.
#include <algorithm>

#include "buffer/segment_file.h"
#include "buffer/segment_rewriter.h"
#include "buffer/stream_log.h"
#include "core/free_room.h"
#include "core/log.h"

namespace tidegate::buffer {
namespace {

// Below this a record takes about what it takes in a dense frame. Only for readings: documents are of any size.
constexpr std::uint64_t kRecordBytesMin = 5;
constexpr auto kAgainAfter = std::chrono::minutes(1);

}  // namespace

// The newest segment stays as it is: with what is written behind it, it may have to be written anew.
bool StreamLog::is_rewritable(const Stored& segment) const {
  const SegmentContent& content = segment.content;
  if (segment.dense || segment.tried || segment.footer_at == 0 || content.end > durable_ || content.empty())
    return false;
  return stream_ != Stream::readings || content.used_bytes >= kRecordBytesMin * content.records();
}

std::optional<RewriteRequest> StreamLog::next_rewrite() {
  if (!shared_.options.compact || replacement_ || failure_ || segments_.size() < 2) return std::nullopt;
  if (shared_.clock.boot_now() < rewrites_at_) return std::nullopt;
  const auto newest = segments_.end() - 1;
  const auto found = std::find_if(segments_.begin(), newest, [&](const Stored& one) { return is_rewritable(one); });
  if (found == newest) return std::nullopt;
  found->tried = true;
  RewriteRequest request;
  request.identity = {shared_.log_id, stream_, found->number};
  request.path = path(found->number);
  request.dense_path = directory_ + "/" + dense_name(found->number);
  request.bytes = found->bytes;
  request.range = {found->content.first, found->content.end};
  for (const SequenceRange& hole : missing_) {
    if (hole.end > request.range.first && hole.first < request.range.end) request.missing.push_back(hole);
  }
  // An earlier one was begun and not finished: it is in the way no more, and must not be removed under the new one.
  std::erase_if(condemned_, [&](const Condemned& one) {
    return one.is_dense_name && one.number == found->number && one.bytes != segment_bytes_;
  });
  return request;
}

StreamLog::Stored* StreamLog::find_segment(std::uint64_t number) {
  const auto found =
      std::find_if(segments_.begin(), segments_.end(), [&](const Stored& stored) { return stored.number == number; });
  return found == segments_.end() ? nullptr : &*found;
}

void StreamLog::finish_rewrite(const SegmentRewriter& done) {
  const std::uint64_t number = done.request().identity.number;
  if (done.outcome() == RewriteOutcome::written) {
    shared_.counters.written_bytes += done.bytes();
    replacement_ = Replacement{number, done.bytes(), done.content(), false};
    return;
  }
  const bool is_silent = done.outcome() == RewriteOutcome::not_worth_it || find_segment(number) == nullptr;
  if (!is_silent) log_warning("log", "{} is not rewritten: {}", done.request().path, done.reason());
  if (done.outcome() != RewriteOutcome::failed) return;
  rewrites_at_ = shared_.clock.boot_now() + kAgainAfter;
  if (Stored* segment = find_segment(number)) segment->tried = false;
}

// Here on the thread that renames segments for other ends too: none of them comes in between.
void StreamLog::add_replacement(StreamWork& work) {
  if (find_segment(replacement_->number) == nullptr) {
    condemned_.push_back({replacement_->number, replacement_->bytes, {}, stream_, 0, false, true});
    replacement_.reset();
    return;
  }
  SegmentTask task;
  task.kind = SegmentTask::Kind::replace;
  task.number = replacement_->number;
  task.path = path(task.number);
  task.new_path = directory_ + "/" + dense_name(task.number);
  replacement_->is_out = true;
  work.tasks.push_back(std::move(task));
}

void StreamLog::finish_replacement(const SegmentTask& task) {
  const Replacement done = std::move(*replacement_);
  replacement_.reset();
  if (task.error) {
    condemned_.push_back({done.number, done.bytes, {}, stream_, 0, false, true});
    return;
  }
  std::uint64_t old_bytes = 0;
  if (Stored* segment = find_segment(done.number)) {
    old_bytes = std::exchange(segment->bytes, done.bytes);
    segment->footer_at = done.bytes - kBlockBytes;
    segment->content.used_bytes = done.content.used_bytes;
    segment->content.frames = done.content.frames;
    free_room(segment->content.sections);
    segment->dense = true;
    ++shared_.counters.rewritten_segments;
    shared_.counters.rewritten_from_bytes += old_bytes;
    shared_.counters.rewritten_to_bytes += done.bytes;
  } else {
    // Given up in the meantime: what waits to be removed under its name is the new file now.
    for (Condemned& one : condemned_) {
      if (one.number == done.number && !one.is_dense_name) old_bytes = std::exchange(one.bytes, done.bytes);
    }
  }
  if (!task.overwrote) condemned_.push_back({done.number, old_bytes, {}, stream_, 0, false, true});
}

}  // namespace tidegate::buffer
