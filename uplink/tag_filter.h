#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/tag.h"

namespace tidegate::uplink {

/// Whether an uplink carries a tag: the globs are matched once a tag and remembered. One thread. The registry outlives
/// it.
class TagFilter {
 public:
  TagFilter(std::vector<std::string> globs, const TagRegistry& tags);

  bool passes(TagId tag) { return passes_all_ || passes_some(tag); }
  /// By the document's member "tag"; an alarm that names none passes.
  bool passes_alarm(std::string_view document) const;

 private:
  bool passes_some(TagId tag);
  bool matches(std::string_view path) const;

  enum class Verdict : std::uint8_t { unknown, passes, filtered };
  std::vector<std::string> globs_;
  const TagRegistry& tags_;
  bool passes_all_;
  std::vector<Verdict> verdicts_;  // by TagId
};

}  // namespace tidegate::uplink
