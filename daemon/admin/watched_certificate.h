#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/time.h"
#include "mqtt/tls_server.h"

namespace tidegate::daemon {

/// The certificate that the admin address shows to new connections, read again as soon as its files are others: who
/// renews it need not tell the daemon. Files that cannot be read, or do not go together, leave the one of before, and
/// are looked at again when they have changed again, and after a while. Core thread, which waits for the files.
class WatchedCertificate {
 public:
  /// An error names the file and says what is wrong with it.
  static Result<std::unique_ptr<WatchedCertificate>> make(mqtt::ServerTls files);

  Result<mqtt::TlsChannel> accept(BootTime now);
  /// Whether they look changed or not.
  void read_anew(BootTime now);

  static constexpr Duration kLookAgainAfter = std::chrono::minutes(1);

 private:
  struct FileMark {
    std::uint64_t file = 0;  // 0: there is none
    std::int64_t bytes = 0;
    std::int64_t seconds = 0;  // of the last change, also of owner and mode
    std::int64_t nanoseconds = 0;
    bool operator==(const FileMark&) const = default;
  };
  using Marks = std::array<FileMark, 2>;

  WatchedCertificate(mqtt::ServerTls files, std::unique_ptr<mqtt::TlsServer> server, const Marks& marks)
      : files_(std::move(files)), server_(std::move(server)), marks_(marks) {}
  void read(BootTime now);
  static FileMark mark_of(const std::string& path);
  static Marks marks_of(const mqtt::ServerTls& files);

  const mqtt::ServerTls files_;
  std::unique_ptr<mqtt::TlsServer> server_;
  Marks marks_;  // of the files when they were last read
  std::optional<BootTime> failed_at_;
  std::string failure_;
};

}  // namespace tidegate::daemon
