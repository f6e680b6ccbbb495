#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "uplink/http_answer.h"

namespace tidegate::uplink {

/// What is asked of a schema registry: the id of a schema.
struct RegistryQuestion {
  std::string url;  // of the registry, as configured
  std::string subject;
  bool registers = true;  // it is to take the schema, and not only to look for it
};

struct RegistryVerdict {
  std::optional<std::int32_t> id;
  std::string trouble;           // where there is none: why, and what helps
  bool may_ask_another = false;  // this server is not able to answer now, which says nothing of the next one
};

RegistryVerdict judge_registry_answer(const RegistryQuestion& question, const HttpAnswer& answer);

}  // namespace tidegate::uplink
