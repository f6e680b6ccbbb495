#include "tests/support/mosquitto_broker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace tidegate::testing {
namespace {

constexpr const char* kProgram = "/usr/sbin/mosquitto";
constexpr auto kPatience = std::chrono::seconds(20);
// Below the ports that the kernel gives to outgoing connections: a client that keeps trying a port of that range while
// nobody listens there would in the end connect to itself.
constexpr std::uint16_t kFirstPort = 20'000;
constexpr std::uint16_t kLastPort = 32'000;

std::runtime_error failure(const std::string& what) { return std::runtime_error("mosquitto: " + what); }

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::size_t occurrences(const std::string& text, const std::string& words) {
  std::size_t count = 0;
  for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + words.size())) ++count;
  return count;
}

bool becomes_readable(int fd, std::chrono::milliseconds patience) {
  pollfd waited{fd, POLLIN, 0};
  return ::poll(&waited, 1, static_cast<int>(patience.count())) == 1;
}

// Between fork and exec only calls that are safe there: the test has threads.
[[noreturn]] void become_broker(const char* configuration, int output) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::execl(kProgram, kProgram, "-c", configuration, static_cast<char*>(nullptr));
  ::_exit(127);
}

}  // namespace

MosquittoBroker::MosquittoBroker(std::string configuration) : configuration_(std::move(configuration)) {
  std::string pattern = std::filesystem::temp_directory_path() / "tidegate-mosquitto-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw failure("cannot make " + pattern);
  directory_ = pattern;
  reserve_port();
}

MosquittoBroker::~MosquittoBroker() {
  if (is_running()) end(SIGKILL);
  if (reservation_ >= 0) ::close(reservation_);
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

// The socket is bound without SO_REUSEADDR, which finds out whether the port is free, and gets the option afterwards,
// which lets the broker bind beside it.
void MosquittoBroker::reserve_port() {
  std::random_device random;
  for (int attempt = 0; attempt < 200; ++attempt) {
    const auto port = static_cast<std::uint16_t>(kFirstPort + random() % (kLastPort - kFirstPort));
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port);
    const int on = 1;
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0) {
      reservation_ = fd;
      port_ = port;
      return;
    }
    ::close(fd);
  }
  throw failure("no free port");
}

void MosquittoBroker::write_configuration() const {
  std::ofstream file(directory_ + "/mosquitto.conf", std::ios::trunc);
  file << "user root\n"  // stays who it is: its files lie in our directory
       << "log_dest stderr\n"
       << "listener " << port_ << " 127.0.0.1\n"
       << "allow_anonymous true\n"
       << replaced(configuration_, "{dir}", directory_) << "\n";
}

void MosquittoBroker::start() {
  if (is_running()) throw failure("is running already");
  write_configuration();
  spawn();
  wait_until_ready();
}

void MosquittoBroker::spawn() {
  const std::string configuration = directory_ + "/mosquitto.conf";
  const std::string log_path = directory_ + "/mosquitto.log";
  const int output = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (output < 0) throw failure("cannot open " + log_path);
  const pid_t child = ::fork();
  if (child == 0) become_broker(configuration.c_str(), output);
  ::close(output);
  if (child < 0) throw failure("fork failed");
  pid_ = child;
  pid_fd_ = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  if (pid_fd_ < 0) {
    end(SIGKILL);
    throw failure("pidfd_open failed");
  }
}

void MosquittoBroker::wait_until_ready() {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!takes_connections()) {
    const bool ended = becomes_readable(pid_fd_, std::chrono::milliseconds(2));
    if (ended || std::chrono::steady_clock::now() > deadline) {
      end(SIGKILL);
      throw failure((ended ? "ended at once: " : "takes no connections: ") + log());
    }
  }
}

bool MosquittoBroker::takes_connections() const {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port_);
  const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return connected;
}

void MosquittoBroker::end(int signal) {
  if (!is_running()) return;
  // Again each second: mosquitto 2.0 forgets a SIGTERM that comes between its first listening and its main loop.
  bool ended = false;
  for (auto waited = std::chrono::seconds(0); !ended && waited < kPatience; waited += std::chrono::seconds(1)) {
    ::kill(pid_, signal);
    ended = pid_fd_ < 0 || becomes_readable(pid_fd_, std::chrono::seconds(1));
  }
  if (!ended) ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  if (pid_fd_ >= 0) ::close(pid_fd_);
  pid_ = -1;
  pid_fd_ = -1;
  if (!ended) throw failure("did not end on signal " + std::to_string(signal) + ": " + log());
}

std::string MosquittoBroker::log() const {
  std::ifstream file(directory_ + "/mosquitto.log");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool MosquittoBroker::wait_for_log(const std::string& text, std::size_t times) const {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (occurrences(log(), text) < times) {
    const bool ended = pid_fd_ < 0 || becomes_readable(pid_fd_, std::chrono::milliseconds(5));
    if (ended || std::chrono::steady_clock::now() > deadline) return occurrences(log(), text) >= times;
  }
  return true;
}

}  // namespace tidegate::testing
