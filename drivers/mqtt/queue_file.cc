#include "drivers/mqtt/queue_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <string_view>
#include <utility>

#include "core/crc32c.h"
#include "core/file_system.h"
#include "core/parse_whole.h"
#include "core/text.h"

namespace tidegate::drivers {
namespace {

constexpr std::array<char, 8> kMagic{'T', 'G', 'Q', 'U', 'E', 'U', 'E', '1'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kSetAsideMax = 2;

struct Identity {  // bytes 16 to 63 of the header
  std::uint64_t queue_id = 0;
  std::uint64_t capacity = 0;
  std::array<std::uint8_t, 16> log_id{};
  BootId boot_id{};
};
struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t crc = 0;
  Identity identity;
};
static_assert(sizeof(Header) == 64);

std::uint32_t crc_of(const Identity& identity) { return crc32c(std::as_bytes(std::span(&identity, 1))); }

std::uint64_t random_id() {
  std::random_device random;
  const std::uint64_t id = (static_cast<std::uint64_t>(random()) << 32U) | random();
  return id == 0 ? 1 : id;
}

std::pair<std::string, std::string> split_path(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

// The numbers N of the files "NAME.other-N", sorted.
std::vector<std::uint64_t> set_aside_numbers(const std::string& directory, const std::string& prefix) {
  std::vector<std::uint64_t> numbers;
  const auto names = PosixFileSystem().list(directory);
  if (!names) return numbers;
  for (const std::string& name : *names) {
    if (name.rfind(prefix, 0) != 0) continue;
    const auto number = parse_whole<std::uint64_t>(std::string_view(name).substr(prefix.size()));
    if (number) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

Result<std::string> set_aside(const std::string& path) {
  const auto [directory, name] = split_path(path);
  const std::string prefix = name + ".other-";
  auto numbers = set_aside_numbers(directory, prefix);
  const std::uint64_t number = numbers.empty() ? 1 : numbers.back() + 1;
  const std::string aside = path + ".other-" + std::to_string(number);
  if (::rename(path.c_str(), aside.c_str()) != 0) {
    return fail(ErrorCode::invalid, describe_errno("rename " + path, errno));
  }
  for (; numbers.size() >= kSetAsideMax; numbers.erase(numbers.begin())) {
    ::unlink((path + ".other-" + std::to_string(numbers.front())).c_str());
  }
  return aside;
}

std::string size_of(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return "no file";
  return format_size(static_cast<std::uint64_t>(status.st_size));
}

bool is_file_or_nothing(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode);
}

std::uint64_t rounded_capacity(std::uint64_t wanted) {
  constexpr std::uint64_t kPage = 4096;
  return (std::clamp(wanted, QueueFile::kCapacityMin, QueueFile::kCapacityMax) + kPage - 1) / kPage * kPage;
}

bool is_in_memory(const std::string& directory) {
  struct statfs system {};
  if (::statfs(directory.c_str(), &system) != 0) return true;
  return system.f_type == TMPFS_MAGIC || system.f_type == static_cast<decltype(system.f_type)>(RAMFS_MAGIC);
}

Result<void> lock(int fd, const std::string& path) {
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return {};
  if (errno == EWOULDBLOCK) {
    return fail(ErrorCode::invalid, path + " is in use by another process: is another tidegate running on it?");
  }
  return fail(ErrorCode::invalid, describe_errno("lock " + path, errno));
}

std::uint64_t mark_of(const std::vector<QueueMark>& marks, std::uint64_t queue_id) {
  std::uint64_t position = 0;
  for (const QueueMark& mark : marks) {
    if (mark.queue_id == queue_id) position = std::max(position, mark.position);
  }
  return position;
}

}  // namespace

QueueFile::~QueueFile() { ::munmap(mapping_, kHeaderBytes + static_cast<std::size_t>(capacity_)); }

Result<std::unique_ptr<QueueFile>> QueueFile::map(Descriptor fd, std::uint64_t capacity, const std::string& path) {
  const std::size_t bytes = kHeaderBytes + static_cast<std::size_t>(capacity);
  void* mapping = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (mapping == MAP_FAILED) return fail(ErrorCode::invalid, describe_errno("map " + path, errno));
  return std::unique_ptr<QueueFile>(new QueueFile(std::move(fd), static_cast<std::byte*>(mapping), capacity));
}

std::uint64_t QueueFile::queue_id() const {
  Header header;
  std::memcpy(&header, mapping_, sizeof header);
  return header.identity.queue_id;
}

void QueueFile::write_header(const QueueFileOptions& options) {
  Header header;
  header.identity = Identity{random_id(), capacity_, options.log_id, options.boot_id};
  header.crc = crc_of(header.identity);
  std::memcpy(mapping_, &header, sizeof header);
}

std::string QueueFile::why_unsound() const {
  Header header;
  std::memcpy(&header, mapping_, sizeof header);
  if (header.magic != kMagic) return "it is no queue file";
  if (header.version != kVersion) return "it has format version " + std::to_string(header.version);
  if (header.crc != crc_of(header.identity)) return "its header is damaged";
  if (header.identity.capacity != capacity_) return "its size is not what its header says";
  return {};
}

std::string QueueFile::why_not_ours(const QueueFileOptions& options) const {
  if (auto unsound = why_unsound(); !unsound.empty()) return unsound;
  Header header;
  std::memcpy(&header, mapping_, sizeof header);
  if (header.identity.boot_id != options.boot_id) return "it is of another boot";
  if (header.identity.log_id != options.log_id) return "it belongs to another log";
  const std::uint64_t head_now = head().load();
  const std::uint64_t tail_now = tail().load();
  if (head_now % 8 != 0 || tail_now % 8 != 0 || head_now > tail_now || tail_now - head_now > capacity_) {
    return "its positions are damaged";
  }
  // Going on would give positions that the log takes for taken.
  if (mark_of(options.marks, header.identity.queue_id) > tail_now) return "the log has taken more than it holds";
  return {};
}

Result<std::unique_ptr<QueueFile>> QueueFile::open_existing(const QueueFileOptions& options, NotOurs& not_ours) {
  if (!is_file_or_nothing(options.path)) {
    not_ours.why = "it is no regular file";
    return std::unique_ptr<QueueFile>();
  }
  Descriptor fd(::open(options.path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.is_open()) {
    if (errno == ENOENT) return std::unique_ptr<QueueFile>();
    return fail(ErrorCode::invalid, describe_errno("open " + options.path, errno));
  }
  if (auto locked = lock(fd.get(), options.path); !locked) return tl::unexpected(locked.error());
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return fail(ErrorCode::invalid, options.path + " is not a regular file");
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size < kHeaderBytes + kCapacityMin || size > kHeaderBytes + kCapacityMax || size % 4096 != 0) {
    not_ours.why = "its size, " + std::to_string(size) + " bytes, is none that a queue has";
    return std::unique_ptr<QueueFile>();
  }
  auto file = map(std::move(fd), size - kHeaderBytes, options.path);
  if (!file) return file;
  not_ours.why = (*file)->why_not_ours(options);
  not_ours.is_empty = (*file)->why_unsound().empty() && (*file)->head().load() == (*file)->tail().load();
  if (!not_ours.why.empty()) return std::unique_ptr<QueueFile>();
  const std::uint64_t mark = mark_of(options.marks, (*file)->queue_id());
  if (mark > (*file)->head().load()) (*file)->head().store(mark);
  return file;
}

// Made under another name, so that a file of the right name always has a header.
Result<std::unique_ptr<QueueFile>> QueueFile::make(const QueueFileOptions& options) {
  const std::string fresh = options.path + ".new";
  ::unlink(fresh.c_str());
  Descriptor fd(::open(fresh.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.is_open()) return fail(ErrorCode::invalid, describe_errno("create " + fresh, errno));
  if (auto locked = lock(fd.get(), fresh); !locked) return tl::unexpected(locked.error());
  const std::uint64_t capacity = rounded_capacity(options.capacity_bytes);
  // Reserved now: writing to a page that the file system cannot give would be a SIGBUS.
  const int problem = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(kHeaderBytes + capacity));
  if (problem != 0) {
    ::unlink(fresh.c_str());
    return fail(problem == ENOSPC || problem == EDQUOT ? ErrorCode::full : ErrorCode::invalid,
                describe_errno("reserve " + format_size(kHeaderBytes + capacity) + " for " + options.path, problem));
  }
  auto file = map(std::move(fd), capacity, options.path);
  if (!file) return file;
  (*file)->write_header(options);
  if (::rename(fresh.c_str(), options.path.c_str()) != 0) {
    return fail(ErrorCode::invalid, describe_errno("rename " + fresh, errno));
  }
  return file;
}

Result<void> QueueFile::set_other_aside(const std::string& path, const NotOurs& not_ours,
                                        std::vector<QueueRemark>& remarks) {
  if (not_ours.why.empty()) return {};
  auto aside = set_aside(path);
  if (!aside) return tl::unexpected(aside.error());
  const std::string text = path + ": " + not_ours.why + "; set aside as " + *aside + " (" + size_of(*aside) + ")";
  remarks.push_back(not_ours.is_empty ? QueueRemark{text + ", nothing is in it", ""}
                                      : QueueRemark{text + ", messages in it were acknowledged and are not in the log",
                                                    "queue-set-aside"});
  return {};
}

Result<std::unique_ptr<QueueFile>> QueueFile::open_left(const QueueFileOptions& options,
                                                        std::vector<QueueRemark>& remarks) {
  NotOurs not_ours;
  auto file = open_existing(options, not_ours);
  if (!file || *file != nullptr) return file;
  if (auto aside = set_other_aside(options.path, not_ours, remarks); !aside) return tl::unexpected(aside.error());
  return file;
}

Result<std::unique_ptr<QueueFile>> QueueFile::open(const QueueFileOptions& options, std::vector<QueueRemark>& remarks) {
  const std::string directory = split_path(options.path).first;
  NotOurs not_ours;
  auto file = open_existing(options, not_ours);
  if (!file) return file;
  if (*file != nullptr && (*file)->capacity() != rounded_capacity(options.capacity_bytes)) {
    if ((*file)->head().load() != (*file)->tail().load()) {
      remarks.push_back(
          {options.path + " keeps its size of " + format_size((*file)->capacity()) + " until it is empty at a start",
           ""});
      return file;
    }
    file->reset();
  }
  if (*file != nullptr) return file;
  if (auto aside = set_other_aside(options.path, not_ours, remarks); !aside) return tl::unexpected(aside.error());
  if (!is_in_memory(directory)) {
    remarks.push_back({directory + " is not a tmpfs: every message is written to its medium; set runtime_dir", ""});
  }
  return make(options);
}

}  // namespace tidegate::drivers
