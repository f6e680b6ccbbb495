#include <algorithm>

#include "daemon/config/host_port.h"
#include "daemon/config/http_formats.h"
#include "daemon/config/keys.h"
#include "daemon/config/rows.h"
#include "daemon/config/scope.h"
#include "daemon/config/tls_checks.h"
#include "daemon/config/tls_rows.h"
#include "daemon/config/uplink_rows.h"
#include "daemon/config/uplink_url.h"
#include "uplink/http_libraries.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using uplink::BatchFormat;
using uplink::Compression;
using uplink::HttpMethod;
using uplink::HttpUplinkOptions;

void check_tls(const HttpUplinkOptions& uplink, const Scope& scope) {
  if (!scope.has("tls") || !scope.is_sound("tls") || !scope.is_sound("url")) return;
  if (!uplink.url.starts_with("https://")) {
    return scope.wrong("tls", "is only for a target with \"https://\", found " + scope.found("url"));
  }
  check_tls_table(uplink.tls, "target", scope.table("tls"));
}

void finish_http(HttpUplinkOptions& uplink, const Scope& scope) {
  scope.claim_name("uplink");
  check_tls(uplink, scope);
  if (scope.is_sound("format")) finish_http_format(uplink, scope);
  if (scope.has("integers") && uplink.format != BatchFormat::influx && scope.is_sound("format")) {
    scope.wrong("integers", "is only for format = \"influx\"");
  }
  const bool has_secret = std::any_of(uplink.headers.begin(), uplink.headers.end(),
                                      [](const uplink::HttpHeader& header) { return header.is_secret; });
  const bool is_open = uplink.url.starts_with("http://") && !is_loopback_host(host_of(uplink.url));
  if (is_open && !uplink.aws.session_token.value.empty()) {
    scope.odd("aws", "the session token goes over the network unencrypted; use \"https://\"");
  }
  if (has_secret && is_open) scope.odd("headers", "a secret goes over the network unencrypted; use \"https://\"");
  if (const auto loaded = uplink::load_http_libraries(uplink); !loaded) scope.wrong("", loaded.error().message);
}

std::vector<Key> request_rows() {
  using namespace rows;
  using Owner = HttpUplinkOptions;
  return {
      checked<Owner>("url", &Owner::url,
                     [](const std::string& url) { return check_uplink_url(url, "use the key headers"); })
          .required()
          .must_be("a URL with {gateway} and {stream}")
          .example("\"https://ingest.example/v1/{stream}\"")
          .says("Where batches are sent to, `http://` or `https://`. A redirection is not followed."),
      choice<Owner, HttpMethod>("method", &Owner::method, {{"POST", HttpMethod::post}, {"PUT", HttpMethod::put}})
          .by_default("POST")
          .says("How they are sent."),
      choice<Owner, BatchFormat>("format", &Owner::format,
                                 {{"json", BatchFormat::json},
                                  {"ndjson", BatchFormat::ndjson},
                                  {"influx", BatchFormat::influx},
                                  {"kinesis", BatchFormat::kinesis},
                                  {"pubsub", BatchFormat::pubsub}})
          .by_default("json")
          .says(
              "How a batch is written: one JSON object, a line of JSON a record, InfluxDB's line protocol, records of "
              "Amazon Kinesis, or messages of Google Pub/Sub: [what they need and do](cloud.md)."),
      checked<Owner>("key", &Owner::key, check_record_key)
          .may_be_empty()
          .must_be("a text with {tag} and {gateway}")
          .by_default("{tag}")
          .says("With \"kinesis\" the partition key of a record, with \"pubsub\" its ordering key, where \"\" is none; "
                "with "
                "one `inflight` is 1 there, unless it is set. A record of no tag has the gateway's id for it."),
      choice<Owner, bool>("integers", &Owner::integers_as_floats, {{"integer", false}, {"float", true}})
          .by_default("integer")
          .says("What integers become with `format = \"influx\"`. A database that keeps one type a field refuses a tag "
                "whose values are now `21` and now `21.5`: then \"float\"."),
      choice<Owner, Compression>(
          "compression", &Owner::compression,
          {{"none", Compression::none}, {"gzip", Compression::gzip}, {"zstd", Compression::zstd}})
          .by_default("none")
          .says("`Content-Encoding` of the requests. The target has to take it."),
      headers<Owner>("headers", &Owner::headers)
          .example("{ Authorization = { file = \"secret\" } }")
          .says(
              "More headers of each request. One that carries a credential has to be a secret, whose file is read anew "
              "for each request and holds the whole value, `Bearer ...`."),
      checked<Owner>("proxy", &Owner::proxy, check_proxy_url)
          .must_be("\"http://HOST[:PORT]\" or \"https://HOST[:PORT]\"")
          .example("\"http://proxy.example:3128\"")
          .says("A proxy to go through; what the environment says of one is not heeded."),
      duration<Owner>("connect_timeout", &Owner::connect_timeout, 1s, 5min)
          .by_default("10s")
          .says("How long one try to connect may take, TLS included."),
      duration<Owner>("timeout", &Owner::timeout, 1s, 1h)
          .by_default("30s")
          .says("How long a request may take as a whole."),
      duration<Owner>("stalled_after", &Owner::stalled_after, 1s, 1h)
          .by_default("20s")
          .says("A request is given up when less than 10 bytes a second move for so long; of use where it is shorter "
                "than "
                "`timeout`. The target has that long to work on a batch before it answers."),
  };
}

}  // namespace

Section http_uplink_keys() {
  using namespace rows;
  using Owner = HttpUplinkOptions;
  Section section = list<Config>("http", &Config::http_uplinks,
                                 "Batches as requests to an HTTP server. Needs the package libcurl4, and with "
                                 "`compression = \"gzip\"` zlib1g.");
  section.keys = {name_row<Owner>()};
  for (Key& key : request_rows()) section.keys.push_back(std::move(key));
  for (Key& key : forwarder_rows<Owner>()) section.keys.push_back(std::move(key));
  for (Key& key : refusal_rows<Owner>()) section.keys.push_back(std::move(key));
  Section tls =
      table<Owner>("tls", &Owner::tls,
                   "How the target is checked and how we show who we are; only with `https://`. The files are "
                   "read anew for each connection.");
  tls.keys = tls_rows("target");
  section.sections = {std::move(tls), aws_keys(), batch_keys<Owner>(), weight_keys<Owner>()};
  section.finish = finish<Owner>(finish_http);
  return section;
}

}  // namespace tidegate::daemon
