#include "uplink/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "core/text.h"

namespace tidegate::uplink {
namespace {

constexpr mode_t kMode = 0640;
// Whatever a crash tore lies in the window, because no more than half of it is ever written without a flush.
constexpr std::uint64_t kTailWindow = std::uint64_t{8} << 20;
constexpr std::uint64_t kUnflushedMax = kTailWindow / 2;
constexpr std::size_t kBytesShown = 200;
constexpr std::size_t kChunk = std::size_t{64} << 10;

// Reads the end of a file and finds where its last whole line ends. A zero byte is no text: there a crash left a page
// that never reached the disk, and the line it is in was never whole. Where line breaks may stand between quotes it has
// to know a place that is not: the file's beginning, or a line's, which nothing between quotes can look like, because
// a quote is doubled there.
class TailScan {
 public:
  TailScan(int descriptor, std::uint64_t size, const LineForm& form)
      : descriptor_(descriptor), size_(size), has_quotes_(form.has_quotes), line_("\n" + form.beginning) {
    begin_ = size > kTailWindow ? size - kTailWindow : 0;
    whole_ = begin_;
    is_placed_ = begin_ == 0;
  }

  bool run() {
    std::vector<char> chunk(kChunk);
    for (std::uint64_t at = begin_; at < size_;) {
      const ssize_t count = ::pread(descriptor_, chunk.data(), chunk.size(), static_cast<off_t>(at));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return false;
      if (count == 0 || look_at({chunk.data(), static_cast<std::size_t>(count)}, at)) break;
      at += static_cast<std::uint64_t>(count);
    }
    return true;
  }

  std::uint64_t whole() const { return whole_; }
  bool found_a_line_end() const { return begin_ == 0 || whole_ > begin_; }

 private:
  bool look_at(std::string_view chunk, std::uint64_t at) {
    const std::size_t zero = chunk.find('\0');
    const std::string_view text = chunk.substr(0, zero);
    if (has_quotes_) {
      pass_quotes(text, at);
    } else if (const std::size_t newline = text.rfind('\n'); newline != std::string_view::npos) {
      whole_ = at + newline + 1;
    }
    return zero != std::string_view::npos;
  }

  void pass_quotes(std::string_view text, std::uint64_t at) {
    const std::size_t first = is_placed_ ? 0 : text.find(line_);
    if (first == std::string_view::npos) return;
    is_placed_ = true;
    for (std::size_t i = first; i < text.size(); ++i) {
      if (text[i] == '"') is_in_quotes_ = !is_in_quotes_;
      if (text[i] == '\n' && !is_in_quotes_) whole_ = at + i + 1;
    }
  }

  int descriptor_;
  std::uint64_t size_;
  const bool has_quotes_;
  const std::string line_;
  std::uint64_t begin_;
  std::uint64_t whole_;
  bool is_placed_;  // whether it is between quotes is known
  bool is_in_quotes_ = false;
};

// Whether the file's text at `at` is the beginning of a line of ours, or zeros where one would be.
bool is_ours(int descriptor, std::uint64_t at, std::string_view line_beginning) {
  std::string text(line_beginning.size(), '\0');
  const ssize_t count = ::pread(descriptor, text.data(), text.size(), static_cast<off_t>(at));
  if (count < 0) return false;
  text.resize(static_cast<std::size_t>(count));
  text.resize(std::min(text.find('\0'), text.size()));
  return line_beginning.substr(0, text.size()) == text;
}

// 0, or the number of the error. Some file systems, as NFS, know no rename that replaces nothing.
int rename_to_free_name(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  if (::link(from.c_str(), to.c_str()) != 0) return errno;
  if (::unlink(from.c_str()) == 0) return 0;
  const int problem = errno;
  ::unlink(to.c_str());
  return problem;
}

}  // namespace

Result<std::unique_ptr<AppendFile>> AppendFile::open(const std::string& path, const LineForm& form) {
  const int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
  Descriptor descriptor(::open(path.c_str(), flags, kMode));
  if (!descriptor.is_open() && errno == ELOOP) {
    return fail(ErrorCode::invalid, path +
                                        " is a symbolic link, or there are too many on the way to it: name the file "
                                        "that is to be written in \"path\"");
  }
  if (!descriptor.is_open()) return fail_errno("open " + path);
  std::unique_ptr<AppendFile> file(new AppendFile(path, form.header, std::move(descriptor)));
  if (auto cut = file->cut_torn_end(form); !cut) return tl::unexpected(cut.error());
  if (auto synced = sync_directory_of(path); !synced) return tl::unexpected(synced.error());
  return file;
}

Result<void> AppendFile::cut_torn_end(const LineForm& form) {
  struct stat status {};
  if (::fstat(descriptor_.get(), &status) != 0) return fail_errno("fstat " + path_);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::invalid, path_ + " is no regular file; an uplink needs one");
  size_ = synced_size_ = flushed_size_ = static_cast<std::uint64_t>(status.st_size);
  if (!is_ours(descriptor_.get(), 0, form.header)) {
    return fail(ErrorCode::invalid, path_ + " does not begin with the header line \"" +
                                        clip(form.header.substr(0, form.header.find('\r')), kBytesShown) +
                                        "\" but with \"" + text_at(0) +
                                        "\"; move the file away or choose another path");
  }
  TailScan scan(descriptor_.get(), size_, form);
  if (!scan.run()) return fail_errno("read " + path_);
  if (scan.whole() == size_) return {};
  const std::string& beginning = scan.whole() == 0 && !form.header.empty() ? form.header : form.beginning;
  if (!scan.found_a_line_end() || !is_ours(descriptor_.get(), scan.whole(), beginning)) {
    return fail(ErrorCode::invalid, path_ +
                                        " ends in the middle of a line that is not of an uplink: it begins with \"" +
                                        text_at(scan.whole()) + "\", and an uplink's with \"" +
                                        clip(beginning.substr(0, beginning.find('\r')), kBytesShown) +
                                        "\"; move the file away or choose another path");
  }
  return cut_to(scan.whole());
}

