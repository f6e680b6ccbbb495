#include "daemon/watched_certificate.h"

#include <sys/stat.h>

#include <utility>

#include "core/log.h"

namespace tidegate::daemon {

Result<std::unique_ptr<WatchedCertificate>> WatchedCertificate::make(mqtt::ServerTls files) {
  const Marks marks = marks_of(files);
  auto server = mqtt::TlsServer::make(files);
  if (!server) return tl::unexpected(server.error());
  return std::unique_ptr<WatchedCertificate>(new WatchedCertificate(std::move(files), std::move(*server), marks));
}

Result<mqtt::TlsChannel> WatchedCertificate::accept() {
  if (const Marks now = marks_of(files_); now != marks_) {
    marks_ = now;  // what is half written is looked at again when it has changed again
    if (auto server = mqtt::TlsServer::make(files_)) {
      server_ = std::move(*server);
      log_info("gateway", "admin address: from here on it shows the certificate that {} holds now", files_.certificate);
    } else {
      log_warning("gateway", "admin address: {}; it goes on with the certificate of before", server.error().message);
    }
  }
  return server_->accept();
}

WatchedCertificate::FileMark WatchedCertificate::mark_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

WatchedCertificate::Marks WatchedCertificate::marks_of(const mqtt::ServerTls& files) {
  return {mark_of(files.certificate), mark_of(files.key)};
}

}  // namespace tidegate::daemon
