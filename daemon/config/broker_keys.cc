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
  check_tls_table(broker.tls, "broker", scope.table("tls"));
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
