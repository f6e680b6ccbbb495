#include "daemon/admin/watched_certificate.h"

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

Result<mqtt::TlsChannel> WatchedCertificate::accept(BootTime now) {
  if (marks_of(files_) != marks_) {
    read_anew(now);
  } else if (failed_at_ && now - *failed_at_ >= kLookAgainAfter) {
    read(now);
  }
  return server_->accept();
}

void WatchedCertificate::read_anew(BootTime now) {
  failure_.clear();
  read(now);
}

// What is wrong is said once, however often it is looked at.
void WatchedCertificate::read(BootTime now) {
  const Marks marks = marks_of(files_);
  const bool is_other = std::exchange(marks_, marks) != marks || failed_at_;
  auto server = mqtt::TlsServer::make(files_);
  if (server) {
    server_ = std::move(*server);
    failed_at_.reset();
    if (is_other) {
      log_info("gateway", "admin address: from here on it shows the certificate that {} holds now", files_.certificate);
    }
    return;
  }
  failed_at_ = now;
  if (std::exchange(failure_, server.error().message) == server.error().message) return;
  log_warning("gateway", "admin address: {}; it goes on with the certificate of before", server.error().message);
}

WatchedCertificate::FileMark WatchedCertificate::mark_of(const std::string& path) {
  struct stat status {};
  // The time of the change and not that of the content: what could not be read is often mended by chmod or chown.
  if (::stat(path.c_str(), &status) != 0) return {};
  return {status.st_ino, status.st_size, status.st_ctim.tv_sec, status.st_ctim.tv_nsec};
}

WatchedCertificate::Marks WatchedCertificate::marks_of(const mqtt::ServerTls& files) {
  return {mark_of(files.certificate), mark_of(files.key)};
}

}  // namespace tidegate::daemon
