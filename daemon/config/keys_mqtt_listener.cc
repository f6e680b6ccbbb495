#include <algorithm>

#include "core/text.h"
#include "daemon/config/host_port.h"
#include "daemon/config/keys.h"
#include "daemon/config/subscribe_keys.h"
#include "daemon/config/tls_checks.h"
#include "drivers/mqtt_listener/mqtt_listener.h"
#include "mqtt/topic_filter.h"

namespace tidegate::daemon {
namespace {

using drivers::ListenerLimits;
using drivers::MessageAck;
using drivers::MqttListenerOptions;
using drivers::PublishRight;
using mqtt::ServerTls;
constexpr double kUsersBytesMax = 256.0 * 1024;

Result<void> store_address(const std::string& text, MqttListenerOptions& into) {
  const auto address = parse_listen_address(text);
  if (!address) return tl::unexpected(address.error());
  into.host = address->host;
  into.port = address->port;
  return {};
}

// Where a placeholder stands, any name may.
std::string with_any_name(std::string filter) {
  for (const char* placeholder : {"%u", "%c"}) {
    for (std::size_t at = filter.find(placeholder); at != std::string::npos; at = filter.find(placeholder)) {
      const std::size_t begin = filter.rfind('/', at) + 1;  // npos + 1 is 0
      filter.replace(begin, std::min(filter.find('/', at), filter.size()) - begin, "+");
    }
  }
  return filter;
}

Result<void> store_filters(PublishRight& right, Setting& setting) {
  auto& filters = std::get<std::vector<std::string>>(setting);
  for (const std::string& filter : filters) {
    if (mqtt::is_topic_filter(filter) && !mqtt::is_shared(filter)) continue;
    return fail(
        ErrorCode::invalid,
        "must be topic filters, with + for a level and a trailing # for the rest, found \"" + clip(filter) + "\"");
  }
  right.filters = std::move(filters);
  return {};
}

Result<void> store_watched(PublishRight& right, Setting& setting) {
  for (const std::string& filter : std::get<std::vector<std::string>>(setting)) {
    const std::string pattern = with_any_name(filter);
    if (!mqtt::is_topic_filter(filter)) break;
    if (mqtt::filters_meet(pattern, "tidegate/values/+/#") || mqtt::filters_meet(pattern, "tidegate/alarms/+/#")) {
      continue;
    }
    return fail(ErrorCode::invalid,
                "must match topics \"tidegate/values/DEVICE/TAG\" or \"tidegate/alarms/RULE/DEVICE/TAG\", because "
                "nothing else can be watched; found \"" +
                    clip(filter) + "\"");
  }
  return store_filters(right, setting);
}

void check_exposure(const MqttListenerOptions& listener, const Scope& scope) {
  if (!scope.has("listen") || !scope.is_sound("listen") || is_loopback_host(listener.host)) return;
  // What is there and cannot be read is an error of its own; that it is missing would be a wrong hint.
  const bool asks_who = !listener.users.empty() || !scope.is_sound("users") || !listener.tls.client_ca.empty();
  if (!asks_who) {
    scope.odd("listen", "everybody who reaches this address can publish: give \"users\", or \"ca\" in \"tls\"");
  } else if (!scope.has("tls")) {
    scope.odd("listen", "passwords and readings cross the network in the clear: give the table \"tls\"");
  }
}

void check_tls(const ServerTls& tls, const Scope& scope) {
  check_tls_files({tls.client_ca, tls.certificate, tls.key}, scope);
  if (!scope.has("cert")) return scope.wrong("cert", "is missing: the certificate that clients are shown");
  if (!scope.has("key")) scope.wrong("key", "is missing: the key of the certificate");
}

// Whoever connects says who he is, and without a list of users nothing speaks against it.
void check_rights(const std::vector<PublishRight>& rights, const char* table, const char* filters_key,
                  const Scope& scope) {
  if (scope.has("users")) return;
  for (std::size_t i = 0; i < rights.size(); ++i) {
    const auto& filters = rights[i].filters;
    const bool names_user = std::any_of(filters.begin(), filters.end(), [](const std::string& filter) {
      return filter.find("%u") != std::string::npos;
    });
    const char* const key = scope.item(table, i).has("user") ? "user" : names_user ? filters_key : nullptr;
    if (key == nullptr) continue;
    scope.item(table, i).wrong(key,
                               "goes by the user's name, which anybody may claim without \"users\": give the file "
                               "of users and passwords, or leave the name out");
  }
}

// Nobody may publish where others watch.
void check_subscribed_topics(const MqttListenerOptions& listener, const Scope& scope) {
  for (std::size_t i = 0; i < listener.subscribe.size() && !listener.watch.empty(); ++i) {
    if (!drivers::is_watched_tree(listener.subscribe[i].topic)) continue;
    scope.item("subscribe", i)
        .wrong(
            "topic",
            "is below \"tidegate/values\" or \"tidegate/alarms\", where nobody may publish beside a table \"watch\"");
  }
}

// Who publishes here is served here: there is nobody to share with.
void check_shared_topics(const MqttListenerOptions& listener, const Scope& scope) {
  for (std::size_t i = 0; i < listener.subscribe.size(); ++i) {
    const Scope subscribe = scope.item("subscribe", i);
    if (!mqtt::is_shared(listener.subscribe[i].topic) || !subscribe.is_sound("topic")) continue;
    subscribe.wrong("topic",
                    "cannot be shared at a listener, which takes all that its clients publish and shares it with no "
                    "other gateway: leave $share/GROUP/ out, found \"" +
                        clip(listener.subscribe[i].topic) + "\"");
  }
}

void finish_listener(MqttListenerOptions& listener, const Scope& scope) {
  check_exposure(listener, scope);
  check_rights(listener.rights, "allow", "publish", scope);
  check_rights(listener.watch, "watch", "topics", scope);
  check_subscribed_topics(listener, scope);
  check_shared_topics(listener, scope);
  if (scope.has("tls")) check_tls(listener.tls, scope.table("tls"));
  if (!scope.has("ack") && scope.state().config.buffer.ack == AckPolicy::written) listener.ack = MessageAck::written;
  if (listener.ack == MessageAck::durable) check_sync_beside_durable(scope);
  if (!scope.has("name") || !scope.is_sound("name")) return;
  for (std::size_t i = 0; i < listener.subscribe.size(); ++i) {
    note_subscribed_tags(listener.name, listener.subscribe[i], scope.item("subscribe", i));
  }
}

Section listener_tls_keys() {
  using namespace rows;
  Section section =
      table<MqttListenerOptions>("tls", &MqttListenerOptions::tls,
                                 "Takes TLS connections instead of plain ones; TLS 1.2 is the least. A reload "
                                 "reads the files again, for new connections.");
  section.keys = {
      file<ServerTls>("cert", &ServerTls::certificate)
          .example("\"gateway.pem\"")
          .says("The certificate that clients are shown, with its chain."),
      secret_file<ServerTls>("key", &ServerTls::key)
          .example("{ file = \"gateway.key\" }")
          .says("The key of the certificate."),
      file<ServerTls>("ca", &ServerTls::client_ca)
          .by_default_is("clients need no certificate")
          .example("\"ca.pem\"")
          .says("Clients need a certificate of this authority. Lists of revoked certificates in the same file count."),
  };
  return section;
}

Key right_of_user() {
  return rows::text<PublishRight>("user", &PublishRight::user)
      .by_default_is("everybody")
      .example("\"boiler\"")
      .says("Whose right. Only beside `users`: else anybody may claim the name.");
}

Section allow_keys() {
  using namespace rows;
  Section section =
      list<MqttListenerOptions>("allow", &MqttListenerOptions::rights,
                                "What users may publish to. Without any, everything; with some, only what "
                                "one of them names.");
  Key publish = row("publish", KeyType::texts, 1, kTextBytesMax);
  publish.store = [](void* owner, Setting& setting) {
    return store_filters(*static_cast<PublishRight*>(owner), setting);
  };
  section.keys = {
      right_of_user(),
      std::move(publish)
          .required()
          .example("[\"plant/%u/#\"]")
          .says("Topic filters; `%u` stands for the user's name (only beside `users`), `%c` for the client id."),
  };
  return section;
}

Section watch_keys() {
  using namespace rows;
  Section section = list<MqttListenerOptions>(
      "watch", &MqttListenerOptions::watch,
      "Who may subscribe, such as a panel beside the machine, and to what: the latest reading of each tag at "
      "`tidegate/values/DEVICE/TAG` and each alarm at `tidegate/alarms/RULE/DEVICE/TAG`, as JSON objects like those of "
      "`tidegate tail`. Retained at a subscription, then each change; a client that is slow misses values between, "
      "never "
      "the last one. Without any, nobody may subscribe. On a listener with some, nobody may publish to these topics.");
  Key topics = row("topics", KeyType::texts, 1, kTextBytesMax);
  topics.store = [](void* owner, Setting& setting) {
    return store_watched(*static_cast<PublishRight*>(owner), setting);
  };
  section.keys = {
      right_of_user(),
      std::move(topics)
          .required()
          .example("[\"tidegate/#\"]")
          .says("Topic filters; a client may subscribe to what one of them matches as a whole. `%u` stands for the "
                "user's "
                "name (only beside `users`), `%c` for the client id."),
  };
  return section;
}

std::vector<Key> limit_rows() {
  using namespace rows;
  using namespace std::chrono_literals;
  using Owner = MqttListenerOptions;
  const auto of = [](auto member) {
    return [member](Owner & owner) -> auto& { return owner.limits.*member; };
  };
  return {
      integer<Owner>("connections_max", of(&ListenerLimits::connections_max), 1, 100000)
          .by_default(1024)
          .says("How many clients may be connected."),
      size<Owner>("packet_max", of(&ListenerLimits::packet_bytes_max), kKiB, 16 * kKiB * kKiB)
          .by_default("1MiB")
          .says("The largest packet that is taken."),
      integer<Owner>("inflight_max", of(&ListenerLimits::inflight_max), 1, 65535)
          .by_default(1000)
          .says("How many messages of a client may wait for their acknowledgement: the receive maximum of MQTT 5. A "
                "client of 3.1.1 that sends more is read from later."),
      integer<Owner>("messages_per_second_max", of(&ListenerLimits::messages_per_second_max), 1, 10000000)
          .by_default_is("no limit")
          .example("200")
          .says("How many messages a second a connection may send, after a second's worth at once. A client that sends "
                "more is read from later; nothing of it is refused. Its PINGREQ waits behind its messages: what it "
                "sends with QoS 0 is lost when it gives up and connects again."),
      duration<Owner>("connect_timeout", of(&ListenerLimits::connect_timeout), 1s, 5min)
          .by_default("10s")
          .says("How long a new connection may take to say who it is."),
      integer<Owner>("automatic_tags_max", &Owner::automatic_tags_max, 1, 1000000)
          .by_default(10000)
          .says("How many tags this driver may make of what arrives."),
  };
}

}  // namespace

Section mqtt_listener_keys() {
  using namespace rows;
  using Owner = MqttListenerOptions;
  Section section = list<Config>("mqtt_listener", &Config::mqtt_listeners,
                                 "Sensors publish straight to the gateway, no broker needed: MQTT 3.1.1 and 5. What a "
                                 "client leaves behind (its session, a delayed will) is kept for a week at most.");
  section.keys = {
      driver_name_key<Owner>(),
      parsed<Owner>("listen", store_address)
          .required()
          .must_be("\"ADDRESS:PORT\"")
          .example("\"0.0.0.0:1883\"")
          .says("Where to listen: an IP address and a port."),
      choice<Owner, MessageAck>("ack", &Owner::ack,
                                {{"durable", MessageAck::durable}, {"written", MessageAck::written}})
          .by_default_is("`buffer.ack`")
          .example("\"written\"")
          .says("When a sensor gets its acknowledgement: when its message survives a power cut, or when it survives a "
                "kill of the daemon."),
  };
  Key users = plain<Owner>("users", KeyType::secret, &Owner::users, 1, kUsersBytesMax);
  users.store = [](void* owner, Setting& setting) -> Result<void> {
    auto& content = std::get<std::string>(setting);
    Owner& listener = *static_cast<Owner*>(owner);
    if (auto good = drivers::check_user_list(content); !good) {
      return fail(ErrorCode::invalid, good.error().message + " (users of driver \"" + clip(listener.name) + "\")");
    }
    listener.users = std::move(content);
    return {};
  };
  section.keys.push_back(
      std::move(users)
          .by_default_is("everybody may connect")
          .example("{ file = \"users\" }")
          .says("Who may connect: the file that `mosquitto_passwd -c users NAME` makes. At most 2,000 "
                "iterations, because each login is checked between the readings. A reload takes a changed list for new "
                "logins; who is "
                "connected stays."));
  for (Key& key : limit_rows()) section.keys.push_back(std::move(key));
  section.sections = {
      listener_tls_keys(), allow_keys(), watch_keys(),
      subscribe_keys<Owner>("Topics that become readings, and how. What else is published is counted.")};
  section.finish = finish<Owner>(finish_listener);
  return section;
}

}  // namespace tidegate::daemon
