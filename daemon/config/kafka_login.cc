#include "daemon/config/kafka_login.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/text.h"
#include "daemon/config/host_port.h"
#include "daemon/config/rows.h"
#include "daemon/config/tls_checks.h"
#include "daemon/config/tls_rows.h"
#include "daemon/config/uplink_url.h"
#include "uplink/http_libraries.h"

namespace tidegate::daemon {
namespace {

using uplink::KafkaTokenOptions;
using uplink::KafkaUplinkOptions;
using Login = KafkaUplinkOptions::Login;

constexpr std::initializer_list<const char*> kOfPasswords{"username", "password"};
constexpr std::initializer_list<const char*> kOfEndpoints{"client_id", "client_secret", "scope", "tls"};
constexpr std::initializer_list<const char*> kOfTokens{"token_url", "token",      "client_id", "client_secret",
                                                       "scope",     "extensions", "tls"};

Result<void> check_token_url(const std::string& url) {
  if (url.find_first_of("{}") != std::string::npos) {
    return fail(ErrorCode::invalid, "must have no \"{\" and no \"}\": nothing is filled in");
  }
  return check_uplink_url(url, "use the key client_secret");
}

// RFC 7628, 3.1: what a broker is told beside the token.
Result<void> check_extension(const std::string& name, const std::string& value) {
  const bool has_letters = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
  if (!has_letters || name == "auth") {
    return fail(ErrorCode::invalid, "has \"" + clip(name) + "\": a name has letters only (a-z A-Z), and is not auth");
  }
  if (std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c < '\x7f'; })) return {};
  return fail(ErrorCode::invalid,
              "has a value for \"" + clip(name) + "\" that is not ASCII without control characters");
}

Key extensions_row() {
  Key key = rows::row("extensions", KeyType::named_texts, 1, rows::kTextBytesMax);
  key.store = [](void* owner, Setting& setting) -> Result<void> {
    auto& pairs = std::get<Pairs>(setting);
    for (const auto& [name, value] : pairs) {
      if (auto good = check_extension(name, value); !good) return good;
    }
    static_cast<Login*>(owner)->token.extensions = std::move(pairs);
    return {};
  };
  return key;
}

// `uplink` is where the table `sasl` stands.
void want(std::initializer_list<const char*> keys, const std::string& with, const Scope& uplink) {
  for (const char* const key : keys) {
    if (uplink.table("sasl").has(key)) continue;
    return uplink.wrong("sasl", "needs the key \"" + std::string(key) + "\" with " + with);
  }
}

void refuse(std::initializer_list<const char*> keys, const std::string& where, const Scope& sasl) {
  for (const char* const key : keys) {
    if (sasl.has(key)) sasl.wrong(key, "is only for " + where);
  }
}

void finish_endpoint(KafkaTokenOptions& token, const Scope& uplink) {
  const Scope sasl = uplink.table("sasl");
  want({"client_id", "client_secret"}, "token_url", uplink);
  const bool is_tls = token.url.starts_with("https://");
  if (sasl.has("tls") && sasl.is_sound("tls")) {
    if (!is_tls) sasl.wrong("tls", "is only for a token_url with \"https://\", found " + sasl.found("token_url"));
    check_tls_table(token.tls, "token endpoint", sasl.table("tls"));
  }
  if (!is_tls && !is_loopback_host(host_of(token.url))) {
    sasl.odd("token_url", "the client's secret and the token go over the network unencrypted; use \"https://\"");
  }
  if (const auto loaded = uplink::load_http_libraries({}); !loaded) sasl.wrong("token_url", loaded.error().message);
  // Read anew for each request: that it is another at a reload is no change.
  if (!token.client_secret.secret_file.empty()) token.client_secret.value.clear();
}

void finish_tokens(Login& login, const Scope& uplink) {
  const Scope sasl = uplink.table("sasl");
  refuse(kOfPasswords, "PLAIN and SCRAM; OAUTHBEARER has tokens", sasl);
  if (sasl.has("token_url") == sasl.has("token")) {
    return uplink.wrong(
        "sasl",
        "needs with mechanism = \"OAUTHBEARER\" either a token_url to fetch tokens from, or a token in a "
        "file that something else renews");
  }
  if (sasl.has("token")) return refuse(kOfEndpoints, "a token_url", sasl);
  if (sasl.is_sound("token_url")) finish_endpoint(login.token, uplink);
}

