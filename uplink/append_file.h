#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/descriptor.h"
#include "core/error.h"

namespace tidegate::uplink {

/// What the lines of a file look like, by which a file is known as ours and its torn end is found.
struct LineForm {
  std::string beginning;    // of every line
  std::string header{};     // the first line, with its end; empty: none
  bool has_quotes = false;  // a line break between quotes ends no line
};

/// A text file of whole lines that is only appended to, and that others may read, move away or delete meanwhile.
/// What was appended is there for good only when sync() has returned. A torn line, of a full disk or of a crash, is cut
/// off at once or by the next open(): what follows always begins a line of its own. Between two syncs it flushes by
/// itself, so that what a crash can tear stays small enough to look for. One thread.
class AppendFile {
 public:
  /// Opens or makes the file and cuts what a crash has left behind its last whole line. Error `invalid` when it is no
  /// regular file, has another header, or its end is not of our making (does not begin as lines do): it is left alone.
  static Result<std::unique_ptr<AppendFile>> open(const std::string& path, const LineForm& form);

  /// All or nothing: what a failed write left is cut again. `lines` ends with a newline. An empty file gets the header.
  /// Errors: `full`, `retry`.
  Result<void> append(std::string_view lines);
  /// After an error nothing appended since the last sync counts, and the object is not to be used any more: it has cut
  /// that off, where it could.
  Result<void> sync();
  /// False when the path names another file now, or none: what is appended here would not be found there. Or when a
  /// torn end could not be cut off here: then nothing more is appended, and the next open() tries again.
  bool is_in_place() const;
  std::uint64_t size() const { return size_; }
  /// Gives the file another name in its directory, for good; it is not to be appended to any more. False when there is
  /// something of that name, an error when it still has the old one. Whoever looks finds it under one of the two names,
  /// or under both for a moment, whole. That it has the new one is durable when sync_directory_of() has returned.
  Result<bool> move_to(const std::string& path);

 private:
  AppendFile(std::string path, std::string header, Descriptor descriptor)
      : path_(std::move(path)), header_(std::move(header)), descriptor_(std::move(descriptor)) {}
  Result<void> cut_torn_end(const LineForm& form);
  std::string text_at(std::uint64_t at) const;
  Result<void> write_some(std::string_view& lines);
  Result<void> flush();
  Result<void> cut_to(std::uint64_t size);
  void look_at_size();

  std::string path_;
  const std::string header_;
  Descriptor descriptor_;
  std::uint64_t size_ = 0;
  std::uint64_t synced_size_ = 0;   // what the last sync() vouched for
  std::uint64_t flushed_size_ = 0;  // that, or more
  bool is_torn_ = false;
  std::optional<Error> lost_;  // the error of the flush that failed
};

/// Makes the name of a file durable.
Result<void> sync_directory_of(const std::string& path);

}  // namespace tidegate::uplink
