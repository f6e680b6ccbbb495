#pragma once

#include <string>
#include <vector>

#include "core/time.h"
#include "mqtt/broker_options.h"
#include "uplink/http_header.h"

namespace tidegate::uplink {

/// Where the schemas of an uplink are known by number: a schema registry with Confluent's interface.
struct SchemaRegistryOptions {
  std::vector<std::string> urls;  // one after the other, until one answers
  std::string username;
  HttpHeader password;                          // of these two the name has no meaning; without a value there is none
  HttpHeader token;                             // in place of a login
  std::string subject = "{topic}-value";        // {topic}, {record}, {gateway} and {stream} are filled in
  bool registers = true;                        // false: a schema has to be there already
  mqtt::TlsOptions tls;                         // of the URLs with https
  Duration timeout = std::chrono::seconds(10);  // of one question
  bool operator==(const SchemaRegistryOptions&) const = default;
};

}  // namespace tidegate::uplink
