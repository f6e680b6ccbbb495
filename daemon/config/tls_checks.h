#pragma once

#include <string>

#include "daemon/config/scope.h"
#include "mqtt/broker_options.h"

namespace tidegate::daemon {

/// The files of a table `tls` by their keys; empty where there is none.
struct TlsFiles {
  std::string ca;
  std::string cert;
  std::string key;
};

/// An error for each file that was read and that TLS cannot use, at its key: all that are wrong, so that a second run
/// finds nothing more.
void check_tls_files(const TlsFiles& files, const Scope& tls);

/// What is to be said of the table `tls` of a connection that we make to `peer`, "broker".
void check_tls_table(const mqtt::TlsOptions& options, const std::string& peer, const Scope& tls);

}  // namespace tidegate::daemon
