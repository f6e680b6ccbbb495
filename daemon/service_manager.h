#pragma once

#include <optional>
#include <string>

#include "core/time.h"

namespace tidegate::daemon {

/// Tells systemd how the service is (sd_notify(3) protocol: a datagram to $NOTIFY_SOCKET). Without that variable every
/// call does nothing.
class ServiceManager {
 public:
  ServiceManager();
  void ready() const { notify("READY=1\n"); }
  void stopping() const { notify("STOPPING=1\n"); }
  void reloading() const;
  void feed_watchdog() const { notify("WATCHDOG=1\n"); }
  void status(const std::string& text) const { notify("STATUS=" + text + "\n"); }
  /// Half of $WATCHDOG_USEC, when this process is to feed one.
  std::optional<Duration> watchdog_interval() const { return watchdog_interval_; }

 private:
  void notify(const std::string& message) const;
  std::string socket_path_;
  std::optional<Duration> watchdog_interval_;
};

}  // namespace tidegate::daemon
