#include "daemon/config/broker_keys.h"

#include "core/text.h"
#include "daemon/config/feedback.h"
#include "daemon/config/tls_checks.h"

namespace tidegate::daemon {
namespace {

void check_tls(const mqtt::BrokerOptions& broker, const Scope& scope) {
  if (!scope.has("tls") || !scope.is_sound("tls")) return;
  if (!scope.is_sound("broker")) return;
  if (!broker.uri.starts_with("mqtts://")) {
    return scope.wrong("tls", "is only for a broker with \"mqtts://\", found " + scope.found("broker"));
  }
  const Scope tls = scope.table("tls");
  if (tls.has("cert") != tls.has("key")) {
    const bool has_cert = tls.has("cert");
    tls.wrong(has_cert ? "cert" : "key",
              std::string("needs the key \"") + (has_cert ? "key" : "cert") + "\" beside it");
  }
  check_tls_files({broker.tls.ca_file, broker.tls.cert_file, broker.tls.key_file}, tls);
  if (!broker.tls.verify) {
    tls.odd("insecure_skip_verification_i_know_what_i_do", "the broker's certificate is not checked");
  }
}

}  // namespace

void finish_broker(mqtt::BrokerOptions& broker, const std::string& default_client_id, const Scope& scope) {
  if (!scope.has("client_id")) broker.client_id = default_client_id;
  if (scope.has("password") && !scope.has("username")) scope.wrong("password", "needs the key \"username\" beside it");
  check_tls(broker, scope);
  if (broker.uri.empty() || !scope.is_sound("broker") || !scope.is_sound("client_id")) return;
  scope.claim("client id at broker " + clip(broker_place(broker.uri), 200), broker.client_id, "client_id",
              "the broker would cut one connection off for the other: set another client_id");
}

}  // namespace tidegate::daemon
