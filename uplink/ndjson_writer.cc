#include "uplink/ndjson_writer.h"

#include <algorithm>
#include <utility>

#include "core/clock.h"
#include "core/text.h"
#include "uplink/placeholders.h"

namespace tidegate::uplink {
namespace {

constexpr std::size_t kDateLength = 10;  // of "2026-11-21T..."

Result<std::string> fill_path(const std::string& path_template, std::string_view gateway, std::string_view stream,
                              std::string_view date) {
  return fill_placeholders(path_template, {{"gateway", gateway}, {"stream", stream}, {"date", date}});
}

// "dir/out.ndjson", in "dir/out.3-17.ndjson" or "dir/out.3-17-2.ndjson".
std::string rotated_name(const std::string& path, const OutgoingBatch& last, int count) {
  const std::size_t name = path.rfind('/') + 1;  // 0 without one
  const std::size_t dot = path.rfind('.');
  const std::size_t at = dot == std::string::npos || dot <= name ? path.size() : dot;
  std::string mark = "." + std::to_string(last.epoch) + "-" + std::to_string(last.to);
  if (count > 1) mark += "-" + std::to_string(count);
  return path.substr(0, at) + mark + path.substr(at);
}

}  // namespace

Result<void> NdjsonWriter::check_path(const std::string& path_template) {
  const auto path = fill_path(path_template, "gateway", "stream", "date");
  if (!path) return tl::unexpected(path.error());
  if (path->empty() || path->back() == '/') {
    return fail(ErrorCode::invalid, "path \"" + clip(path_template) + "\" names no file");
  }
  return {};
}

NdjsonWriter::NdjsonWriter(std::string name, std::string path_template, std::string gateway, std::uint64_t rotate_bytes)
    : name_(std::move(name)),
      path_template_(std::move(path_template)),
      gateway_(std::move(gateway)),
      rotate_bytes_(rotate_bytes),
      renderer_(gateway_) {}

void NdjsonWriter::write(const std::vector<OutgoingBatch>& batches, const Report& report) {
  for (const OutgoingBatch& batch : batches) {
    if (batch.replay) awaited_[static_cast<std::size_t>(batch.stream)].reset();
    if (comes_too_early(batch)) {
      report(batch.id, false);
      continue;
    }
    if (auto appended = append(batch); !appended) fail_batch(batch, appended.error(), report);
  }
  sync_all(report);
}

const std::string& NdjsonWriter::trouble() const {
  const auto first = std::find_if(troubles_.begin(), troubles_.end(), [](const auto& one) { return !one.empty(); });
  return first == troubles_.end() ? troubles_.front() : *first;
}

bool NdjsonWriter::comes_too_early(const OutgoingBatch& batch) const {
  const auto& awaited = awaited_[static_cast<std::size_t>(batch.stream)];
  return awaited && Position{batch.epoch, batch.from} > *awaited;
}

Result<void> NdjsonWriter::append(const OutgoingBatch& batch) {
  lines_.clear();
  const auto sent = renderer_.append(lines_, batch);
  if (!sent) return tl::unexpected(sent.error());
  const auto path = path_for(batch.stream, *sent);
  if (!path) return tl::unexpected(path.error());
  const auto open = file_at(*path);
  if (!open) return tl::unexpected(open.error());
  if (auto appended = (*open)->file->append(lines_); !appended) return appended;
  (*open)->unsynced.push_back(&batch);
  awaited_[static_cast<std::size_t>(batch.stream)].reset();
  return {};
}

Result<NdjsonWriter::OpenFile*> NdjsonWriter::file_at(const std::string& path) {
  const auto known = files_.find(path);
  if (known != files_.end()) {
    if (!known->second.unsynced.empty() || known->second.file->is_in_place()) return &known->second;
    files_.erase(known);
  }
  auto file = AppendFile::open(path, NdjsonLines::kLineBeginning);
  if (!file) return tl::unexpected(file.error());
  OpenFile& open = files_[path];
  open.file = std::move(*file);
  return &open;
}

Result<std::string> NdjsonWriter::path_for(Stream stream, WallTime sent) const {
  return fill_path(path_template_, gateway_, to_string(stream), format_utc(sent).substr(0, kDateLength));
}

void NdjsonWriter::sync_all(const Report& report) {
  for (auto at = files_.begin(); at != files_.end();) {
    OpenFile& open = at->second;
    // One without a batch is of yesterday, as a rule; opening it again costs little.
    const OutgoingBatch* const last = open.unsynced.empty() ? nullptr : open.unsynced.back();
    const bool stays = last != nullptr && sync(open, report) && !rotate(at->first, open, *last);
    at = stays ? std::next(at) : files_.erase(at);
  }
}

bool NdjsonWriter::sync(OpenFile& open, const Report& report) {
  const auto synced = open.file->sync();
  for (const OutgoingBatch* const batch : std::exchange(open.unsynced, {})) {
    if (synced) {
      troubles_[static_cast<std::size_t>(batch->stream)].clear();
      report(batch->id, true);
    } else {
      fail_batch(*batch, synced.error(), report);
    }
  }
  return synced.has_value();
}

// False: the file keeps its name, and is tried again when more is in it. After a replay there may be one of the same
// last record already.
bool NdjsonWriter::rotate(const std::string& path, OpenFile& open, const OutgoingBatch& last) {
  constexpr int kNamesTried = 100;
  if (rotate_bytes_ == 0 || open.file->size() < rotate_bytes_) return false;
  for (int count = 1; count <= kNamesTried; ++count) {
    const auto moved = open.file->move_to(rotated_name(path, last, count));
    if (!moved) complain(moved.error());
    if (!moved || *moved) return moved.has_value();
  }
  return false;
}

void NdjsonWriter::fail_batch(const OutgoingBatch& batch, const Error& error, const Report& report) {
  auto& awaited = awaited_[static_cast<std::size_t>(batch.stream)];
  const Position from{batch.epoch, batch.from};
  awaited = awaited ? std::min(*awaited, from) : from;
  troubles_[static_cast<std::size_t>(batch.stream)] = error.message;
  complain(error);
  report(batch.id, false);
}

void NdjsonWriter::complain(const Error& error) {
  const auto left_out = complaints_.admit(error.message, SystemClock().boot_now());
  if (!left_out) return;
  log_warning("uplink " + name_, "{}; the records stay in the log and are written again later{}", error.message,
              since_last_line(*left_out));
}

}  // namespace tidegate::uplink
