#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace tidegate::daemon {

/// Who is connected to the admin address, bounded. A stranger is who has not been let in yet: it may be at the
/// handshake of TLS, or ask for the page of log-ins. Where there are too many of them, a newcomer ends the oldest of
/// the address that has most, or of those that have as many, so that who stalls keeps out nobody but others like it.
/// Where there is no room at all, a newcomer ends who has been idle longest: has had its answer, and asks for nothing.
class AdminCrowd {
 public:
  AdminCrowd(std::size_t most, std::size_t strangers_most) : most_(most), strangers_most_(strangers_most) {}

  using End = std::function<void()>;
  /// A new one from that address, a stranger. Nothing where there is no room: everybody has been let in and is busy.
  /// May call the `end` of another one, which has left with that.
  std::optional<std::uint64_t> enter(std::string from, End end);
  void leave(std::uint64_t guest) { guests_.erase(guest); }
  void set_stranger(std::uint64_t guest, bool is_stranger);
  void set_idle(std::uint64_t guest, bool is_idle);

 private:
  struct Guest {
    std::string from;
    End end;
    bool is_stranger = true;
    std::optional<std::uint64_t> idle_since{};  // a number of the same row as those of guests
  };
  using Guests = std::map<std::uint64_t, Guest>;
  std::size_t strangers() const;
  void end_stranger();
  void end_idle();
  void end(Guests::iterator guest);

  const std::size_t most_;
  const std::size_t strangers_most_;
  Guests guests_;  // in the order in which they came
  std::uint64_t next_ = 1;
};

}  // namespace tidegate::daemon
