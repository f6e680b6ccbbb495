#include "tests/support/fault_proxy.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <vector>

namespace tidegate::testing {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kQueuedMost = 64 * 1024;  // of a way; then nothing more is read, and the sender feels it
constexpr int kKernelBytes = 64 * 1024;  // likewise; less than a segment of the loopback would be waited for with each
constexpr std::uint64_t kResetBytesMost = 16 * 1024;
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

void prepare(int socket) {
  ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
  ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &kKernelBytes, sizeof kKernelBytes);
  ::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &kKernelBytes, sizeof kKernelBytes);
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void close_with_reset(int socket) {
  const linger at_once{1, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(socket);
}

}  // namespace

FaultProxy::FaultProxy(std::uint16_t target)
    : port_(free_port()),
      target_(target),
      listener_(listen_on_loopback(port_)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      wanted_since_(Clock::now()) {
  prepare(listener_);
  thread_ = std::thread([this] { run(); });
}

FaultProxy::~FaultProxy() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  ::eventfd_write(wake_, 1);
  thread_.join();
  for (const Link& link : links_) close(link);
  ::close(listener_);
  ::close(wake_);
}

void FaultProxy::set(const NetworkFault& fault) {
  {
    const std::lock_guard lock(mutex_);
    wanted_ = fault;
    wanted_since_ = Clock::now();
  }
  ::eventfd_write(wake_, 1);
}

void FaultProxy::rewrite_answers(ByteRewrite rewrite) {
  const std::lock_guard lock(mutex_);
  rewrite_ = std::move(rewrite);
}

FaultProxy::Counts FaultProxy::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void FaultProxy::run() {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (is_stopping_) return;
      if (wanted_since_ != fault_since_) {
        for (Link& link : links_) link.resets_after = wanted_.resets ? 1 + random_() % kResetBytesMost : kNever;
      }
      fault_ = wanted_;
      fault_since_ = wanted_since_;
    }
    accept_new();
    const auto now = Clock::now();
    for (Link& link : links_) serve(link, now);
    links_.remove_if([](const Link& link) { return link.is_over; });
    wait();
  }
}

void FaultProxy::wait() {
  constexpr int kTick = 2;    // milliseconds; what is queued may be due
  constexpr int kRest = 100;  // a flap may be due
  std::vector<pollfd> watched{{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
  int timeout = kRest;
  for (const Link& link : links_) {
    for (const Way* way : {&link.request, &link.answer}) {
      if (!way->pieces.empty()) timeout = kTick;
      if (!way->has_ended && way->queued < kQueuedMost) watched.push_back({way->from, POLLIN, 0});
    }
  }
  ::poll(watched.data(), watched.size(), timeout);
  eventfd_t count = 0;
  ::eventfd_read(wake_, &count);
}

void FaultProxy::accept_new() {
  for (;;) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) return;
    {
      const std::lock_guard lock(mutex_);
      ++counts_.connections;
    }
    const int target = is_down(Clock::now()) ? -1 : connect_to_loopback(target_);
    if (target < 0) {
      close_with_reset(client);
      continue;
    }
    prepare(target);
    Link link;
    link.request.from = link.answer.to = client;
    link.answer.from = link.request.to = target;
    link.resets_after = fault_.resets ? 1 + random_() % kResetBytesMost : kNever;
    links_.push_back(std::move(link));
  }
}

void FaultProxy::serve(Link& link, Clock::time_point now) {
  if (is_down(now)) return reset(link);
  for (Way* way : {&link.request, &link.answer}) {
    if (!link.is_over) receive(link, *way, now);
    if (!link.is_over) send_due(link, *way, now);
  }
}

void FaultProxy::receive(Link& link, Way& way, Clock::time_point now) {
  if (way.has_ended || way.queued >= kQueuedMost) return;
  std::array<char, kQueuedMost> buffer{};
  const ssize_t got = ::recv(way.from, buffer.data(), buffer.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const bool is_lost = link.is_dead || fault_.swallows;
  if (got <= 0) {
    way.has_ended = true;
    link.is_dead = is_lost;
    if (is_lost ? link.request.has_ended && link.answer.has_ended : way.pieces.empty()) {
      close(link);
      link.is_over = true;
    }
    return;
  }
  const std::lock_guard lock(mutex_);
  if (is_lost) {
    link.is_dead = true;
    counts_.swallowed_bytes += static_cast<std::uint64_t>(got);
    return;
  }
  counts_.passed_bytes += static_cast<std::uint64_t>(got);
  std::string bytes(buffer.data(), static_cast<std::size_t>(got));
  if (&way == &link.answer && rewrite_) rewrite_(bytes);
  way.queued += bytes.size();
  way.pieces.push_back({now + fault_.delay, std::move(bytes)});
}

void FaultProxy::send_due(Link& link, Way& way, Clock::time_point now) {
  if (link.is_dead || fault_.swallows) {
    if (!way.pieces.empty()) link.is_dead = true;
    way.pieces.clear();
    way.queued = 0;
    return;
  }
  while (!way.pieces.empty() && way.pieces.front().due <= now) {
    std::string& bytes = way.pieces.front().bytes;
    const std::size_t most =
        allowed(way, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), link.resets_after)), now);
    if (most == 0) return;
    const ssize_t sent = ::send(way.to, bytes.data(), most, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (sent < 0) return reset(link);
    const auto done = static_cast<std::size_t>(sent);
    way.queued -= done;
    way.allowance -= static_cast<double>(done);
    bytes.erase(0, done);
    if (bytes.empty()) way.pieces.pop_front();
    if (link.resets_after <= done) return reset(link);
    link.resets_after -= link.resets_after == kNever ? 0 : done;
  }
  if (!way.has_ended || !way.pieces.empty()) return;
  close(link);
  link.is_over = true;
}

// A tenth of a second's worth at a time at the most.
std::size_t FaultProxy::allowed(Way& way, std::size_t wanted, Clock::time_point now) const {
  if (fault_.bytes_per_second == 0) return wanted;
  const auto rate = static_cast<double>(fault_.bytes_per_second);
  const double since = std::chrono::duration<double>(now - std::max(way.refilled, fault_since_)).count();
  way.allowance = std::clamp(way.allowance + since * rate, 0.0, std::max(rate / 10, 1.0));
  way.refilled = now;
  return std::min(wanted, static_cast<std::size_t>(way.allowance));
}

bool FaultProxy::is_down(Clock::time_point now) const {
  if (fault_.flap_period <= milliseconds(0)) return false;
  return (now - fault_since_) / fault_.flap_period % 2 == 0;
}

void FaultProxy::reset(Link& link) {
  close_with_reset(link.request.from);
  close_with_reset(link.answer.from);
  link.is_over = true;
  const std::lock_guard lock(mutex_);
  ++counts_.resets;
}

void FaultProxy::close(const Link& link) {
  ::close(link.request.from);
  ::close(link.answer.from);
}

}  // namespace tidegate::testing
