#include "uplink/tag_filter.h"

#include <algorithm>
#include <utility>

#include "core/text.h"
#include "uplink/json_text.h"

namespace tidegate::uplink {

TagFilter::TagFilter(std::vector<std::string> globs, const TagRegistry& tags)
    : globs_(std::move(globs)),
      tags_(tags),
      passes_all_(std::any_of(globs_.begin(), globs_.end(), [](const std::string& glob) { return glob == "*"; })) {}

bool TagFilter::passes_alarm(std::string_view document) const {
  if (passes_all_) return true;
  const auto tag = find_text_member(document, "tag");
  return !tag || matches(*tag);
}

bool TagFilter::passes_some(TagId tag) {
  if (tag == kNoTag) return false;
  const auto index = static_cast<std::size_t>(tag);
  if (index >= verdicts_.size()) verdicts_.resize(index + 1, Verdict::unknown);
  Verdict& verdict = verdicts_[index];
  if (verdict == Verdict::unknown) verdict = matches(tags_.tag(tag).path) ? Verdict::passes : Verdict::filtered;
  return verdict == Verdict::passes;
}

bool TagFilter::matches(std::string_view path) const {
  return std::any_of(globs_.begin(), globs_.end(),
                     [path](const std::string& glob) { return glob_matches(glob, path); });
}

}  // namespace tidegate::uplink
