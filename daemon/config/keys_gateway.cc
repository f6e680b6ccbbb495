#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <utility>
#include <variant>

#include "core/small_letters.h"
#include "core/text.h"
#include "daemon/config/admin_address.h"
#include "daemon/config/host_port.h"
#include "daemon/config/keys.h"
#include "daemon/config/rows.h"
#include "daemon/config/scope.h"
#include "daemon/config/tls_checks.h"
#include "daemon/config/values.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kTiB = 1024 * 1024 * kMiB;

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

// systemd may name several directories, separated by colons.
std::string runtime_directory(const std::string& data_dir) {
  const char* given = std::getenv("RUNTIME_DIRECTORY");
  if (given == nullptr || *given == '\0') return data_dir + "/run";
  return std::string(split(given, ':').front());
}

// Whoever has it may do all that the address can. What it is has to stay unknown, how it is made need not.
constexpr std::size_t kTokenLeast = 16;
constexpr std::size_t kTokenMost = 512;
constexpr std::size_t kTokenKindsLeast = 6;  // of characters
constexpr const char* kTokenAdvice = "; `openssl rand -base64 32` makes one";

Result<void> check_admin_token(const std::string& token) {
  const auto wrong = [](const std::string& what) { return fail(ErrorCode::invalid, what + kTokenAdvice); };
  if (token.size() < kTokenLeast || token.size() > kTokenMost) {
    return wrong("the token must have 16 to 512 characters, found " + std::to_string(token.size()));
  }
  if (std::any_of(token.begin(), token.end(), [](char c) { return c <= ' ' || c > '~'; })) {
    return wrong("the token must be of printable ASCII without spaces, which the header of a request can hold");
  }
  if (std::set<char>(token.begin(), token.end()).size() < kTokenKindsLeast) {
    return wrong("the token must not be the same few characters again and again");
  }
  const std::string small = small_letters(token);
  for (const char* known : {"changeme", "change-me", "password", "tidegate", "example", "0123456789", "abcdefgh"}) {
    if (small.find(known) == std::string::npos) continue;
    return wrong(std::string("the token must not be one that others would try: it has \"") + known + "\" in it");
  }
  return {};
}

void check_admin_tls(const mqtt::ServerTls& tls, const Scope& scope) {
  if (!scope.state().leaves_secrets) check_tls_files({"", tls.certificate, tls.key}, scope);
  if (!scope.has("cert")) return scope.wrong("cert", "is missing: the certificate that clients are shown");
  if (!scope.has("key")) scope.wrong("key", "is missing: the key of the certificate");
}

void check_admin(const GatewayOptions& gateway, const Scope& scope) {
  if (scope.has("admin_tls") && scope.is_sound("admin_tls")) {
    check_admin_tls(gateway.admin_tls, scope.table("admin_tls"));
    if (gateway.admin.kind == AdminAddress::Kind::unix_socket) {
      scope.wrong("admin_tls", "does not go with a Unix socket, which nobody else can hear: leave it out");
    }
  }
  if (!scope.has("admin") || !scope.is_sound("admin") || !is_reached_by_others(gateway.admin)) return;
  const bool lacks_token = !scope.has("admin_token");
  const bool lacks_tls = !scope.has("admin_tls");
  if (!lacks_token && !lacks_tls) return;
  scope.wrong("admin", std::string("is reached by other machines, and needs ") +
                           (lacks_token ? "admin_token = { file = \"PATH\" }" : "") +
                           (lacks_token && lacks_tls ? " and " : "") +
                           (lacks_tls ? "admin_tls = { cert = \"PATH\", key = { file = \"PATH\" } }" : "") +
                           " beside it, found " + scope.found("admin") +
                           "; a loopback address such as \"127.0.0.1:8480\", or \"unix:PATH\", does without");
}

