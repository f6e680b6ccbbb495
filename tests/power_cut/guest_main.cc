// Runs inside the virtual machine of power_cut.py: starts the daemon, is its sensors, stops it, and writes marks to the
// disk that the daemon writes to.
//   power_cut_guest MARKS_DEVICE OFFSET ACKNOWLEDGED,... LIFE...      with LIFE = CONFIGURATION:MORE:SIGNAL
// A sensor for each number, which says how many of its messages were acknowledged in an earlier run. In each life the
// daemon runs until so many more were acknowledged in all, and gets that signal. The listener is at port 1883, the
// admin server at 8480.
//
// A mark says what had been acknowledged and what the daemon called durable before it was written: one JSON object of
// 16 KiB behind the file system, always at the same place, written around the page cache as soon as anything new is
// acknowledged. It is not synced, because a flush would make durable what the daemon has yet to sync; whoever reads the
// log of writes sees where it stands in it.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "core/parse_whole.h"
#include "tests/power_cut/guest_sensor.h"

namespace tidegate::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint16_t kListenerPort = 1883;
constexpr std::uint16_t kAdminPort = 8480;
constexpr std::size_t kMarkBytes = 16 * 1024;
constexpr std::size_t kMarkAlignment = 4096;
constexpr auto kStatusPause = std::chrono::milliseconds(10);
constexpr auto kPatience = std::chrono::seconds(120);

[[noreturn]] void fail_with_errno(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

std::uint64_t to_number(std::string_view text) {
  const auto number = parse_whole<std::uint64_t>(text);
  if (!number) throw std::runtime_error("\"" + std::string(text) + "\" is no number");
  return *number;
}

struct Life {
  std::string configuration;
  std::uint64_t more = 0;
  int signal = 0;
};

Life parse_life(const std::string& text) {
  const std::size_t second = text.rfind(':');
  const std::size_t first = text.rfind(':', second - 1);
  return {text.substr(0, first), to_number(std::string_view(text).substr(first + 1, second - first - 1)),
          static_cast<int>(to_number(std::string_view(text).substr(second + 1)))};
}

pid_t start_daemon(const std::string& configuration) {
  const pid_t child = ::fork();
  if (child < 0) fail_with_errno("fork");
  if (child == 0) {
    if (const char* preload = std::getenv("POWER_CUT_PRELOAD"); preload != nullptr) ::setenv("LD_PRELOAD", preload, 1);
    ::execl("/bin/tidegate", "tidegate", "run", "--config", configuration.c_str(), nullptr);
    ::_exit(127);
  }
  return child;
}

// The body of the daemon's status; empty while it does not answer.
std::string read_status() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kAdminPort);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  constexpr std::string_view kRequest = "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::send(fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(kRequest.size())) {
    std::array<char, 16 * 1024> buffer;
    for (ssize_t count = 0; (count = ::recv(fd, buffer.data(), buffer.size(), 0)) > 0;) {
      answer.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }
  ::close(fd);
  const std::size_t body = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.1 200") || body == std::string::npos) return {};
  return answer.substr(body + 4);
}

class Marks {
 public:
  Marks(const char* device, std::uint64_t offset)
      : fd_(::open(device, O_WRONLY | O_DIRECT | O_CLOEXEC)),
        offset_(static_cast<off_t>(offset)),
        block_(static_cast<char*>(std::aligned_alloc(kMarkAlignment, kMarkBytes)), &std::free) {
    if (fd_ < 0) fail_with_errno(device);
  }
  Marks(const Marks&) = delete;
  Marks& operator=(const Marks&) = delete;
  ~Marks() { ::close(fd_); }

  void write(const std::string& text) {
    if (text.size() >= kMarkBytes) throw std::runtime_error("a mark of " + std::to_string(text.size()) + " bytes");
    std::memset(block_.get(), 0, kMarkBytes);
    std::memcpy(block_.get(), text.data(), text.size());
    if (::pwrite(fd_, block_.get(), kMarkBytes, offset_) != static_cast<ssize_t>(kMarkBytes)) fail_with_errno("mark");
  }

 private:
  int fd_;
  off_t offset_;
  std::unique_ptr<char, decltype(&std::free)> block_;
};

