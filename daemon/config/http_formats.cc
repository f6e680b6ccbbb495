#include "daemon/config/http_formats.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "core/text.h"
#include "daemon/config/rows.h"
#include "daemon/config/values.h"
#include "uplink/kinesis_records.h"
#include "uplink/pubsub_messages.h"

namespace tidegate::daemon {
namespace {

using uplink::BatchFormat;
using uplink::Compression;
using uplink::HttpMethod;
using uplink::HttpUplinkOptions;

// A request of either may have 5 MiB at least, with the keys and what stands before each record.
constexpr std::uint64_t kCloudBatchBytesMost = 4096 * kKiB;

Result<void> check_stream_name(const std::string& name) { return check_placeholders(name, {"gateway", "stream"}); }

void refuse_key(std::string_view key, const std::string& formats, const Scope& scope) {
  if (scope.has(key)) scope.wrong(key, "is only for format = " + formats);
}

void refuse_keys_of_others(const HttpUplinkOptions& uplink, const Scope& scope) {
  const BatchFormat format = uplink.format;
  if (format != BatchFormat::kinesis) refuse_key("aws", "\"kinesis\"", scope);
  if (format != BatchFormat::kinesis && format != BatchFormat::pubsub) {
    refuse_key("key", "\"kinesis\" and \"pubsub\"", scope);
  }
}

void want_post(const HttpUplinkOptions& uplink, const Scope& scope) {
  if (uplink.method != HttpMethod::post)
    scope.wrong("method", "must be \"POST\" with format = " + scope.found("format"));
}

void want_no_compression(const HttpUplinkOptions& uplink, const Scope& scope) {
  if (uplink.compression == Compression::none) return;
  scope.wrong("compression",
              "must be \"none\" with format = " + scope.found("format") + ", found " + scope.found("compression"));
}

void limit_batch(const HttpUplinkOptions& uplink, std::uint32_t records, const Scope& scope) {
  if (!scope.has("batch") || !scope.is_sound("batch")) return;
  const Scope batch = scope.table("batch");
  if (uplink.forwarder.batch_readings_max > records) {
    batch.wrong("max_readings", "must be at most " + std::to_string(records) + " with format = " +
                                    scope.found("format") + ", found " + batch.found("max_readings"));
  }
  if (uplink.forwarder.batch_bytes_max > kCloudBatchBytesMost) {
    batch.wrong("max_bytes", "must be at most \"" + format_size(kCloudBatchBytesMost) +
                                 "\" with format = " + scope.found("format") + ", found " + batch.found("max_bytes"));
  }
}

void check_kinesis_url(const HttpUplinkOptions& uplink, const Scope& scope) {
  if (!scope.is_sound("url")) return;
  const std::size_t rest = uplink.url.find_first_of("/?", uplink.url.find("://") + 3);
  if (rest == std::string::npos || uplink.url.substr(rest) == "/") return;
  scope.wrong("url", "must have no path and no query with format = \"kinesis\": the stream stands in \"aws\", found " +
                         scope.found("url"));
}

// What is signed has to be what is sent.
void refuse_signed_headers(const HttpUplinkOptions& uplink, const Scope& scope) {
  for (const uplink::HttpHeader& header : uplink.headers) {
    std::string name = header.name;
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    if (name != "authorization" && name != "host" && !name.starts_with("x-amz-")) continue;
    scope.wrong("headers",
                "must not have \"" + header.name + "\" with format = \"kinesis\": it is set by the signature");
  }
}

void check_kinesis(const HttpUplinkOptions& uplink, const Scope& scope) {
  want_post(uplink, scope);
  want_no_compression(uplink, scope);
  limit_batch(uplink, uplink::KinesisRecords::kRecordsMost, scope);
  if (uplink.key.empty()) scope.wrong("key", "must not be empty: Kinesis wants a partition key");
  check_kinesis_url(uplink, scope);
  refuse_signed_headers(uplink, scope);
  if (!scope.has("aws")) {
    return scope.wrong("format",
                       "needs aws = { region = \"...\", stream = \"...\", access_key_id = \"...\", "
                       "secret_access_key = { file = \"...\" } } beside it");
  }
  if (!scope.is_sound("aws")) return;
  const Scope aws = scope.table("aws");
  for (const char* const key : {"region", "stream", "access_key_id", "secret_access_key"}) {
    if (!aws.has(key)) scope.wrong("aws", std::string("needs the key \"") + key + "\"");
  }
}

// Of two requests on their way the later one may be there first.
void finish_pubsub(HttpUplinkOptions& uplink, const Scope& scope) {
  const bool is_ordered = !uplink.key.empty() && scope.is_sound("key");
  if (is_ordered && !scope.has("inflight")) uplink.forwarder.inflight_max = 1;
  if (is_ordered && scope.has("inflight") && uplink.forwarder.inflight_max > 1) {
    scope.odd("inflight",
              "lets requests overtake each other, so that records of one ordering key come in another order; "
              "use 1, or key = \"\"");
  }
  want_post(uplink, scope);
  limit_batch(uplink, uplink::PubsubMessages::kMessagesMost, scope);
  if (scope.is_sound("url") && !uplink.url.ends_with(":publish")) {
    scope.odd("url",
              "does not end in \":publish\", as https://pubsub.googleapis.com/v1/projects/PROJECT/topics/TOPIC:publish "
              "does");
  }
}

}  // namespace

Section aws_keys() {
  using namespace rows;
  using Owner = uplink::AwsOptions;
  Section section = table<HttpUplinkOptions>(
      "aws", &HttpUplinkOptions::aws,
      "With `format = \"kinesis\"`: which stream, and who we are. All but `session_token` have to be there. Files of "
      "credentials are read anew for each request.");
  section.keys = {
      text<Owner>("region", &Owner::region).example("\"eu-central-1\"").says("The region of the stream."),
      checked<Owner>("stream", &Owner::stream, check_stream_name)
          .must_be("a name with {gateway} and {stream}")
          .example("\"plant-{stream}\"")
          .says("The name of the data stream. Without `{stream}` all of the gateway's streams go into one."),
      kept_secret<Owner>("access_key_id", &Owner::access_key_id, KeyType::text_or_secret)
          .example("\"AKIAIOSFODNN7EXAMPLE\"")
          .says("The id of the access key."),
      kept_secret<Owner>("secret_access_key", &Owner::secret_access_key)
          .example("{ file = \"secret\" }")
          .says("The access key itself."),
      kept_secret<Owner>("session_token", &Owner::session_token)
          .example("{ file = \"secret\" }")
          .says("Beside the keys of a role, which last for hours: something else has to renew the three files."),
  };
  return section;
}

Result<void> check_record_key(const std::string& key) { return check_placeholders(key, {"tag", "gateway"}); }

void finish_http_format(HttpUplinkOptions& uplink, const Scope& scope) {
  refuse_keys_of_others(uplink, scope);
  if (uplink.format == BatchFormat::kinesis) check_kinesis(uplink, scope);
  if (uplink.format == BatchFormat::pubsub) finish_pubsub(uplink, scope);
}

}  // namespace tidegate::daemon