void finish_gateway(GatewayOptions& gateway, const Scope& scope) {
  check_admin(gateway, scope);
  if (!scope.has("id")) {
    gateway.id = host_name();
    if (!check_name(gateway.id)) {
      scope.wrong(
          "id", "is missing, and the host name \"" + clip(gateway.id) + "\" cannot stand in; it must be " + kNameForm);
    }
  }
  if (!scope.has("runtime_dir")) gateway.runtime_dir = runtime_directory(gateway.data_dir);
  if (scope.state().running != nullptr) gateway = scope.state().running->gateway;
}

void finish_buffer(BufferOptions& buffer, const Scope& scope) {
  const bool waits_for_ever = buffer.ring.sync == buffer::SyncPolicy::os && buffer.ack == AckPolicy::durable;
  if (waits_for_ever && scope.has("ack")) {
    scope.wrong("ack",
                "cannot be \"durable\" beside sync = \"os\", which makes nothing durable by itself; use "
                "\"written\", or sync = \"interval\" or \"always\"");
  }
  if (scope.state().running != nullptr) buffer = scope.state().running->buffer;
}

struct ListeningPlace {
  std::string key;
  std::string host;
  std::uint16_t port = 0;
};

// Else only the start says so, and not who has the port.
void check_ports(const Config& config, const Scope& scope) {
  std::vector<ListeningPlace> taken;
  const Scope gateway = scope.table("gateway");
  const AdminAddress& admin = config.gateway.admin;
  const bool is_written = scope.has("gateway") && gateway.has("admin");
  if (admin.kind == AdminAddress::Kind::tcp && admin.port != 0 && (!is_written || gateway.is_sound("admin"))) {
    taken.push_back({is_written ? "gateway.admin" : "gateway.admin by its default", admin.host, admin.port});
  }
  for (std::size_t i = 0; i < config.mqtt_listeners.size(); ++i) {
    const auto& listener = config.mqtt_listeners[i];
    const Scope item = scope.table("driver").item("mqtt_listener", i);
    if (!item.has("listen") || !item.is_sound("listen") || listener.port == 0) continue;
    const auto other = std::find_if(taken.begin(), taken.end(), [&](const ListeningPlace& place) {
      return place.port == listener.port && are_same_place(place.host, listener.host);
    });
    if (other != taken.end()) {
      item.wrong("listen", "takes the port of " + other->key + ", which listens on " +
                               format_host_port(other->host, other->port) + ": give one of them another port, found " +
                               item.found("listen"));
      continue;
    }
    taken.push_back(
        {item.path() + ".listen (the table at " + to_string(item.place()) + ")", listener.host, listener.port});
  }
}

// A file that is empty, or whose tables are all commented out, is valid. Beside errors it says nothing new.
void warn_of_nothing_to_do(const Config& config, const Scope& scope) {
  const bool has_drivers = !config.mqtt_drivers.empty() || !config.mqtt_listeners.empty() ||
                           !config.modbus_buses.empty() || !config.simulators.empty();
  const bool has_uplinks = !config.mqtt_uplinks.empty() || !config.kafka_uplinks.empty() ||
                           !config.postgresql_uplinks.empty() || !config.http_uplinks.empty() ||
                           !config.file_uplinks.empty();
  const auto& problems = scope.state().problems;
  const bool has_errors = std::any_of(problems.begin(), problems.end(),
                                      [](const Problem& problem) { return problem.kind == ProblemKind::error; });
  if (has_drivers || has_uplinks || has_errors) return;
  scope.odd("",
            "nothing is ingested and nothing is forwarded: there is no driver, such as [[driver.mqtt]], and no uplink, "
            "such as [[uplink.mqtt]]");
}

void finish_config(Config& config, const Scope& scope) {
  check_ports(config, scope);
  warn_of_nothing_to_do(config, scope);
}

auto size_of(Stream stream) {
  return [stream](BufferOptions& buffer) -> std::uint64_t& {
    return buffer.ring.size_max_bytes.at(static_cast<std::size_t>(stream));
  };
}

