#include "uplink/file_writer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/clock.h"
#include "core/text.h"
#include "uplink/csv_lines.h"
#include "uplink/ndjson_lines.h"
#include "uplink/placeholders.h"

namespace tidegate::uplink {
namespace {

constexpr std::size_t kDateLength = 10;  // of "2026-11-21T..."
// In a name that is sought: a digit where it has a zero byte, which no name has.
constexpr std::string_view kAnyDay("\0\0\0\0-\0\0-\0\0", kDateLength);
constexpr const char* kNamedLater = "the file keeps its name and its records for now, and is named later";
constexpr const char* kNamedNever = "it is left as it is";

Result<std::string> fill_path(const std::string& path_template, std::string_view gateway, std::string_view stream,
                              std::string_view date) {
  return fill_placeholders(path_template, {{"gateway", gateway}, {"stream", stream}, {"date", date}});
}

bool is_of_some_day(std::string_view wanted, std::string_view name) {
  return std::equal(wanted.begin(), wanted.end(), name.begin(), name.end(),
                    [](char want, char is) { return want == '\0' ? is >= '0' && is <= '9' : want == is; });
}

// "dir/out.ndjson" with its mark in "dir/out.MARK.ndjson".
std::string marked_name(const std::string& path, const std::string& mark) {
  const std::size_t name = path.rfind('/') + 1;  // 0 without one
  const std::size_t dot = path.rfind('.');
  const std::size_t at = dot == std::string::npos || dot <= name ? path.size() : dot;
  return path.substr(0, at) + mark + path.substr(at);
}

// "dir/out.3-17.ndjson" or "dir/out.3-17-2.ndjson".
std::string rotated_name(const std::string& path, const OutgoingBatch& last, int count) {
  std::string mark = "." + std::to_string(last.epoch) + "-" + std::to_string(last.to);
  if (count > 1) mark += "-" + std::to_string(count);
  return marked_name(path, mark);
}

std::unique_ptr<const RecordLines> make_renderer(const FileUplinkOptions& options, const std::string& gateway) {
  if (options.format == FileFormat::csv) return std::make_unique<CsvLines>(gateway, options.spreadsheet_safe);
  return std::make_unique<NdjsonLines>(gateway);
}

}  // namespace

Result<void> FileWriter::check_path(const std::string& path_template) {
  const auto path = fill_path(path_template, "gateway", "stream", "date");
  if (!path) return tl::unexpected(path.error());
  if (path->empty() || path->back() == '/') {
    return fail(ErrorCode::invalid, "path \"" + clip(path_template) + "\" names no file");
  }
  return {};
}

FileWriter::FileWriter(const FileUplinkOptions& options, std::string gateway)
    : name_(options.forwarder.name),
      path_template_(options.path),
      gateway_(std::move(gateway)),
      rotate_bytes_(options.rotate_bytes),
      part_suffix_(options.part_suffix),
      renderer_(make_renderer(options, gateway_)) {}

void FileWriter::write(const std::vector<OutgoingBatch>& batches, const Report& report) {
  for (const OutgoingBatch& batch : batches) {
    if (order_.comes_too_early(BatchPlace(batch))) {
      report(batch.id, false);
      continue;
    }
    if (auto appended = append(batch); !appended) fail_batch(batch, appended.error(), report);
  }
  sync_all(report);
  finish_days();
  sync_names();
}

const std::string& FileWriter::trouble() const {
  const auto first = std::find_if(troubles_.begin(), troubles_.end(), [](const auto& one) { return !one.empty(); });
  return first == troubles_.end() ? troubles_.front() : *first;
}

Result<void> FileWriter::append(const OutgoingBatch& batch) {
  const auto sent = renderer_->append(lines_.begin(), batch);
  if (!sent) return tl::unexpected(sent.error());
  const auto path = path_for(batch.stream, *sent);
  if (!path) return tl::unexpected(path.error());
  note_day(batch.stream, *path);
  const auto open = file_at(*path, batch.stream);
  if (!open) return tl::unexpected(open.error());
  if (auto appended = (*open)->file->append(lines_.text()); !appended) return appended;
  (*open)->unsynced.push_back(&batch);
  order_.on_taken(BatchPlace(batch));
  return {};
}

Result<FileWriter::OpenFile*> FileWriter::file_at(const std::string& path, Stream stream) {
  const auto known = files_.find(path);
  if (known != files_.end()) {
    if (!known->second.unsynced.empty() || known->second.file->is_in_place()) return &known->second;
    files_.erase(known);
  }
  auto file = AppendFile::open(path + part_suffix_, renderer_->form(stream));
  if (!file) return tl::unexpected(file.error());
  OpenFile& open = files_[path];
  open.file = std::move(*file);
  return &open;
}

Result<std::string> FileWriter::path_for(Stream stream, WallTime sent) const {
  return fill_path(path_template_, gateway_, to_string(stream), format_utc(sent).substr(0, kDateLength));
}

void FileWriter::sync_all(const Report& report) {
  for (auto at = files_.begin(); at != files_.end();) {
    OpenFile& open = at->second;
    // One without a batch is of yesterday, as a rule; opening it again costs little.
    const OutgoingBatch* const last = open.unsynced.empty() ? nullptr : open.unsynced.back();
    const bool stays = last != nullptr && sync(open, report) && !rotate(at->first, open, *last);
    at = stays ? std::next(at) : files_.erase(at);
  }
}

bool FileWriter::sync(OpenFile& open, const Report& report) {
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
bool FileWriter::rotate(const std::string& path, OpenFile& open, const OutgoingBatch& last) {
  if (rotate_bytes_ == 0 || open.file->size() < rotate_bytes_) return false;
  const auto named = give_name(*open.file, [&](int count) { return rotated_name(path, last, count); });
  if (!named) complain(named.error(), kNamedLater);
  return named.has_value();
}

// What one of the streams that share a file has left is finished for all of them, once it is synced: the others may be
// silent for days.
void FileWriter::note_day(Stream stream, const std::string& path) {
  if (part_suffix_.empty()) return;
  if (!std::exchange(has_looked_[static_cast<std::size_t>(stream)], true)) find_left_parts(stream, path);
  std::string& current = current_[static_cast<std::size_t>(stream)];
  if (current == path) return;
  if (!current.empty()) past_.emplace(current, stream);
  current = path;
}

// Files of other days that an earlier process left unfinished.
void FileWriter::find_left_parts(Stream stream, const std::string& current) {
  const auto pattern = fill_path(path_template_, gateway_, to_string(stream), kAnyDay);
  if (!pattern) return;
  const std::filesystem::path wanted(*pattern + part_suffix_);
  std::error_code error;
  const auto directory = wanted.has_parent_path() ? wanted.parent_path() : std::filesystem::path(".");
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!is_of_some_day(wanted.filename().string(), name)) continue;
    const std::string finished = (wanted.parent_path() / name.substr(0, name.size() - part_suffix_.size())).string();
    const bool is_current =
        finished == current || std::find(current_.begin(), current_.end(), finished) != current_.end();
    if (!is_current) past_.emplace(finished, stream);
  }
}

