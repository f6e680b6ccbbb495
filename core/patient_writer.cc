#include "core/patient_writer.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace tidegate {
namespace {

// A reader that is merely slow gets this long; one that has let a line pass gets no more until there is room.
constexpr int kPatienceMilliseconds = 100;

}  // namespace

// A pipe that is writable takes a page without blocking.
bool PatientWriter::has_room() {
  pollfd wanted{fd_, POLLOUT, 0};
  const bool room = ::poll(&wanted, 1, left_out_ == 0 ? kPatienceMilliseconds : 0) > 0;
  if (!room) ++left_out_;
  return room;
}

void PatientWriter::write(std::string_view line) {
  while (!line.empty()) {
    const ssize_t count = ::write(fd_, line.data(), line.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;  // closed, or a full disk: there is nobody to tell
    line.remove_prefix(static_cast<std::size_t>(count));
  }
}

std::uint64_t PatientWriter::take_left_out() { return std::exchange(left_out_, 0); }

}  // namespace tidegate
