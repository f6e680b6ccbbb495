#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/text.h"
#include "daemon/config/host_port.h"
#include "daemon/config/rows.h"
#include "daemon/config/schema_registry_keys.h"
#include "daemon/config/tls_checks.h"
#include "daemon/config/tls_rows.h"
#include "daemon/config/uplink_url.h"
#include "daemon/config/values.h"
#include "uplink/http_libraries.h"
#include "uplink/kafka/kafka_avro.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using uplink::KafkaFormat;
using uplink::KafkaUplinkOptions;
using uplink::SchemaRegistryOptions;

Result<void> check_registry_url(const std::string& url) {
  if (auto good = check_uplink_url(url); !good) return good;
  if (url.find_first_of("?{}") == std::string::npos) return {};
  return fail(ErrorCode::invalid, "must have no query and no placeholders, found \"" + clip(url) + "\"");
}

Result<void> parse_registry_urls(const std::string& text, SchemaRegistryOptions& into) {
  into.urls.clear();
  for (std::string_view part : split(text, ',')) {
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ') || part.ends_with('/')) part.remove_suffix(1);
    std::string url(part);
    if (auto good = check_registry_url(url); !good) return good;
    into.urls.push_back(std::move(url));
  }
  return {};
}

Result<void> check_subject(const std::string& subject) {
  if (has_control(subject)) {
    return fail(ErrorCode::invalid, "must not have control characters, found \"" + clip(subject) + "\"");
  }
  return check_placeholders(subject, {"topic", "record", "gateway", "stream"});
}

// Each has a schema of its own, and a registry takes them for versions of one.
void check_subjects(const KafkaUplinkOptions& uplink, const Scope& scope, const Scope& registry) {
  if (!registry.is_sound("subject") || !scope.is_sound("topic")) return;
  std::map<std::string, Stream> taken;
  for (const Stream stream : uplink.forwarder.streams) {
    const auto subject = uplink::kafka_schema_subject(uplink, scope.state().config.gateway.id, stream);
    if (!subject) return registry.wrong("subject", subject.error().message);
    const auto [other, is_new] = taken.emplace(*subject, stream);
    if (is_new) continue;
    return registry.wrong("subject", std::string("is the same for ") + to_string(other->second) + " and " +
                                         to_string(stream) +
                                         ", which have schemas of their own: put {stream} into "
                                         "\"topic\", or use \"{topic}-{record}\", found \"" +
                                         clip(*subject) + "\"");
  }
}

void check_login(const SchemaRegistryOptions& options, const Scope& registry) {
  const bool has_token = registry.has("token");
  if (registry.has("username") != registry.has("password")) {
    const bool has_name = registry.has("username");
    registry.wrong(has_name ? "username" : "password",
                   std::string("needs the key \"") + (has_name ? "password" : "username") + "\" beside it");
  } else if (has_token && registry.has("username")) {
    registry.wrong("token", "does not go with username and password: give one of the two");
  }
  if (options.username.find(':') != std::string::npos || has_control(options.username)) {
    registry.wrong("username", "must not have a \":\" or control characters, found \"" + clip(options.username) + "\"");
  }
  const bool is_open = std::any_of(options.urls.begin(), options.urls.end(), [](const std::string& url) {
    return url.starts_with("http://") && !is_loopback_host(host_of(url));
  });
  const char* const secret = has_token ? "token" : "password";
  if (is_open && registry.has(secret)) {
    registry.odd(secret, "goes over the network unencrypted; use \"https://\"");
  }
}

void check_tls(const SchemaRegistryOptions& options, const Scope& registry) {
  if (!registry.has("tls") || !registry.is_sound("tls") || !registry.is_sound("url")) return;
  const bool has_secure = std::any_of(options.urls.begin(), options.urls.end(),
                                      [](const std::string& url) { return url.starts_with("https://"); });
  if (!has_secure) {
    return registry.wrong("tls", "is only for a registry with \"https://\", found " + registry.found("url"));
  }
  check_tls_table(options.tls, "registry", registry.table("tls"));
}

std::vector<Key> registry_rows() {
  using namespace rows;
  using Owner = SchemaRegistryOptions;
  return {
      parsed<Owner>("url", parse_registry_urls)
          .must_be("\"http://HOST[:PORT][/PATH]\" or \"https://HOST[:PORT][/PATH]\", several with commas between them")
          .example("\"https://registry.example:8081\"")
          .says("Has to be there. Where the registry is, without `/subjects`. Of several that are the same registry, "
                "the next one is "
                "asked where one does not answer or answers 500 to 599. A redirection is not followed."),
      text<Owner>("username", &Owner::username).example("\"gateway\"").says("Login, by HTTP's Basic."),
      kept_secret<Owner>("password", &Owner::password)
          .example("{ file = \"secret\" }")
          .says("Password of the login. Its file is read anew for each question."),
      kept_secret<Owner>("token", &Owner::token)
          .example("{ file = \"secret\" }")
          .says("A token in place of a login, by HTTP's Bearer. Its file is read anew for each question."),
      checked<Owner>("subject", &Owner::subject, check_subject)
          .must_be("a text with {topic}, {record}, {gateway} and {stream}")
          .by_default("{topic}-value")
          .says("Under what name the registry has a schema. As Confluent calls them: `{topic}-value` is "
                "TopicNameStrategy, `{record}` RecordNameStrategy, `{topic}-{record}` TopicRecordNameStrategy."),
      boolean<Owner>("register", &Owner::registers)
          .by_default(true)
          .says("Whether schemas that the registry does not have are registered. false: they are only looked up, and "
                "have to be there."),
      duration<Owner>("timeout", &Owner::timeout, 1s, 5min)
          .by_default("10s")
          .says("How long one question may take, the connection included."),
  };
}

}  // namespace

Section schema_registry_keys() {
  using namespace rows;
  Section section = table<KafkaUplinkOptions>(
      "schema_registry", [](KafkaUplinkOptions & uplink) -> auto& { return uplink.registry.emplace(); },
      "With `format = \"avro\"`: a schema registry with Confluent's interface, which gives each schema its id. It is "
      "asked once after each start, and records wait until it has answered. Needs the package libcurl4.");
  section.keys = registry_rows();
  Section tls =
      table<SchemaRegistryOptions>("tls", &SchemaRegistryOptions::tls,
                                   "How the registry is checked and how we show who we are; only with `https://`.");
  tls.keys = tls_rows("registry");
  section.sections = {std::move(tls)};
  return section;
}

void finish_schema_registry(KafkaUplinkOptions& uplink, const Scope& scope) {
  if (!scope.is_sound("format")) return;
  const bool has_table = scope.has("schema_registry");
  if (uplink.format != KafkaFormat::avro) {
    if (has_table) scope.wrong("schema_registry", "is only for format = \"avro\"");
    return uplink.registry.reset();
  }
  if (!has_table) {
    return scope.wrong("format",
                       "\"avro\" needs schema_registry = { url = \"https://HOST:8081\" } beside it: without the id of "
                       "its schema nobody can read a record");
  }
  if (!scope.is_sound("schema_registry") || !uplink.registry) return;
  const Scope registry = scope.table("schema_registry");
  if (!registry.has("url")) return scope.wrong("schema_registry", "needs the key \"url\"");
  check_subjects(uplink, scope, registry);
  check_login(*uplink.registry, registry);
  check_tls(*uplink.registry, registry);
  if (const auto loaded = uplink::load_http_libraries({}); !loaded) {
    scope.wrong("schema_registry", loaded.error().message);
  }
}

}  // namespace tidegate::daemon
