#include "daemon/stop_uplinks.h"

#include <system_error>
#include <thread>

namespace tidegate::daemon {

void stop_uplinks(const std::vector<std::unique_ptr<UplinkRunner>>& uplinks, Duration grace) {
  for (const auto& uplink : uplinks) uplink->begin_stop();
  std::vector<std::thread> threads;
  threads.reserve(uplinks.size());
  for (const auto& uplink : uplinks) {
    try {
      threads.emplace_back([&uplink, grace] { uplink->end_transport(grace); });
    } catch (const std::system_error&) {
      uplink->end_transport(grace);  // the system has no thread to give
    }
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace tidegate::daemon