std::string AppendFile::text_at(std::uint64_t at) const {
  std::string text(40, '\0');
  const ssize_t count = ::pread(descriptor_.get(), text.data(), text.size(), static_cast<off_t>(at));
  return clip(text.substr(0, static_cast<std::size_t>(std::max<ssize_t>(count, 0))), kBytesShown);
}

Result<void> AppendFile::append(std::string_view lines) {
  if (lost_) return tl::unexpected(*lost_);
  if (is_torn_) return fail(ErrorCode::retry, path_ + " ends in a torn line that could not be cut off yet");
  if (size_ == synced_size_) look_at_size();
  const std::uint64_t size_before = size_;
  std::string_view header = size_ == 0 ? header_ : std::string_view();
  while (!header.empty() || !lines.empty()) {
    auto written = write_some(header.empty() ? lines : header);
    if (written && size_ - flushed_size_ >= kUnflushedMax) written = flush();
    if (written) continue;
    if (!lost_ && !cut_to(size_before)) is_torn_ = true;  // the next open() cuts
    return written;
  }
  return {};
}

Result<void> AppendFile::write_some(std::string_view& lines) {
  const std::uint64_t room = std::max(kUnflushedMax - (size_ - flushed_size_), std::uint64_t{1});
  const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(lines.size(), room));
  const ssize_t count = ::write(descriptor_.get(), lines.data(), part);
  if (count < 0) return errno == EINTR ? Result<void>() : fail_errno("write " + path_);
  size_ += static_cast<std::uint64_t>(count);
  lines.remove_prefix(static_cast<std::size_t>(count));
  return {};
}

// A flush that failed may have lost anything since the one before, and says so only once.
Result<void> AppendFile::flush() {
  if (lost_) return tl::unexpected(*lost_);
  if (::fdatasync(descriptor_.get()) == 0) {
    flushed_size_ = size_;
    return {};
  }
  lost_ = fail_errno("fdatasync " + path_).value();
  static_cast<void>(cut_to(synced_size_));
  return tl::unexpected(*lost_);
}

Result<void> AppendFile::sync() {
  if (auto flushed = flush(); !flushed) return flushed;
  synced_size_ = size_;
  return {};
}

bool AppendFile::is_in_place() const {
  if (is_torn_ || lost_) return false;
  struct stat here {};
  struct stat there {};
  if (::fstat(descriptor_.get(), &here) != 0 || ::lstat(path_.c_str(), &there) != 0) return false;
  return here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

Result<bool> AppendFile::move_to(const std::string& path) {
  if (const int problem = rename_to_free_name(path_, path); problem != 0) {
    if (problem == EEXIST) return false;
    errno = problem;
    return fail_errno("rename " + path_ + " to " + path);
  }
  path_ = path;
  return true;
}

// Others may cut the file between two batches, as log rotation by copying does.
void AppendFile::look_at_size() {
  struct stat status {};
  if (::fstat(descriptor_.get(), &status) == 0)
    size_ = synced_size_ = flushed_size_ = static_cast<std::uint64_t>(status.st_size);
}

Result<void> AppendFile::cut_to(std::uint64_t size) {
  while (::ftruncate(descriptor_.get(), static_cast<off_t>(size)) != 0) {
    if (errno != EINTR) return fail_errno("ftruncate " + path_);
  }
  size_ = size;
  synced_size_ = std::min(synced_size_, size);
  flushed_size_ = std::min(flushed_size_, size);
  return {};
}

Result<void> sync_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const Descriptor descriptor(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor.is_open()) return fail_errno("open " + directory);
  if (::fsync(descriptor.get()) != 0) return fail_errno("fsync " + directory);
  return {};
}

}  // namespace tidegate::uplink
