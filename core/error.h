#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace tidegate {

/// What the caller does next; the message says what went wrong.
enum class ErrorCode : std::uint8_t {
  retry,         // the same call may succeed later
  give_up_item,  // this item will never succeed, the next one may
  link_down,     // the peer is gone: reconnect, then retry
  corrupt,       // stored data is damaged: quarantine and go on behind it
  full,          // no room: make room or wait
  not_found,     // there is nothing of that name: go on without it
  invalid,       // the request itself is wrong: do not repeat it
};

/// The message names the thing (file, line, key, device, register, topic), what was found, and what would be right.
struct Error {
  ErrorCode code = ErrorCode::invalid;
  std::string message;
};

/// No exception crosses a folder's public header: functions that can fail return this.
template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

/// "pwrite 00000000000000000001.seg: No space left on device", for an errno value.
std::string describe_errno(const std::string& action, int error_number);
/// The error of a call on files that has just failed, by errno, with the code that the reason stands for.
tl::unexpected<Error> fail_errno(const std::string& action);

}  // namespace tidegate
