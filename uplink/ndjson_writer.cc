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

}  // namespace

Result<void> NdjsonWriter::check_path(const std::string& path_template) {
  const auto path = fill_path(path_template, "gateway", "stream", "date");
  if (!path) return tl::unexpected(path.error());
  if (path->empty() || path->back() == '/') {
    return fail(ErrorCode::invalid, "path \"" + clip(path_template) + "\" names no file");
  }
  return {};
}

NdjsonWriter::NdjsonWriter(std::string name, std::string path_template, std::string gateway)
    : name_(std::move(name)),
      path_template_(std::move(path_template)),
      gateway_(std::move(gateway)),
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
    if (open.unsynced.empty()) {
      // Of yesterday, as a rule; opening it again costs little.
      at = files_.erase(at);
      continue;
    }
    const auto synced = open.file->sync();
    for (const OutgoingBatch* const batch : std::exchange(open.unsynced, {})) {
      if (synced) {
        troubles_[static_cast<std::size_t>(batch->stream)].clear();
        report(batch->id, true);
      } else {
        fail_batch(*batch, synced.error(), report);
      }
    }
    at = synced ? std::next(at) : files_.erase(at);
  }
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
