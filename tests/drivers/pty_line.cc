#include "tests/drivers/pty_line.h"

#include <poll.h>
#include <pty.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

namespace tidegate::drivers {

PtyLine::PtyLine() {
  for (int i = 0; i < 2; ++i) {
    int master = -1;
    int slave = -1;
    std::array<char, 128> name{};
    termios raw{};
    ::cfmakeraw(&raw);
    if (::openpty(&master, &slave, name.data(), &raw, nullptr) != 0) throw std::runtime_error("no pseudo-terminal");
    masters_[i].reset(master);
    held_[i].reset(slave);
    paths_[i] = name.data();
  }
  thread_ = std::thread([this] { pump(); });
}

PtyLine::~PtyLine() {
  interrupt_.raise();
  thread_.join();
}

void PtyLine::pump() {
  for (;;) {
    pollfd entries[] = {{interrupt_.fd(), POLLIN, 0}, {masters_[0].get(), POLLIN, 0}, {masters_[1].get(), POLLIN, 0}};
    if (::poll(entries, 3, -1) < 0 || entries[0].revents != 0) return;
    for (int i = 0; i < 2; ++i) {
      if ((entries[i + 1].revents & POLLIN) == 0) continue;
      std::array<char, 512> bytes{};
      const auto size = ::read(masters_[i].get(), bytes.data(), bytes.size());
      if (size <= 0 || ::write(masters_[1 - i].get(), bytes.data(), static_cast<std::size_t>(size)) != size) return;
    }
  }
}

}  // namespace tidegate::drivers
