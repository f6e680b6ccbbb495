#pragma once

#include <functional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "core/error.h"
#include "uplink/sigpipe.h"

namespace tidegate::uplink {

/// A thread of an uplink, on which OpenSSL may write to sockets. Error `retry`: the system has none to give.
inline Result<std::thread> start_thread(const std::string& uplink, std::function<void()> run) {
  try {
    return std::thread([run = std::move(run)] {
      block_sigpipe();
      run();
    });
  } catch (const std::system_error& problem) {
    return fail(ErrorCode::retry, "thread of the uplink " + uplink + ": " + problem.what());
  }
}

}  // namespace tidegate::uplink
