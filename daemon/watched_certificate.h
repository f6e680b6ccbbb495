#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "core/error.h"
#include "mqtt/tls_server.h"

namespace tidegate::daemon {

/// The certificate that the admin address shows to new connections, read again as soon as its files are others: who
/// renews it need not tell the daemon. Files that do not go together leave the one of before. Core thread, which waits
/// for the files.
class WatchedCertificate {
 public:
  /// An error names the file and says what is wrong with it.
  static Result<std::unique_ptr<WatchedCertificate>> make(mqtt::ServerTls files);

  Result<mqtt::TlsChannel> accept();

 private:
  struct FileMark {
    std::uint64_t file = 0;  // 0: there is none
    std::int64_t bytes = 0;
    std::int64_t seconds = 0;
    std::int64_t nanoseconds = 0;
    bool operator==(const FileMark&) const = default;
  };
  using Marks = std::array<FileMark, 2>;

  WatchedCertificate(mqtt::ServerTls files, std::unique_ptr<mqtt::TlsServer> server, const Marks& marks)
      : files_(std::move(files)), server_(std::move(server)), marks_(marks) {}
  static FileMark mark_of(const std::string& path);
  static Marks marks_of(const mqtt::ServerTls& files);

  const mqtt::ServerTls files_;
  std::unique_ptr<mqtt::TlsServer> server_;
  Marks marks_;  // of the files when they were last read
};

}  // namespace tidegate::daemon
