#include "core/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

#include "core/descriptor.h"

namespace tidegate {
namespace {

class PosixFile final : public File {
 public:
  PosixFile(std::string path, Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) const override {
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t count =
          ::pread(fd_.get(), into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
      if (count == 0) break;
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return fail_errno("read " + path_);
      done += static_cast<std::size_t>(count);
    }
    return done;
  }

  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override {
    std::size_t done = 0;
    while (done < data.size()) {
      const ssize_t count =
          ::pwrite(fd_.get(), data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return fail_errno("write " + path_);
      done += static_cast<std::size_t>(count);
    }
    if (offset + done > written_to_.load()) written_to_.store(offset + done);  // one thread at a time writes
    return {};
  }

  Result<void> sync() override {
    const std::uint64_t written_to = written_to_.load();
    if (::fdatasync(fd_.get()) != 0) return fail_errno("fdatasync " + path_);
    // The kernel syncs these without an error, and after a restart nothing of what was written is there.
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) return fail_errno("stat " + path_);
    if (status.st_nlink == 0) return fail(ErrorCode::retry, path_ + " was removed by something else while in use");
    if (static_cast<std::uint64_t>(status.st_size) < written_to) {
      return fail(ErrorCode::retry, path_ + " was cut to " + std::to_string(status.st_size) +
                                        " bytes by something else while in use: " + std::to_string(written_to) +
                                        " were written");
    }
    return {};
  }

  Result<void> reserve(std::uint64_t bytes) override {
    const auto present = size();
    if (!present) return tl::unexpected(present.error());
    const std::vector<std::byte> zeros(std::size_t{256} * 1024);
    for (std::uint64_t at = *present; at < bytes;) {
      const auto part = std::min<std::uint64_t>(zeros.size(), bytes - at);
      if (auto written = write_at(at, std::span(zeros).first(static_cast<std::size_t>(part))); !written) return written;
      at += part;
    }
    return {};
  }

  Result<void> begin_write_back() override {
    constexpr unsigned kWaitThenBegin = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE;
    if (::sync_file_range(fd_.get(), 0, 0, kWaitThenBegin) == 0) return {};  // a length of 0: to the end
    const bool is_not_for_us = errno == ENOSYS || errno == EINVAL || errno == ESPIPE || errno == EPERM;
    return is_not_for_us ? Result<void>() : fail_errno("write " + path_);
  }

  Result<std::uint64_t> size() const override {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) return fail_errno("stat " + path_);
    return static_cast<std::uint64_t>(status.st_size);
  }

 private:
  std::string path_;
  Descriptor fd_;
  std::atomic<std::uint64_t> written_to_ = 0;
};

}  // namespace

Result<std::unique_ptr<File>> PosixFileSystem::open(const std::string& path, OpenMode mode) {
  int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;  // O_NONBLOCK: a FIFO of that name does not hold us up
  if (mode == OpenMode::read) flags |= O_RDONLY;
  if (mode == OpenMode::write) flags |= O_RDWR;
  if (mode == OpenMode::create) flags |= O_RDWR | O_CREAT | O_EXCL;
  Descriptor fd;
  do {
    fd.reset(::open(path.c_str(), flags, 0600));
  } while (!fd.is_open() && errno == EINTR);
  if (!fd.is_open()) return fail_errno("open " + path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fail_errno("stat " + path);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::invalid, "open " + path + ": not a regular file");
  return std::make_unique<PosixFile>(path, std::move(fd));
}

Result<void> PosixFileSystem::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return fail_errno("rename " + from + " to " + to);
  return {};
}

Result<void> PosixFileSystem::exchange(const std::string& one, const std::string& other) {
  if (::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) != 0) {
    return fail_errno("exchange " + one + " and " + other);
  }
  return {};
}

Result<void> PosixFileSystem::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return fail_errno("remove " + path);
  return {};
}

Result<std::vector<std::string>> PosixFileSystem::list(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> handle(::opendir(directory.c_str()), ::closedir);
  if (!handle) return fail_errno("list " + directory);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(handle.get())) {
    struct stat status {};
    const bool known = ::fstatat(::dirfd(handle.get()), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (known && S_ISREG(status.st_mode)) names.emplace_back(entry->d_name);
    errno = 0;
  }
  if (errno != 0) return fail_errno("list " + directory);
  return names;
}

Result<void> PosixFileSystem::make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return {};
  if (errno != EEXIST) return fail_errno("make directory " + path);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return fail_errno("stat " + path);
  if (!S_ISDIR(status.st_mode)) return fail(ErrorCode::invalid, path + " is not a directory");
  return {};
}

Result<void> PosixFileSystem::sync_directory(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open()) return fail_errno("open " + path);
  if (::fsync(fd.get()) != 0) return fail_errno("fsync " + path);
  return {};
}

}  // namespace tidegate
