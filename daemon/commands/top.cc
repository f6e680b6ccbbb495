#include <poll.h>
#include <spdlog/fmt/fmt.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "core/clock.h"
#include "core/descriptor.h"
#include "daemon/admin/admin_client.h"
#include "daemon/commands/ask.h"
#include "daemon/top_screen.h"

namespace tidegate::daemon {
namespace {

constexpr Duration kPatience = std::chrono::seconds(5);

// Sequences of ECMA-48 that terminals have in common.
constexpr const char* kOwnScreen = "\x1b[?1049h\x1b[?25l";
constexpr const char* kFormerScreen = "\x1b[?25h\x1b[?1049l";
constexpr const char* kToTop = "\x1b[H";
constexpr const char* kClearLine = "\x1b[K";
constexpr const char* kClearBelow = "\x1b[J";
constexpr const char* kPlain = "\x1b[0m";
constexpr const char* kReversed = "\x1b[7m";
constexpr const char* kBold = "\x1b[1m";

/// The terminal while it shows the screen: its own page, no cursor, keys at once and unseen. As it was afterwards.
class Terminal {
 public:
  Terminal() {
    if (::tcgetattr(STDIN_FILENO, &before_) == 0) {
      has_keys_ = true;
      termios keys = before_;
      keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
      ::tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    }
    std::cout << kOwnScreen;
  }
  ~Terminal() {
    if (has_keys_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    std::cout << kFormerScreen << std::flush;
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  bool has_keys() const { return has_keys_; }

  static void draw(const TopScreen& screen, const std::string& problem) {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) size = {24, 80, 0, 0};
    std::string out = kToTop;
    bool is_first = true;
    for (const TopScreen::Line& line : screen.lines(size.ws_row, size.ws_col, problem)) {
      if (!std::exchange(is_first, false)) out += "\r\n";
      out += kClearLine;  // before the text: behind one that fills the line the last character would go
      out += line.emphasis == TopScreen::Emphasis::heading   ? kReversed
             : line.emphasis == TopScreen::Emphasis::trouble ? kBold
                                                             : "";
      out += line.text;
      out += kPlain;
    }
    std::cout << out << kClearBelow << std::flush;
  }

 private:
  termios before_{};
  bool has_keys_ = false;
};

/// Signals that end it or change the size of the window, as something to poll. That the reader of our pipe is gone is
/// seen when something is written.
class Signals {
 public:
  enum class Told { nothing, new_size, to_end };

  Signals() {
    std::signal(SIGPIPE, SIG_IGN);
    sigset_t wanted;
    sigemptyset(&wanted);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) sigaddset(&wanted, signal);
    ::pthread_sigmask(SIG_BLOCK, &wanted, nullptr);
    descriptor_ = Descriptor(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  int descriptor() const { return descriptor_.get(); }
  Told take() const {
    Told told = Told::nothing;
    signalfd_siginfo came{};
    while (::read(descriptor_.get(), &came, sizeof came) == static_cast<ssize_t>(sizeof came)) {
      if (came.ssi_signo != SIGWINCH) return Told::to_end;
      told = Told::new_size;
    }
    return told;
  }

 private:
  Descriptor descriptor_;
};

// Of somebody's keys only one means something.
bool is_quit(int terminal) {
  std::array<char, 64> keys{};
  const ssize_t count = ::read(terminal, keys.data(), keys.size());
  if (count <= 0) return true;  // the terminal is gone
  return std::find(keys.begin(), keys.begin() + count, 'q') != keys.begin() + count;
}

// Until then, or until something was told.
Signals::Told wait_until(BootTime until, const Clock& clock, const Signals& signals, const Terminal* terminal) {
  std::array<pollfd, 2> waits{{{signals.descriptor(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
  const bool has_keys = terminal != nullptr && terminal->has_keys();
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock.boot_now()).count();
    if (left <= 0 || ::poll(waits.data(), has_keys ? 2 : 1, static_cast<int>(left)) == 0) return Signals::Told::nothing;
    if (waits[0].revents != 0) {
      if (const auto told = signals.take(); told != Signals::Told::nothing) return told;
    }
    if (has_keys && waits[1].revents != 0 && is_quit(STDIN_FILENO)) return Signals::Told::to_end;
  }
}

void show(const TopScreen& screen, const std::string& problem, const Terminal* terminal) {
  if (terminal != nullptr) return Terminal::draw(screen, problem);
  for (const TopScreen::Line& line : screen.lines(0, 0, problem)) std::cout << line.text << '\n';
  std::cout << std::endl;
}

}  // namespace

int show_top(const TopOptions& options) {
  const auto door = find_daemon(options.daemon);
  if (!door) return report_failure(door.error().message);
  const SystemClock clock;
  const auto interval = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options.interval_seconds));
  TopScreen screen;
  const Signals signals;
  std::unique_ptr<Terminal> terminal;
  for (std::uint64_t shown = 0;;) {
    const BootTime next = clock.boot_now() + interval;
    const auto answer = admin_get(*door, "/api/v1/status", kPatience);
    auto noted = answer ? screen.note(*answer, clock.boot_now()) : Result<void>(tl::unexpected(answer.error()));
    // What would not help to repeat, as a token that is not the right one any more, is not repeated all night.
    if (!noted && (shown == 0 || noted.error().code == ErrorCode::invalid)) {
      terminal.reset();
      return report_failure(noted.error().message);
    }
    // A daemon that is started anew is waited for; what it said last stays.
    const std::string problem = noted ? "" : noted.error().message;
    if (shown == 0 && ::isatty(STDOUT_FILENO) == 1) terminal = std::make_unique<Terminal>();
    show(screen, problem, terminal.get());
    if (++shown == options.count || !std::cout) break;
    auto told = wait_until(next, clock, signals, terminal.get());
    for (; told == Signals::Told::new_size; told = wait_until(next, clock, signals, terminal.get())) {
      show(screen, problem, terminal.get());
    }
    if (told == Signals::Told::to_end) break;
  }
  return kExitDone;
}

}  // namespace tidegate::daemon
