#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <string_view>

#include "buffer/state_store.h"
#include "core/descriptor.h"
#include "core/log.h"

namespace tidegate::buffer {
namespace {

constexpr const char* kMark = "tidegate.data";
constexpr int kAsideNamesTried = 1000;
// A directory with one of these is ours; one that has only those of the second list, or nothing, can become ours.
constexpr std::array<std::string_view, 4> kOurs{"tidegate.data", "lock", "log", "state.db"};
constexpr std::array<std::string_view, 2> kHarmless{"lost+found", "run"};

tl::unexpected<Error> refuse(const std::string& path, const std::string& why) {
  return fail(ErrorCode::invalid, "gateway.data_dir " + path + ": " + why);
}

Result<void> check_owner(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return refuse(path, describe_errno("stat", errno));
  if (!S_ISDIR(status.st_mode)) return refuse(path, "is not a directory; it has to be one, or not to exist yet");
  if (status.st_uid != ::geteuid()) {
    return refuse(path, fmt::format("belongs to user {}, this process runs as user {}; one of them has to change",
                                    status.st_uid, ::geteuid()));
  }
  if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
    return refuse(path, "is not writable for this process; its mode should be 0700");
  }
  return {};
}

template <class List>
bool holds(const List& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

Result<void> check_is_ours(const std::string& path) {
  std::error_code error;
  std::string stranger;
  for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (holds(kOurs, name)) return {};
    if (!holds(kHarmless, name)) stranger = name;
  }
  if (error) return refuse(path, "cannot be listed: " + error.message());
  if (stranger.empty()) return {};
  return refuse(path, fmt::format("is not a Tidegate data directory: it holds \"{}\" and none of our files; give an "
                                  "empty directory, or one that does not exist yet",
                                  stranger));
}

// Something else of the name that the lock or the log has is moved aside, so that it does not keep us from starting.
// Not a link, which somebody may have made on purpose.
Result<void> clear_the_way(const std::string& path, const std::string& name, mode_t wanted) {
  const std::string file = path + "/" + name;
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0) return {};
  const mode_t found = status.st_mode & S_IFMT;
  if (found == wanted || found == S_IFLNK) return {};
  for (int i = 1; i < kAsideNamesTried; ++i) {
    const std::string aside = fmt::format("{}.foreign-{}", file, i);
    if (::lstat(aside.c_str(), &status) == 0) continue;
    if (::rename(file.c_str(), aside.c_str()) != 0) break;
    log_warning("log", "{} is no {}: moved to {}", file, wanted == S_IFDIR ? "directory" : "file", aside);
    return {};
  }
  return refuse(path,
                fmt::format("{} is no {} and cannot be moved aside", file, wanted == S_IFDIR ? "directory" : "file"));
}

std::string holder_of(int fd) {
  std::array<char, 32> text{};
  const ssize_t count = ::pread(fd, text.data(), text.size(), 0);
  const std::string_view all(text.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  const auto end = all.find_first_not_of("0123456789");
  const std::string_view pid = all.substr(0, end);
  if (pid.empty()) return "another process";
  return pid == "1" ? "a container, whose process 1 it is" : "process " + std::string(pid);
}

Result<Descriptor> lock(const std::string& path) {
  const std::string file = path + "/lock";
  Descriptor fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!fd.is_open()) return refuse(path, describe_errno("open " + file, errno));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return refuse(path, describe_errno("lock " + file, errno));
    return fail(ErrorCode::invalid, fmt::format("{} is in use by {}; stop it or give this one another gateway.data_dir",
                                                path, holder_of(fd.get())));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  const bool written = ::ftruncate(fd.get(), 0) == 0 && ::pwrite(fd.get(), pid.data(), pid.size(), 0) >= 0;
  // It is held without a number, too, which only tells a second one whom to stop.
  if (!written && errno != ENOSPC && errno != EDQUOT) return refuse(path, describe_errno("write " + file, errno));
  return fd;
}

// Best effort: the mark tells a later start, and people, what this directory is.
void leave_mark(const std::string& path) {
  const Descriptor mark(::open((path + "/" + kMark).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
}

}  // namespace

Result<DataDirectory> DataDirectory::open(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    const int error_number = errno;
    return refuse(path, describe_errno("make directory", error_number) + "; its parent has to exist and be writable");
  }
  if (auto checked = check_owner(path); !checked) return tl::unexpected(checked.error());
  if (auto checked = check_is_ours(path); !checked) return tl::unexpected(checked.error());
  if (auto clear = clear_the_way(path, "lock", S_IFREG); !clear) return tl::unexpected(clear.error());
  if (auto clear = clear_the_way(path, "log", S_IFDIR); !clear) return tl::unexpected(clear.error());
  auto fd = lock(path);
  if (!fd) return tl::unexpected(fd.error());
  leave_mark(path);
  return DataDirectory(path, std::move(*fd));
}

}  // namespace tidegate::buffer
