#include "buffer/space_reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/descriptor.h"

namespace tidegate::buffer {
namespace {

constexpr std::uint64_t kLeftForOthersMax = 256ULL << 20;
constexpr std::uint64_t kLeftForOthersShare = 20;  // a twentieth
// What a name or a directory entry can cost.
constexpr std::uint64_t kGivenForAName = 64 * 1024;
// Beside what is asked for: metadata of the file that grows.
constexpr std::uint64_t kGivenBeside = 4096;

std::uint64_t size_of(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size) : 0;
}

/// What may be taken of the file system without leaving others too little.
std::uint64_t available(int fd) {
  struct statvfs status {};
  if (::fstatvfs(fd, &status) != 0) return 0;
  const std::uint64_t block = status.f_frsize;
  const std::uint64_t left = std::min(kLeftForOthersMax, status.f_blocks * block / kLeftForOthersShare);
  const std::uint64_t free = status.f_bavail * block;
  return free > left ? free - left : 0;
}

class ReservingFile final : public File {
 public:
  ReservingFile(std::unique_ptr<File> file, SpaceReserve& reserve) : file_(std::move(file)), reserve_(reserve) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) const override {
    return file_->read_at(offset, into);
  }
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override {
    return with_room(reserve_, data.size() + kGivenBeside, [&] { return file_->write_at(offset, data); });
  }
  Result<void> sync() override { return file_->sync(); }
  Result<void> reserve(std::uint64_t bytes) override {
    const std::uint64_t present = file_->size().value_or(0);
    const std::uint64_t missing = bytes > present ? bytes - present : 0;
    return with_room(reserve_, missing + kGivenBeside, [&] { return file_->reserve(bytes); });
  }
  Result<void> begin_write_back() override { return file_->begin_write_back(); }
  Result<std::uint64_t> size() const override { return file_->size(); }

 private:
  std::unique_ptr<File> file_;
  SpaceReserve& reserve_;
};

}  // namespace

Result<std::uint64_t> SpaceReserve::set(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const Descriptor file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!file.is_open()) return fail_errno("open " + path_);
  const std::uint64_t present = size_of(file.get());
  if (bytes > present) return grow(file.get(), present, bytes);
  if (bytes < present && ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) return fail_errno("cut " + path_);
  return bytes;
}

Result<std::uint64_t> SpaceReserve::grow(int fd, std::uint64_t from, std::uint64_t to) const {
  const std::uint64_t most = from + std::min(to - from, available(fd));
  if (most == from) return from;
  int result = 0;
  do {
    result = ::fallocate(fd, 0, static_cast<off_t>(from), static_cast<off_t>(most - from));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return most;
  auto failed = fail_errno("reserve space in " + path_);
  // Some file systems keep what they could find before there was no more.
  if (::ftruncate(fd, static_cast<off_t>(from)) != 0) return failed;
  if (failed.value().code == ErrorCode::full) return from;
  return failed;
}

bool SpaceReserve::give(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const Descriptor file(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.is_open()) return false;
  const std::uint64_t present = size_of(file.get());
  if (present == 0) return false;
  return ::ftruncate(file.get(), static_cast<off_t>(present - std::min(present, bytes))) == 0;
}

Result<std::unique_ptr<File>> ReservingFileSystem::open(const std::string& path, OpenMode mode) {
  auto file = with_room(reserve_, kGivenForAName, [&] { return files_.open(path, mode); });
  if (!file || mode == OpenMode::read) return file;
  return std::make_unique<ReservingFile>(std::move(*file), reserve_);
}

Result<void> ReservingFileSystem::rename(const std::string& from, const std::string& to) {
  return with_room(reserve_, kGivenForAName, [&] { return files_.rename(from, to); });
}

Result<void> ReservingFileSystem::exchange(const std::string& one, const std::string& other) {
  return with_room(reserve_, kGivenForAName, [&] { return files_.exchange(one, other); });
}

Result<void> ReservingFileSystem::make_directory(const std::string& path) {
  return with_room(reserve_, kGivenForAName, [&] { return files_.make_directory(path); });
}

}  // namespace tidegate::buffer