class Guest {
 public:
  Guest(const char* device, std::uint64_t offset, std::string_view acknowledged) : marks_(device, offset) {
    while (!acknowledged.empty()) {
      const std::string_view one = acknowledged.substr(0, acknowledged.find(','));
      acknowledged.remove_prefix(std::min(one.size() + 1, acknowledged.size()));
      // Windows of different sizes, so that syncs cover one message or many.
      const std::uint64_t number = sensors_.size();
      sensors_.push_back(std::make_unique<GuestSensor>(number, 1 + number * 2, to_number(one)));
    }
  }

  void live(const Life& life, std::size_t number) {
    life_ = number;
    const pid_t daemon = start_daemon(life.configuration);
    deadline_ = Clock::now() + kPatience;
    const std::uint64_t enough = acknowledged() + life.more;
    while (acknowledged() < enough) {
      step();
      if (Clock::now() > deadline_) throw std::runtime_error("no acknowledgement within two minutes");
    }
    ::kill(daemon, life.signal);
    int status = 0;
    ::waitpid(daemon, &status, 0);
    for (const auto& sensor : sensors_) {
      if (sensor->is_connected()) sensor->receive();
      sensor->disconnect();
    }
    mark();
    std::printf("life %zu: %llu acknowledged, %llu marks, ended with %d\n", number,
                static_cast<unsigned long long>(acknowledged()), static_cast<unsigned long long>(count_), status);
    if (life.signal == SIGTERM && status != 0) throw std::runtime_error("the daemon did not stop cleanly");
  }

 private:
  std::uint64_t acknowledged() const {
    return std::accumulate(sensors_.begin(), sensors_.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const auto& sensor) { return sum + sensor->acknowledged(); });
  }

  void step() {
    std::vector<pollfd> polls;
    for (const auto& sensor : sensors_) {
      if (!sensor->is_connected()) sensor->connect(kListenerPort);
      polls.push_back({sensor->fd(), static_cast<short>(POLLIN | (sensor->has_unsent() ? POLLOUT : 0)), 0});
    }
    const auto pause = std::chrono::duration_cast<std::chrono::milliseconds>(kStatusPause);
    ::poll(polls.data(), polls.size(), static_cast<int>(pause.count()));
    const std::uint64_t before = acknowledged();
    for (std::size_t i = 0; i < sensors_.size(); ++i) {
      if ((polls[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) sensors_[i]->receive();
      sensors_[i]->publish();
    }
    if (acknowledged() > before) {
      deadline_ = Clock::now() + kPatience;
      mark();  // at once: the next sync would hide an acknowledgement that came too early
    }
    if (Clock::now() >= next_status_) ask_status();
  }

  void ask_status() {
    const std::string status = read_status();
    next_status_ = Clock::now() + kStatusPause;
    if (status.empty()) return;
    status_ = status;
    mark();
  }

  void mark() {
    std::string text =
        "{\"mark\":" + std::to_string(++count_) + ",\"life\":" + std::to_string(life_) + ",\"acknowledged\":[";
    for (const auto& sensor : sensors_) text += std::to_string(sensor->acknowledged()) + ",";
    text.back() = ']';
    marks_.write(text + ",\"status\":" + status_ + "}\n");
  }

  Marks marks_;
  std::vector<std::unique_ptr<GuestSensor>> sensors_;
  std::size_t life_ = 0;
  std::uint64_t count_ = 0;
  std::string status_ = "null";  // the last one; what was durable stays so
  Clock::time_point next_status_{};
  Clock::time_point deadline_{};
};

}  // namespace
}  // namespace tidegate::testing

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr,
                 "power_cut_guest: use power_cut_guest DEVICE OFFSET ACKNOWLEDGED,... CONFIGURATION:MORE:SIGNAL...\n");
    return 64;
  }
  try {
    tidegate::testing::Guest guest(argv[1], tidegate::testing::to_number(argv[2]), argv[3]);
    for (int i = 4; i < argc; ++i) guest.live(tidegate::testing::parse_life(argv[i]), static_cast<std::size_t>(i - 3));
    return 0;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "power_cut_guest: %s\n", problem.what());
    return 1;
  }
}