Key admin_token_key() {
  Key token = rows::plain<GatewayOptions>("admin_token", KeyType::secret, &GatewayOptions::admin_token, 1, kTokenMost);
  token.store = [](void* owner, Setting& setting) -> Result<void> {
    auto& text = std::get<std::string>(setting);
    if (auto good = check_admin_token(text); !good) return good;
    static_cast<GatewayOptions*>(owner)->admin_token = std::move(text);
    return {};
  };
  return std::move(token)
      .by_default_is("whoever reaches the address is let in")
      .example("{ file = \"admin-token\" }")
      .says(
          "What commands, Prometheus and whoever opens the status page have to show, at least 16 characters "
          "([how](api.md#log-in)). A reload takes another one alone, and ends all log-ins.");
}

Section admin_tls_keys() {
  using namespace rows;
  Section section = table<GatewayOptions>("admin_tls", &GatewayOptions::admin_tls,
                                          "Serves the admin address in TLS, 1.2 at the least. Changed files are read "
                                          "again at the next connection.");
  section.keys = {
      file<mqtt::ServerTls>("cert", &mqtt::ServerTls::certificate)
          .example("\"gateway.pem\"")
          .says("The certificate that clients are shown, with its chain."),
      secret_file<mqtt::ServerTls>("key", &mqtt::ServerTls::key)
          .example("{ file = \"gateway.key\" }")
          .says("The key of the certificate."),
  };
  return section;
}

}  // namespace

Section gateway_keys() {
  using namespace rows;
  Section section =
      table<Config>("gateway", &Config::gateway, "This gateway. What changes here waits for the next start.");
  section.keys = {
      checked<GatewayOptions>("id", &GatewayOptions::id, check_name)
          .must_be(kNameForm)
          .by_default_is("the host name")
          .example("\"plant-7\"")
          .says("Who sends: stands in topics, batches and the default client ids."),
      text<GatewayOptions>("data_dir", &GatewayOptions::data_dir)
          .must_be("the path of a directory")
          .by_default("/var/lib/tidegate")
          .says("Where the ring log and the state database live. One daemon to a directory."),
      text<GatewayOptions>("runtime_dir", &GatewayOptions::runtime_dir)
          .must_be("the path of a directory")
          .by_default_is("`$RUNTIME_DIRECTORY`, else `run` in the data directory")
          .example("\"/run/tidegate\"")
          .says("Where the shared-memory queues of the MQTT drivers live; best on a tmpfs."),
      parsed<GatewayOptions>("admin",
                             [](const std::string& text, GatewayOptions& gateway) -> Result<void> {
                               auto address = parse_admin_address(text);
                               if (!address) return tl::unexpected(address.error());
                               gateway.admin = std::move(*address);
                               return {};
                             })
          .must_be("\"HOST:PORT\", \"unix:PATH\" or \"\" for none")
          .may_be_empty()
          .by_default("127.0.0.1:8480")
          .says("Where status page, health, metrics and API are served. Port 0 takes a free one. An address that "
                "other machines reach needs `admin_token` and `admin_tls`."),
      admin_token_key(),
  };
  section.sections = {admin_tls_keys()};
  section.finish = finish<GatewayOptions>(finish_gateway);
  return section;
}

