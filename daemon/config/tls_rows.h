#pragma once

// The rows of a table `tls` of a connection that we make.

#include <string>
#include <variant>
#include <vector>

#include "daemon/config/rows.h"
#include "mqtt/broker_options.h"

namespace tidegate::daemon {

/// For an owner TlsOptions; `peer` is what stands at the other end, "broker".
inline std::vector<Key> tls_rows(const std::string& peer) {
  using namespace rows;
  using mqtt::TlsOptions;
  Key insecure = row("insecure_skip_verification_i_know_what_i_do", KeyType::boolean, 0, 1);
  insecure.store = [](void* owner, Setting& setting) -> Result<void> {
    static_cast<TlsOptions*>(owner)->verify = !std::get<bool>(setting);
    return {};
  };
  return {
      file<TlsOptions>("ca", &TlsOptions::ca_file)
          .by_default_is("the system's")
          .example("\"ca.pem\"")
          .says("Certificates that the " + peer +
                "'s has to come from. Lists of revoked certificates in the same file count: the issuer of each "
                "certificate of the chain then needs one that is still valid."),
      file<TlsOptions>("cert", &TlsOptions::cert_file)
          .example("\"client.pem\"")
          .says("Our own certificate, with the chain; together with `key`."),
      secret_file<TlsOptions>("key", &TlsOptions::key_file)
          .example("{ file = \"client.key\" }")
          .says("The key of our own certificate."),
      std::move(insecure).by_default(false).says("Takes any certificate of any " + peer +
                                                 ". Whoever is on the way can then read and change everything."),
  };
}

}  // namespace tidegate::daemon
