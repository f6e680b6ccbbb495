#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mqtt/broker_options.h"
#include "uplink/http_header.h"
#include "uplink/options.h"

namespace tidegate::uplink {

enum class HttpMethod : std::uint8_t { post, put };
enum class BatchFormat : std::uint8_t { json, ndjson, influx, kinesis, pubsub };
enum class Compression : std::uint8_t { none, gzip, zstd };

/// What the format kinesis needs beside the URL.
struct AwsOptions {
  std::string region;
  std::string stream;            // of Kinesis; {gateway} and {stream} are filled in
  HttpHeader access_key_id;      // of this and the next two the name has no meaning
  HttpHeader secret_access_key;  // with an empty value: there is none
  HttpHeader session_token;
  bool operator==(const AwsOptions&) const = default;
};

/// One `[[uplink.http]]`.
struct HttpUplinkOptions {
  ForwarderOptions forwarder;
  std::string url;  // {gateway} and {stream} are filled in
  HttpMethod method = HttpMethod::post;
  BatchFormat format = BatchFormat::json;
  bool integers_as_floats = false;  // format influx
  Compression compression = Compression::none;
  std::string key = "{tag}";  // kinesis: of the partition; pubsub: of the order, empty for none
  AwsOptions aws;             // kinesis
  std::vector<HttpHeader> headers;
  mqtt::TlsOptions tls;
  std::string proxy;  // empty: none, whatever the environment says
  Duration connect_timeout = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(30);        // of a request as a whole
  Duration stalled_after = std::chrono::seconds(20);  // with next to nothing moving
  bool operator==(const HttpUplinkOptions&) const = default;
};

}  // namespace tidegate::uplink