// What is no file of ours stays as it is: to look at it again and again helps nobody.
void FileWriter::finish_days() {
  for (auto at = past_.begin(); at != past_.end();) {
    files_.erase(at->first);
    std::replace(current_.begin(), current_.end(), at->first, std::string());
    const auto finished = finish_day(at->first, at->second);
    const bool is_given_up = !finished && finished.error().code == ErrorCode::invalid;
    if (!finished) complain(finished.error(), is_given_up ? kNamedNever : kNamedLater);
    at = finished || is_given_up ? past_.erase(at) : std::next(at);
  }
}

Result<void> FileWriter::finish_day(const std::string& path, Stream stream) {
  const std::string part = path + part_suffix_;
  struct stat status {};
  if (::lstat(part.c_str(), &status) != 0) return errno == ENOENT ? Result<void>() : fail_errno("lstat " + part);
  auto file = AppendFile::open(part, renderer_->form(stream));
  if (!file) return tl::unexpected(file.error());
  if (auto synced = (*file)->sync(); !synced) return synced;
  if ((*file)->size() == 0) {
    if (::unlink(part.c_str()) != 0) return fail_errno("unlink " + part);
    return {};
  }
  return give_name(**file,
                   [&](int count) { return count == 1 ? path : marked_name(path, "." + std::to_string(count)); });
}

// The first of the names that is free. That the name is durable is seen to apart: the file has it in any case.
template <class Name>
Result<void> FileWriter::give_name(AppendFile& file, const Name& name) {
  constexpr int kNamesTried = 100;
  for (int count = 1; count <= kNamesTried; ++count) {
    const std::string path = name(count);
    const auto moved = file.move_to(path);
    if (!moved) return tl::unexpected(moved.error());
    if (!*moved) continue;
    renamed_.insert(path.substr(0, path.rfind('/') + 1));
    return {};
  }
  return fail(ErrorCode::retry,
              name(1) + " and " + std::to_string(kNamesTried - 1) + " names like it are taken; move these files away");
}

void FileWriter::sync_names() {
  for (auto at = renamed_.begin(); at != renamed_.end();) {
    const auto synced = sync_directory_of(*at);
    if (!synced) complain(synced.error(), "the finished file has its name, and that is made durable later");
    at = synced ? renamed_.erase(at) : std::next(at);
  }
}

void FileWriter::fail_batch(const OutgoingBatch& batch, const Error& error, const Report& report) {
  order_.on_failed(BatchPlace(batch));
  troubles_[static_cast<std::size_t>(batch.stream)] = error.message;
  complain(error, "the records stay in the log and are written again later");
  report(batch.id, false);
}

void FileWriter::complain(const Error& error, const char* what_now) {
  const auto left_out = complaints_.admit(error.message, SystemClock().boot_now());
  if (!left_out) return;
  log_warning("uplink " + name_, "{}; {}{}", error.message, what_now, since_last_line(*left_out));
}

}  // namespace tidegate::uplink