std::vector<Key> password_rows() {
  using namespace rows;
  return {
      choice<Login, std::string>("mechanism", &Login::mechanism,
                                 {{"PLAIN", "PLAIN"},
                                  {"SCRAM-SHA-256", "SCRAM-SHA-256"},
                                  {"SCRAM-SHA-512", "SCRAM-SHA-512"},
                                  {"OAUTHBEARER", "OAUTHBEARER"}})
          .example("\"SCRAM-SHA-512\"")
          .says("How the login is proven. `PLAIN` sends the password as it is, `OAUTHBEARER` a token: only over TLS."),
      text<Login>("username", &Login::username).example("\"gateway\"").says("Login; not with `OAUTHBEARER`."),
      secret<Login>("password", &Login::password).example("{ file = \"secret\" }").says("Password of the login."),
  };
}

std::vector<Key> token_rows() {
  using namespace rows;
  // The file's path; what it holds now is of no interest.
  Key token = row("token", KeyType::secret_file, 1, kTextBytesMax);
  token.store = [](void* owner, Setting& setting) -> Result<void> {
    static_cast<Login*>(owner)->token.file = std::move(std::get<std::string>(setting));
    return {};
  };
  return {
      checked<Login>(
          "token_url", [](Login & login) -> auto& { return login.token.url; }, check_token_url)
          .must_be("a URL")
          .example("\"https://login.example/oauth2/token\"")
          .says(
              "With `OAUTHBEARER`: the token endpoint, which gives a token for `client_id` and `client_secret` (client "
              "credentials grant). A new one is fetched before the old one runs out. Needs the package libcurl4."),
      text<Login>(
          "client_id", [](Login & login) -> auto& { return login.token.client_id; })
          .example("\"gateway-17\"")
          .says("Who we are to the token endpoint."),
      kept_secret<Login>(
          "client_secret", [](Login & login) -> auto& { return login.token.client_secret; })
          .example("{ file = \"secret\" }")
          .says("And how we prove it. A file is read anew for each request."),
      text<Login>(
          "scope", [](Login & login) -> auto& { return login.token.scope; })
          .example("\"api://kafka/.default\"")
          .says("What the token is asked for; several are separated by blanks."),
      std::move(token)
          .example("{ file = \"secret\" }")
          .says(
              "In place of `token_url`: a JWT in a file that another program renews, best by renaming. It is looked at "
              "every five seconds."),
      extensions_row()
          .must_be("names and texts")
          .example("{ logicalCluster = \"lkc-1\", identityPoolId = \"pool-1\" }")
          .says("What the brokers want to be told beside the token."),
  };
}

}  // namespace

Section kafka_sasl_keys() {
  Section section = rows::table<KafkaUplinkOptions>(
      "sasl", [](KafkaUplinkOptions & uplink) -> auto& { return uplink.login.emplace(); },
      "Login at the brokers: `username` and `password`, or with `OAUTHBEARER` [tokens](cloud.md#kafka-with-tokens) "
      "from `token_url` or `token`.");
  section.keys = password_rows();
  for (Key& key : token_rows()) section.keys.push_back(std::move(key));
  Section tls = rows::table<Login>(
      "tls", [](Login & login) -> auto& { return login.token.tls; },
      "How the token endpoint is checked and how we show who we are; only with `https://`.");
  tls.keys = tls_rows("token endpoint");
  section.sections = {std::move(tls)};
  return section;
}

void finish_kafka_login(KafkaUplinkOptions& uplink, const Scope& scope) {
  if (!scope.has("sasl")) return uplink.login.reset();
  if (!scope.is_sound("sasl")) return;
  const Scope sasl = scope.table("sasl");
  if (!sasl.is_sound("mechanism")) return;
  if (!sasl.has("mechanism")) return scope.wrong("sasl", "needs the key \"mechanism\"");
  Login& login = *uplink.login;
  if (login.uses_tokens()) {
    finish_tokens(login, scope);
  } else {
    want(kOfPasswords, "mechanism = " + sasl.found("mechanism"), scope);
    refuse(kOfTokens, "mechanism = \"OAUTHBEARER\"", sasl);
  }
  if (uplink.tls || !scope.is_sound("sasl")) return;
  if (login.mechanism == "PLAIN") {
    sasl.odd("mechanism", "sends the password in the clear: use the table \"tls\", or a SCRAM mechanism");
  }
  if (login.uses_tokens()) sasl.odd("mechanism", "sends the token in the clear: use the table \"tls\"");
}

}  // namespace tidegate::daemon