Section buffer_keys() {
  using namespace rows;
  using Ring = buffer::RingLogOptions;
  const auto ring = [](auto member) {
    return [member](BufferOptions & buffer) -> auto& { return buffer.ring.*member; };
  };
  Section section =
      table<Config>("buffer", &Config::buffer, "The durable ring log. What changes here waits for the next start.");
  section.keys = {
      size<BufferOptions>("size", size_of(Stream::readings), kMiB, kTiB)
          .by_default("256MiB")
          .says("Disk space of the stream `readings`. When it is full, the oldest readings go."),
      size<BufferOptions>("alarms_size", size_of(Stream::alarms), kMiB, kTiB)
          .by_default("16MiB")
          .says("Disk space of the stream `alarms`."),
      size<BufferOptions>("events_size", size_of(Stream::events), kMiB, kTiB)
          .by_default("8MiB")
          .says("Disk space of the stream `events`."),
      size<BufferOptions>("segment_size", ring(&Ring::segment_bytes_max), 64 * kKiB, 1024 * kMiB)
          .by_default("16MiB")
          .says("Size of one file of the log, at most; never more than an eighth of its stream."),
      size<BufferOptions>("memory", ring(&Ring::memory_bytes_max), 64 * kKiB, 256 * kMiB)
          .by_default("1MiB")
          .says("How much of the newest a stream keeps in memory for uplinks that keep up."),
      duration<BufferOptions>("max_age", ring(&Ring::max_age), 1min, 24h * 3650)
          .by_default_is("no limit")
          .example("\"30d\"")
          .says(
              "Readings that are older go, whole files of the log at a time, once the clock is synced. What an uplink "
              "had not sent of them is recorded as a gap. Alarms and events are kept by size alone."),
      boolean<BufferOptions>("compact", ring(&Ring::compact))
          .by_default(true)
          .says(
              "Whether files of the log that are full are written anew in a dense form, where that saves more than it "
              "writes: the ring then holds several times as much."),
      choice<BufferOptions, buffer::SyncPolicy>("sync", ring(&Ring::sync),
                                                {{"always", buffer::SyncPolicy::always},
                                                 {"interval", buffer::SyncPolicy::interval},
                                                 {"os", buffer::SyncPolicy::os}})
          .by_default("interval")
          .says(
              "When written readings are made durable: after every write, after `sync_interval`, or when the "
              "operating system likes. None of them loses anything to a kill; a power cut loses what was not synced."),
      duration<BufferOptions>("sync_interval", ring(&Ring::sync_interval), 10ms, 60s)
          .by_default("250ms")
          .says("The longest time between two syncs with `sync = \"interval\"`."),
      choice<BufferOptions, AckPolicy>("ack", &BufferOptions::ack,
                                       {{"durable", AckPolicy::durable}, {"written", AckPolicy::written}})
          .by_default("durable")
          .says(
              "When a driver without an `ack` of its own acknowledges to its source: when a message survives a power "
              "cut, or when it survives a kill of the daemon. `driver.mqtt_listener` goes by it; `driver.mqtt` has its "
              "own default, and no other driver of this version acknowledges."),
      choice<BufferOptions, buffer::WhenFull>("when_full", ring(&Ring::when_full),
                                              {{"drop-oldest", buffer::WhenFull::drop_oldest},
                                               {"drop-newest", buffer::WhenFull::drop_newest},
                                               {"block", buffer::WhenFull::block}})
          .by_default("drop-oldest")
          .says("What happens when the ring of readings is full of what an uplink has not sent yet: the oldest go, new "
                "ones are dropped, or sources are held back and polls skipped. What goes is recorded as a gap. Alarms "
                "and events always drop their oldest."),
  };
  section.finish = finish<BufferOptions>(finish_buffer);
  return section;
}

const Section& key_table() {
  static const Section kRoot = [] {
    using namespace rows;
    Section root;
    Key include = row("include", KeyType::texts, 1, kTextBytesMax)
                      .must_be("paths or globs, beside this file where they are relative")
                      .example("[\"devices.d/*.toml\"]")
                      .says("More files to read. Their arrays of tables are appended to those of this file.");
    include.store = [](void*, Setting&) -> Result<void> { return {}; };
    root.keys = {std::move(include)};
    root.sections = {gateway_keys(), buffer_keys(), driver_keys(), rule_keys(), uplink_keys()};
    root.finish = finish<Config>(finish_config);
    return root;
  }();
  return kRoot;
}

}  // namespace tidegate::daemon
